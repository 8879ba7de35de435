"""What is told of one picture while it is drawn: progress, previews, and the picture."""

from __future__ import annotations

from collections.abc import Callable

from limner.arrays import Pixels
from limner.engines.base import Event, ImageTask, Picture, Preview, Progress

Emit = Callable[[Event], None]

_STAGE = "drawing"


class Reporter:
    """Reports on `task`, which `model` draws. The last step of its progress is decoding."""

    def __init__(
        self, task: ImageTask, model: str, emit: Emit, finished: Callable[[Pixels], Pixels]
    ) -> None:
        """finished: makes of what is drawn, (H, W, 3 or 4), what is shown, (H, W, 4)."""
        self._task, self._model, self._emit, self._finished = task, model, emit, finished

    def step(self, done: int, total: int) -> None:
        """So many steps of all are drawn."""
        self._emit(Progress(done, total + 1, _STAGE))

    def preview(self, done: int, total: int, pixels: Callable[[], Pixels]) -> None:
        """Show `pixels` after a step, if a preview is due: those asked for are evenly spread."""
        n_asked = self._task.request.previews
        if done in {max(1, round(total * i / (n_asked + 1))) for i in range(1, n_asked + 1)}:
            shown = self._finished(pixels())
            self._emit(Preview(self._task.index, shown, done, total + 1))

    def picture(self, total: int, pixels: Pixels) -> None:
        """It is drawn, in so many steps."""
        self._emit(Progress(total + 1, total + 1, _STAGE))
        task = self._task
        self._emit(
            Picture(self._finished(pixels), task.request.prompt, task.seed, task.index, self._model)
        )
