"""Threads for calls that wait for the database, separate from all other threads."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from limner.errors import DatabaseError

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """At most `n` threads; a call waits at most `wait_s` seconds for a free one."""

    def __init__(self, n: int, wait_s: float) -> None:
        self._places = asyncio.Semaphore(n)
        self._limiter = CapacityLimiter(math.inf)  # the places are the bound
        self._wait_s = wait_s

    async def run(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """The result of `call` in a thread; a DatabaseError if none is free in time."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._places.acquire()
        except TimeoutError:
            raise DatabaseError(
                f"{self._wait_s:g} s have passed, and earlier requests still wait for the database",
                hint="see whether it answers, and try again later",
            ) from None
        try:
            return await to_thread.run_sync(
                partial(call, *arguments, **named), limiter=self._limiter
            )
        finally:
            self._places.release()
