"""Whose turn it is to be drawn: keys take turns, and the requests of one key go in order."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator

from limner.server.jobs import Job


class Turns:
    """A line of jobs for each key; the first of the next line is the next job."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Job]] = OrderedDict()

    def append(self, job: Job) -> None:
        """Put `job` at the end of the line of its key."""
        self._lines.setdefault(job.key_name, deque()).append(job)

    def pop(self) -> Job:
        """Take the next job; the line of its key goes behind all others."""
        key_name, line = next(iter(self._lines.items()))
        job = line.popleft()
        self._lines.move_to_end(key_name)
        if not line:
            del self._lines[key_name]
        return job

    def put_back(self, job: Job) -> None:
        """Give a job that has had a turn the next turn of its key, behind all other keys."""
        self._lines.setdefault(job.key_name, deque()).appendleft(job)
        self._lines.move_to_end(job.key_name)

    def has_other(self, key_name: str) -> bool:
        """Whether anyone but `key_name` waits for a turn."""
        return any(name != key_name for name in self._lines)

    def drop_cancelled(self) -> None:
        """Take out whom nobody waits for; one that is half drawn stays until it is closed."""
        for key_name, line in list(self._lines.items()):
            kept = deque(job for job in line if job.drawing or not job.is_cancelled)
            self._lines[key_name] = kept
            if not kept:
                del self._lines[key_name]

    def clear(self) -> None:
        """Take everyone out."""
        self._lines.clear()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[Job]:
        """All jobs, in the order in which they come to their next turn."""
        lines = [list(line) for line in self._lines.values()]
        for place in range(max(map(len, lines), default=0)):
            yield from (line[place] for line in lines if place < len(line))
