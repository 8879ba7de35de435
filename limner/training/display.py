"""Show how far a training run is: a bar on a terminal, elsewhere a line at intervals."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_LINE_EVERY_S = 30.0


class StepDisplay:
    """Writes to standard error; used as a context, told of each step."""

    def __init__(self, step: int, steps: int) -> None:
        self._first, self._steps = step, steps
        self._began = self._said = time.monotonic()
        console = Console(stderr=True)
        self._bar = _bar(console) if console.is_terminal else None
        if self._bar is not None:
            self._task = self._bar.add_task("train", total=steps, completed=step, note="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, step: int, loss: float) -> None:
        """Show that `step` steps are done, the last of them with a loss."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, note=f"loss {loss:.4f}")
            return
        now = time.monotonic()
        is_due = now - self._said >= _LINE_EVERY_S
        if is_due or step in (self._first + 1, self._steps):
            self._said = now
            print(self._line(step, loss, now), file=sys.stderr, flush=True)

    def testing(self) -> None:
        """Show that the weights are tested, which takes longer than a step."""
        said = "testing, and drawing a sheet of samples"
        if self._bar is not None:
            self._bar.update(self._task, note=said)
        else:
            print(said, file=sys.stderr, flush=True)

    def _line(self, step: int, loss: float, now: float) -> str:
        seconds = (now - self._began) / (step - self._first)
        left = _duration(seconds * (self._steps - step))
        return (
            f"step {step} of {self._steps}, loss {loss:.4f}, {seconds:.2g} s a step, "
            f"about {left} left"
        )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
    )


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Steps a second, of the last ones."""
        return Text(f"{task.speed:.2f} steps/s" if task.speed else "")
