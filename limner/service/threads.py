"""Threads for calls that wait for the database, separate from all other threads.

Such a call goes on in its thread if the task that waits for it is cancelled: see `undone_if_left`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from limner.errors import DatabaseError

P = ParamSpec("P")
T = TypeVar("T")

_going_on: set[asyncio.Task[Any]] = set()  # the loop itself keeps no task alive


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


async def undone_if_left(work: Coroutine[Any, Any, T], undo: Callable[[T], object]) -> T:
    """The result of `work`, which goes on if the caller is cancelled: then `undo` gets its result.

    For what outlives the caller, such as a count or a row. `undo` is called in the event loop.
    """
    task = asyncio.ensure_future(work)
    _going_on.add(task)
    task.add_done_callback(_going_on.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(partial(_undo, undo))
        raise


def _undo(undo: Callable[[T], object], task: asyncio.Task[T]) -> None:
    if not task.cancelled() and task.exception() is None:
        undo(task.result())
