"""Calls that block and report by callbacks: as an iterator that stops, closes and raises."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from limner.engines.latent.callbacks import Calls, Stop

Emit = Callable[[int], None]


@pytest.fixture
def calls() -> Iterator[Calls[int]]:
    made: Calls[int] = Calls("test")
    yield made
    made.close()
    made.close()


def _never() -> bool:
    return False


def test_it_yields_what_is_emitted_in_order(calls: Calls[int]) -> None:
    def count(emit: Emit, stop: Stop) -> None:
        for number in range(100):
            emit(number)

    assert list(calls.run(count, _never)) == list(range(100))


def test_it_raises_what_the_call_raises_after_what_it_emitted(calls: Calls[int]) -> None:
    def fail(emit: Emit, stop: Stop) -> None:
        emit(1)
        raise ZeroDivisionError

    events = calls.run(fail, _never)
    assert next(events) == 1
    with pytest.raises(ZeroDivisionError):
        next(events)


def test_a_cancelled_call_ends_without_an_error(calls: Calls[int]) -> None:
    cancelled, ended = threading.Event(), threading.Event()

    def work(emit: Emit, stop: Stop) -> None:
        try:
            emit(1)
            while True:
                stop.check()
        finally:
            ended.set()

    found = []
    for number in calls.run(work, cancelled.is_set):
        found.append(number)
        cancelled.set()
    assert found == [1]
    assert ended.is_set()


def test_closing_waits_until_the_call_has_ended(calls: Calls[int]) -> None:
    ended = threading.Event()

    def work(emit: Emit, stop: Stop) -> None:
        try:
            while True:
                emit(1)
                stop.check()
        finally:
            ended.set()

    events = calls.run(work, _never)
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert ended.is_set()
    assert list(calls.run(lambda emit, stop: emit(2), _never)) == [2]


def test_all_calls_run_in_one_thread_that_was_set_up_once() -> None:
    threads: list[int] = []
    calls: Calls[int] = Calls("test", lambda: threads.append(threading.get_ident()))
    for _ in range(3):
        [ident] = calls.run(lambda emit, stop: emit(threading.get_ident()), _never)
        threads.append(ident)
    calls.close()
    assert len(threads) == 4
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
