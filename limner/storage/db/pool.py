"""A pool of database connections: one thread per connection, and a time limit for each use."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

_OPERATIONS_A_LOOK = 10_000  # of SQLite's machine, under a millisecond


class PoolTimeout(Exception):
    """All connections were in use until the time limit."""


class Connection(Protocol):
    """What a pool needs of a connection."""

    @property
    def is_broken(self) -> bool:
        """Whether the connection is unusable."""
        ...

    def allow(self, until_s: float) -> None:
        """End what is run from now on at `until_s`, as time.monotonic counts."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class FileConnection(sqlite3.Connection):
    """A connection to a SQLite file, for sqlite3.connect(factory=…).

    It waits for a lock at most `lock_s`, and a statement is ended ("interrupted") when its time is
    over.
    """

    lock_s = math.inf
    is_broken = False
    _until_s = math.inf

    def allow(self, until_s: float) -> None:
        """End what is run from now on at `until_s`, as time.monotonic counts."""
        self._until_s = until_s
        wait_s = min(self.lock_s, max(0.0, until_s - time.monotonic()))
        self.execute(f"PRAGMA busy_timeout = {math.ceil(wait_s * 1000)}")
        self.set_progress_handler(self._is_over, _OPERATIONS_A_LOOK)

    def discard(self) -> None:
        """Mark the connection for closing, because its state is unknown."""
        self.is_broken = True

    def _is_over(self) -> bool:
        return time.monotonic() > self._until_s


T = TypeVar("T", bound=Connection)


class Pool(Generic[T]):
    """At most `size` connections, opened when they are needed."""

    def __init__(self, open: Callable[[], T], size: int) -> None:
        self.size = size
        self._open = open
        self._places = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._idle: list[T] = []
        self._generation = 0  # connections of an earlier one are closed when they come back

    @contextmanager
    def lent(self, until_s: float) -> Iterator[T]:
        """Lend one connection to this thread; raises PoolTimeout if none is free by `until_s`."""
        if not self._places.acquire(timeout=max(0.0, until_s - time.monotonic())):
            raise PoolTimeout
        try:
            with self._lock:
                generation = self._generation
                connection = self._idle.pop() if self._idle else None
            connection = connection or self._open()
            try:
                connection.allow(until_s)
                yield connection
            finally:
                self._take_back(connection, generation)
        finally:
            self._places.release()

    def close(self) -> None:
        """Close idle connections now and lent ones on return; the next use opens new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._generation += 1
        for connection in idle:
            connection.close()

    def _take_back(self, connection: T, generation: int) -> None:
        if connection.is_broken:
            self.close()  # the server went away, and the others are of no use either
        with self._lock:
            is_kept = generation == self._generation
            if is_kept:
                self._idle.append(connection)
        if not is_kept:
            connection.close()
