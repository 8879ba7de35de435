"""The protocol of all engines. To write an engine, import from here only."""

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

    Two tasks are equal if their request id and index are equal. Without an `id`, a task gets a
    fresh one.
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
    """Tells an engine, while it draws, which tasks were cancelled. Thread-safe."""

    def is_cancelled(self, task: ImageTask) -> bool:
        """Whether `task` need not be finished. Once true, it stays true."""
        ...


class _Never:
    def is_cancelled(self, task: ImageTask) -> bool:
        return False


NEVER: CancelToken = _Never()


@dataclass(frozen=True)
class BatchKey:
    """Tasks with an equal `key` may be drawn in one batch of at most `most` pictures."""

    key: Hashable
    most: int


class Engine(Protocol):
    """Draws pictures.

    Picture `index` depends on the request's prompt, source, size, quality, background, options and
    seed and on `index` alone: never on n, on its position in a batch, or on what was drawn before.
    """

    name: str
    model: str
    max_concurrency: int = 1  # threads that may call `draw` at the same time
    capabilities: Capabilities = Capabilities()
    n_bytes: int = 0  # that it takes in memory, about; 0: as much as its files

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Draw `tasks`, which share a batch key; yields each event with its task.

        Progress counts the steps of one picture. A cancelled task need not be finished. All
        requests have passed `check`. Raises EngineError, or `Refused` if a service that draws for
        the engine refuses.
        """
        ...

    def batch_key(self, task: ImageTask) -> BatchKey:
        """The batch key of `task`. By default each task is a batch of its own."""
        return BatchKey(task, 1)

    def check(self, request: ImageRequest) -> None:
        """Raise InvalidRequest for what this engine cannot draw; by default by `capabilities`."""
        self.capabilities.check(request, self.name)

    def close(self) -> None:
        """Free memory, processes and connections. A second call does nothing.

        Never called while `draw` runs; `draw` is never called after it.
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
    """Optional for an engine: counts cells and tokens, for the `usage` of the API."""

    def count_cells(self, size: Size) -> int:
        """How many cells a picture of `size` has."""
        ...

    def count_tokens(self, text: str) -> int:
        """How many tokens it reads of `text`."""
        ...
