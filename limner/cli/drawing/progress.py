"""Progress of the drawing commands on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

import click

from limner.engines.base import Event, Notice, Progress

if TYPE_CHECKING:
    import rich.progress


class Reporter(Protocol):
    """Shows events while pictures are drawn."""

    def event(self, event: Event) -> None:
        """Show `event`, if its kind is shown."""

    def paused(self) -> AbstractContextManager[None]:
        """Free the terminal for other output within the block."""


def reporter() -> AbstractContextManager[Reporter]:
    """A progress bar on a terminal; elsewhere only notices are shown."""
    return _bar() if sys.stderr.isatty() else nullcontext(_Quiet())


class _Quiet:
    def event(self, event: Event) -> None:
        if isinstance(event, Notice):
            click.echo(f"note: {event.text}", err=True)

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()


class _Bar:
    def __init__(self, progress: rich.progress.Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("loading", total=None)

    def event(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._progress.update(
                self._task, description=event.stage, completed=event.done, total=event.total
            )
        elif isinstance(event, Notice):
            self._progress.console.print(f"note: {event.text}", markup=False, highlight=False)

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()


@contextmanager
def _bar() -> Iterator[_Bar]:
    from rich import progress  # a third of the start-up time; only needed on a terminal
    from rich.console import Console

    with progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        # Output must reach the real stdout, which may be a pipe.
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        yield _Bar(bar)
