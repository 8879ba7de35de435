"""The order of drawing: keys take turns, and the requests of one key are drawn in order.

Pictures in progress share the engine equally. So while several keys are active, each may have as
many pictures in progress as the key that asks for the fewest: each key then gets an equal share of
the engine's time, or all that it wants. If that would leave a worker thread idle, one more picture
is begun. A key is active from its first picture until RETURN_S after its last, because a client
that waits for each answer is absent for a moment between its requests.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from math import ceil

from limner.engines.base import BatchKey, ImageTask
from limner.service.queue.jobs import Job

RETURN_S = 2.0

Batch = dict[ImageTask, Job]  # pictures to draw together, and whose they are


class FairQueue:
    """One line of jobs per key. A turn is one picture: of the first job in the next line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines: OrderedDict[str, deque[Job]] = OrderedDict()
        self._under_way: Counter[str] = Counter()  # pictures that were taken and not left
        self._left_s: dict[str, float] = {}  # when the last picture of a key was left
        self._clock = clock

    def append(self, job: Job) -> None:
        """Add `job` at the end of its key's line."""
        self._lines.setdefault(job.key_name, deque()).append(job)

    def take(self, batch_key: Callable[[ImageTask], BatchKey], n_free: int = 1) -> Batch:
        """The first picture, and as many as may be drawn with it, from one key after the other.

        Who is passed over because it cannot share keeps its place, and so is first before long.
        What waits is parted among the `n_free` who could draw it. Empty if nothing can be begun.
        """
        batch_key = cache(batch_key)
        share = self._share()
        begun = [job for line in self._lines.values() if (job := _first(line))]
        first = next((job for job in begun if self._under_way[job.key_name] < share), None)
        first = first or next(iter(begun), None)
        if first is None or first.next is None:
            return {}
        key, most = batch_key(first.next).key, batch_key(first.next).most
        most = min(most, ceil(sum(job.n_left for job in self) / n_free))
        batch: Batch = {}
        lines, n_before = list(self._lines.items()), -1
        while n_before < len(batch) < most:
            n_before = len(batch)
            for name, line in lines:
                job = _first(line, lambda one: batch_key(one).key == key)
                may_begin = self._under_way[name] < share or (not batch and job is first)
                if job and may_begin and len(batch) < most:
                    is_turn = job is _first(line)
                    batch[job.begin()] = job
                    self._under_way[name] += 1
                    self._tidy(name, is_turn=is_turn)
        return batch

    def _share(self) -> int:
        """How many pictures of one key may be under way now."""
        now_s = self._clock()
        self._left_s = {n: s for n, s in self._left_s.items() if now_s - s <= RETURN_S}
        wanted = Counter(dict.fromkeys(self._left_s, 1))  # at least
        asked = self._under_way.copy()
        for job in self:
            asked[job.key_name] += job.n_left
        wanted |= asked
        return min(wanted.values()) if len(wanted) > 1 else sys.maxsize

    def _tidy(self, key_name: str, *, is_turn: bool) -> None:
        """A picture was taken from a line; if that was its turn, it goes behind all others."""
        line = self._lines[key_name]
        for job in [job for job in line if not job.n_left]:
            line.remove(job)
        if is_turn:
            self._lines.move_to_end(key_name)
        if not line:
            del self._lines[key_name]

    def leave(self, job: Job) -> None:
        """A picture of `job` is drawn no longer: who came meanwhile is before its key."""
        self._under_way[job.key_name] -= 1
        self._left_s[job.key_name] = self._clock()
        if job.key_name in self._lines:
            self._lines.move_to_end(job.key_name)

    def drop_cancelled(self) -> list[Job]:
        """Remove cancelled jobs."""
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
        for position in range(max(map(len, lines), default=0)):
            yield from (line[position] for line in lines if position < len(line))


def has_room(n_waiting: Mapping[str, int], key_name: str, most: int) -> bool:
    """Whether one more request of `key_name` may wait, by how many of each key wait already.

    `most` may wait, of one key or of many. Beyond that only keys may add that have less than an
    equal share of `most`, as one key alone can have filled it; together no more than twice `most`
    wait.
    """
    n_total = sum(n_waiting.values())
    if n_total < most:
        return True
    n_keys = len({*n_waiting, key_name})
    return n_waiting.get(key_name, 0) < max(1, most // n_keys) and n_total < 2 * most


def _first(line: Iterable[Job], fits: Callable[[ImageTask], bool] = lambda one: True) -> Job | None:
    """The first with a picture to begin that fits."""
    return next((job for job in line if job.next and fits(job.next)), None)
