"""Rate limits of a key: per minute, per day, and concurrent requests.

A minute is the last 60 seconds, a day is a UTC day. Both are counted in the database for all
servers that share it, and survive a restart. Concurrent requests are counted in this process.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

from limner.errors import DatabaseError
from limner.service.access.auth import Holder
from limner.service.errors import RateLimited
from limner.service.threads import Threads
from limner.storage.db.database import BUSY_S
from limner.storage.db.keys import Counts, KeyStore

T = TypeVar("T")

_MINUTE_S = 60.0
_DAY_S = 86_400
_DAY_KNOWN_S = 5.0  # for so long the pictures of a day are taken for what they were
_BUSY_S = 1  # when to ask again if too many requests of one's own are under way


class MinuteWindow:
    """At most `limit` of something in any 60 seconds."""

    def __init__(self, limit: int, taken: Iterable[Sequence[float]] = ()) -> None:
        self.limit = limit
        # (when, how many), the oldest first
        self._taken = deque((when_s, int(n)) for when_s, n in taken)

    @property
    def taken(self) -> list[tuple[float, int]]:
        """What `used` counts, for another MinuteWindow to begin with."""
        return list(self._taken)

    def used(self, now_s: float) -> int:
        """How many were taken in the last 60 seconds."""
        while self._taken and self._taken[0][0] <= now_s - _MINUTE_S:
            self._taken.popleft()
        while self._taken and self._taken[-1][0] > now_s + _MINUTE_S:
            self._taken.pop()  # the clock has been set back
        return sum(n for _, n in self._taken)

    def wait_s(self, n: int, now_s: float) -> float:
        """How long until `n` may be taken: 0 is now, infinity never."""
        if n > self.limit:
            return math.inf
        excess = self.used(now_s) + n - self.limit
        for taken_s, taken in self._taken:
            if excess <= 0:
                break
            excess -= taken
            wait_s = taken_s + _MINUTE_S - now_s
            if excess <= 0:
                return wait_s
        return 0.0

    def reset_s(self, now_s: float) -> float:
        """How long until all of it may be taken again."""
        return self._taken[-1][0] + _MINUTE_S - now_s if self.used(now_s) else 0.0

    def take(self, n: int, now_s: float) -> None:
        """Count `n`, to a tenth of a second, so that there is never much to keep."""
        when_s = math.floor(now_s * 10) / 10
        if self._taken and self._taken[-1][0] == when_s:
            n += self._taken.pop()[1]
        self._taken.append((when_s, n))

    def give_back(self, n: int) -> None:
        """Undo a `take` of `n`, the latest that it can have been."""
        for at in range(len(self._taken) - 1, -1, -1):
            when_s, taken = self._taken[at]
            if taken >= n:
                self._taken[at] = (when_s, taken - n)
                return


class Meter:
    """The windows of one key, as this server last saw them, and what of it is under way here."""

    def __init__(self, holder: Holder) -> None:
        limits = holder.limits
        self.windows = {
            kind: MinuteWindow(limit)
            for kind, limit in (
                ("requests", limits.requests_per_minute),
                ("images", limits.pictures_per_minute),
            )
            if limit is not None
        }
        self.n_running = 0
        self.day = ("", 0, 0.0)  # which, its pictures so far, and when that was seen

    def read(self, counts: Counts) -> None:
        """Load the counts of all servers."""
        self.windows = {
            kind: MinuteWindow(window.limit, counts.get(kind, ()))
            for kind, window in self.windows.items()
        }

    def write(self, counts: Counts) -> None:
        """Store the counts for all servers."""
        counts.update({kind: window.taken for kind, window in self.windows.items()})

    def headers(self, now_s: float) -> dict[str, str]:
        """The remaining amounts as the API's rate-limit headers."""
        told = {}
        for kind, window in self.windows.items():
            left = max(0, window.limit - window.used(now_s))
            told[f"x-ratelimit-limit-{kind}"] = str(window.limit)
            told[f"x-ratelimit-remaining-{kind}"] = str(left)
            told[f"x-ratelimit-reset-{kind}"] = duration(window.reset_s(now_s))
        return told


class Ticket:
    """One counted request; `release` when its drawing is over, `refund` if it never began."""

    def __init__(self, limiter: Limiter, meter: Meter, key_name: str) -> None:
        self.key_name = key_name
        self._limiter, self._meter = limiter, meter
        self.undo: list[Callable[[], object]] = []  # what takes it out of the counts
        self._is_over = False
        self._n_holds = 0

    def release(self) -> None:
        """End the request's share of the concurrency limit. From any thread; repeatable."""
        with self._limiter.lock:
            if not self._is_over:
                self._is_over = True
                self._meter.n_running -= not self._n_holds

    @contextmanager
    def held(self) -> Iterator[None]:
        """Count the request as concurrent until its answer has been sent."""
        with self._limiter.lock:
            self._meter.n_running += self._is_over and not self._n_holds
            self._n_holds += 1
        try:
            yield
        finally:
            with self._limiter.lock:
                self._n_holds -= 1
                self._meter.n_running -= self._is_over and not self._n_holds

    def refund(self) -> None:
        """Undo the count of a request that was refused for another reason. May block."""
        self.release()
        for undo in self.undo:
            undo()


class Limiter:
    """Applies the limits of every key."""

    def __init__(
        self,
        store: KeyStore,
        now: Callable[[], float] = time.time,
        threads: Threads | None = None,
    ) -> None:
        self.lock = threading.Lock()
        self._store, self._now = store, now
        self._threads = threads
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._meters: dict[str, Meter] = {}

    async def acquire_async(self, holder: Holder, n: int) -> Ticket:
        """`acquire` from the loop: in a thread, if something is counted in the database."""
        if not holder.limits.are_stored:
            return self.acquire(holder, n)
        return await self._in_turn(holder.name, lambda: self.acquire(holder, n))

    async def refunded(self, ticket: Ticket) -> None:
        """`ticket.refund` from the loop."""
        if ticket.undo:
            await self._in_turn(ticket.key_name, ticket.refund)
        else:
            ticket.refund()

    async def _in_turn(self, key_name: str, count: Callable[[], T]) -> T:
        """Run `count` in a thread, one at a time for each key.

        Another server may hold the row of a key, and then one thread waits for it, not as many as
        the key has requests.
        """
        assert self._threads
        turn = self._turns.setdefault(key_name, asyncio.Lock())
        try:
            async with asyncio.timeout(BUSY_S):
                await turn.acquire()
        except TimeoutError:
            raise DatabaseError(
                f"The limits of key {key_name} could not be counted within {BUSY_S:g} s",
                hint="another server counts for this key, or the database does not answer",
            ) from None
        try:
            return await self._threads.run(count)
        finally:
            turn.release()

    def acquire(self, holder: Holder, n: int) -> Ticket:
        """Count a request for `n` pictures, or refuse it with a 429. May take time."""
        with self.lock:
            meter = self._meter(holder)
            self._check_concurrent(holder, meter)
            meter.n_running += 1
        ticket = Ticket(self, meter, holder.name)
        try:
            if meter.windows:
                self._count_minute(holder, meter, n)
                ticket.undo.append(partial(self._give_back, holder, meter, n))
            if holder.limits.pictures_per_day is not None:
                ticket.undo.append(
                    self._count_day(holder, meter, n, holder.limits.pictures_per_day)
                )
        except BaseException:
            ticket.refund()
            raise
        return ticket

    @contextmanager
    def reading(self, holder: Holder) -> Iterator[None]:
        """Count a request as under way while its body is read; a 429 if it is sure to be refused.

        What other servers counted is not looked up: `acquire` has the last word.
        """
        with self.lock:
            meter = self._meter(holder)
            self._check_concurrent(holder, meter)
            now_s = self._now()
            for kind, window in meter.windows.items():
                if wait_s := window.wait_s(1, now_s):
                    used = window.used(now_s)
                    what = f"{kind} per minute"
                    raise RateLimited(what, holder.name, window.limit, used, 1, wait_s)
            self._check_day(holder, meter, now_s)
            meter.n_running += 1
        try:
            yield
        finally:
            with self.lock:
                meter.n_running -= 1

    def _check_concurrent(self, holder: Holder, meter: Meter) -> None:
        most = holder.limits.concurrent
        if most is not None and meter.n_running >= most:
            what = "requests at once"
            raise RateLimited(what, holder.name, most, meter.n_running, 1, _BUSY_S)

    def _check_day(self, holder: Holder, meter: Meter, now_s: float) -> None:
        limit = holder.limits.pictures_per_day
        day, used, seen_s = meter.day
        is_known = day == _day(now_s) and 0 <= now_s - seen_s < _DAY_KNOWN_S
        if limit is not None and is_known and used >= limit:
            raise RateLimited("images per day", holder.name, limit, used, 1, _day_left_s(now_s))

    def headers(self, holder: Holder) -> dict[str, str]:
        """The x-ratelimit-… headers for `holder`; none without limits."""
        with self.lock:
            return self._meter(holder).headers(self._now())

    def _meter(self, holder: Holder) -> Meter:
        return self._meters.setdefault(holder.name, Meter(holder))

    def _count_minute(self, holder: Holder, meter: Meter, n: int) -> None:
        """Count a request for `n` pictures, or refuse it; other servers wait meanwhile."""
        with self._store.recent(holder.name) as counts, self.lock:
            meter.read(counts)
            now_s = self._now()
            for kind, window in meter.windows.items():
                asked = 1 if kind == "requests" else n
                wait_s = window.wait_s(asked, now_s)
                if wait_s:
                    used = window.used(now_s)
                    what = f"{kind} per minute"
                    raise RateLimited(what, holder.name, window.limit, used, asked, wait_s)
            for kind, window in meter.windows.items():
                window.take(1 if kind == "requests" else n, now_s)
            meter.write(counts)

    def _give_back(self, holder: Holder, meter: Meter, n: int) -> None:
        with self._store.recent(holder.name) as counts, self.lock:
            meter.read(counts)
            for kind, window in meter.windows.items():
                window.give_back(1 if kind == "requests" else n)
            meter.write(counts)

    def _count_day(self, holder: Holder, meter: Meter, n: int, limit: int) -> Callable[[], object]:
        """Count `n` pictures of today, or refuse them; returns what undoes it."""
        now_s = self._now()
        day = _day(now_s)
        used = self._store.count_pictures(holder.name, day, n, limit)
        is_refused = used + n > limit
        with self.lock:
            meter.day = day, used if is_refused else used + n, now_s
        if is_refused:
            wait_s = math.inf if n > limit else _day_left_s(now_s)
            raise RateLimited("images per day", holder.name, limit, used, n, wait_s)
        return partial(self._give_back_day, meter, holder.name, day, n, limit)

    def _give_back_day(self, meter: Meter, name: str, day: str, n: int, limit: int) -> None:
        self._store.count_pictures(name, day, -n, limit)
        with self.lock:
            meter.day = "", 0, 0.0


def _day(now_s: float) -> str:
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%d")


def _day_left_s(now_s: float) -> float:
    return _DAY_S - now_s % _DAY_S


def duration(seconds: float) -> str:
    """A time as these headers say it: 120ms, 58.891s, 6m0s."""
    ms = math.ceil(seconds * 1000)
    if ms < 1000:
        return f"{ms}ms"
    minutes, ms = divmod(ms, 60_000)
    rest = f"{ms / 1000:g}s"
    return f"{minutes}m{rest}" if minutes else rest
