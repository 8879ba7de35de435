"""Whose turn it is to be drawn: keys take turns, and the requests of one key go in order."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from math import ceil

from limner.engines.base import BatchKey, ImageTask
from limner.service.queue.jobs import Job

Batch = dict[ImageTask, Job]  # pictures to draw together, and whose they are


class FairQueue:
    """A line of jobs for each key; a turn is a picture, of the first in the next line."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Job]] = OrderedDict()

    def append(self, job: Job) -> None:
        """Put `job` at the end of the line of its key."""
        self._lines.setdefault(job.key_name, deque()).append(job)

    def take(self, batch_key: Callable[[ImageTask], BatchKey], n_free: int = 1) -> Batch:
        """The first picture, and as many as may be drawn with it, from one key after the other.

        Who is passed over because it cannot share keeps its place, and so is first before long.
        What waits is parted among the `n_free` who could draw it. Empty if nothing can be begun.
        """
        batch_key = cache(batch_key)
        first = next((job for line in self._lines.values() if (job := _first(line))), None)
        if first is None or first.next is None:
            return {}
        key, most = batch_key(first.next).key, batch_key(first.next).most
        most = min(most, ceil(sum(job.n_left for job in self) / n_free))
        batch: Batch = {}
        lines, n_before = list(self._lines.values()), -1
        while n_before < len(batch) < most:
            n_before = len(batch)
            for line in lines:
                job = _first(line, lambda one: batch_key(one).key == key)
                if job and len(batch) < most:
                    is_turn = job is _first(line)
                    batch[job.begin()] = job
                    self._tidy(job.key_name, is_turn=is_turn)
        return batch

    def _tidy(self, key_name: str, *, is_turn: bool) -> None:
        """A picture was taken from a line; if that was its turn, it goes behind all others."""
        line = self._lines[key_name]
        for job in [job for job in line if not job.n_left]:
            line.remove(job)
        if is_turn:
            self._lines.move_to_end(key_name)
        if not line:
            del self._lines[key_name]

    def rotate(self, job: Job) -> None:
        """A picture of `job` is finished: who came meanwhile is before its key."""
        if job.key_name in self._lines:
            self._lines.move_to_end(job.key_name)

    def drop_cancelled(self) -> list[Job]:
        """Take out whom nobody waits for."""
        dropped = [job for job in self if job.is_cancelled]
        for job in dropped:
            line = self._lines[job.key_name]
            line.remove(job)
            if not line:
                del self._lines[job.key_name]
        return dropped

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[Job]:
        """All jobs, in the order in which they come to their next turn."""
        lines = [list(line) for line in self._lines.values()]
        for place in range(max(map(len, lines), default=0)):
            yield from (line[place] for line in lines if place < len(line))


def _first(line: Iterable[Job], fits: Callable[[ImageTask], bool] = lambda one: True) -> Job | None:
    """The first with a picture to begin that fits."""
    return next((job for job in line if job.next and fits(job.next)), None)
