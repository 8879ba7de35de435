"""Work that goes on when its caller is cancelled is undone."""

from __future__ import annotations

import asyncio
import threading

import pytest

from limner.service.threads import Threads, undone_if_left


def test_result_of_a_caller_that_stays_is_kept() -> None:
    undone: list[int] = []

    async def run() -> int:
        return await undone_if_left(Threads(1, 1).run(lambda: 7), undone.append)

    assert asyncio.run(run()) == 7
    assert undone == []


def test_work_of_a_caller_that_leaves_is_undone() -> None:
    """Also if a thread is at work: its result is not lost."""
    begun, go_on = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        assert go_on.wait(60)
        return 7

    async def run() -> int:
        undone = asyncio.get_running_loop().create_future()
        caller = asyncio.ensure_future(
            undone_if_left(Threads(1, 1).run(work), undone.set_result),
        )
        await asyncio.to_thread(begun.wait, 10)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go_on.set()
        result: int = await undone
        return result

    assert asyncio.run(run()) == 7


def test_failure_is_raised_and_not_undone() -> None:
    undone: list[object] = []

    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(undone_if_left(fail(), undone.append))
    assert undone == []
