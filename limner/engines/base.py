"""The protocol of all engines. Who writes an engine finds all that it needs here."""

from __future__ import annotations

import secrets
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from limner.engines.capabilities import Capabilities
from limner.engines.events import (
    Event,
    Notice,
    Picture,
    PictureFile,
    Preview,
    Progress,
    ProgressTracker,
    Usage,
)
from limner.request import ImageRequest, Size

__all__ = [
    "NEVER",
    "BatchKey",
    "CancelToken",
    "Capabilities",
    "CountsTokens",
    "Engine",
    "Event",
    "ImageTask",
    "Notice",
    "Picture",
    "PictureFile",
    "Preview",
    "Progress",
    "ProgressTracker",
    "Usage",
]


@dataclass(frozen=True)
class ImageTask:
    """One picture of a request whose seed is set. Plain data: it can leave the process.

    Two tasks are equal if they are the same picture of the same request, by its id; one that is
    made without an id is of a request of its own.
    """

    request: ImageRequest = field(compare=False)
    index: int
    id: str = field(default_factory=lambda: secrets.token_hex(8))  # of the request

    @property
    def seed(self) -> int:
        """The seed of the request."""
        assert self.request.seed is not None
        return self.request.seed


class CancelToken(Protocol):
    """Says while tasks are drawn which of them nobody waits for any more. From any thread."""

    def is_cancelled(self, task: ImageTask) -> bool:
        """Whether `task` need not be finished; once it is true, it stays so."""
        ...


class _Never:
    def is_cancelled(self, task: ImageTask) -> bool:
        return False


NEVER: CancelToken = _Never()


@dataclass(frozen=True)
class BatchKey:
    """Which pictures may be drawn in one batch: those with an equal key, at most so many."""

    key: Hashable
    most: int


class Engine(Protocol):
    """Draws pictures.

    Picture `index` depends on the request's prompt, source, size, quality, background, options and
    seed and on `index` alone: never on n, on its place in a batch, or on what was drawn before.
    """

    name: str
    model: str
    max_concurrency: int = 1  # threads that may call `draw` at the same time
    capabilities: Capabilities = Capabilities()

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Draw pictures that may share a batch; says of each event whose it is.

        Progress is that of one picture. One that is cancelled meanwhile need not be finished. What
        is drawn has passed `check`. A failure is an EngineError, a refusal of whoever draws for
        the engine a `Refused`.
        """
        ...

    def batch_key(self, task: ImageTask) -> BatchKey:
        """What `task` may be drawn with; by default nothing."""
        return BatchKey(task, 1)

    def check(self, request: ImageRequest) -> None:
        """Raise InvalidRequest for what this engine cannot draw; by default by `capabilities`."""
        self.capabilities.check(request, self.name)

    def close(self) -> None:
        """Give back what it holds: memory, processes, connections. A second call does nothing.

        Nothing is drawn then and no more after it.
        """
        return

    def generate(self, request: ImageRequest) -> Iterator[Event]:
        """Draw `request`, whose seed is set; yields a Picture for each of its `indexes`."""
        id = secrets.token_hex(8)
        tasks = [ImageTask(request, index, id) for index in request.indexes]
        tracker = ProgressTracker(len(tasks))
        while tasks:
            batch_key = self.batch_key(tasks[0])
            batch = [task for task in tasks if self.batch_key(task).key == batch_key.key]
            batch = batch[: batch_key.most]
            for task, event in self.draw(batch):
                if told := tracker.add(task.index, event):
                    yield told
            tasks = [task for task in tasks if task not in batch]


@runtime_checkable
class CountsTokens(Protocol):
    """What an engine may offer besides: how much it reads and draws, for the `usage` of the API."""

    def count_cells(self, size: Size) -> int:
        """How many cells a picture of `size` has."""
        ...

    def count_tokens(self, text: str) -> int:
        """How many tokens it reads of `text`."""
        ...
