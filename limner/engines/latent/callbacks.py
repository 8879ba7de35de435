"""A call that blocks and reports by callbacks, as an iterator that can be stopped and closed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from limner.engines.base import CancelToken, Event, ImageTask
from limner.engines.latent.reporting import Emit

T = TypeVar("T")

POLL_S = 0.25  # how often `is_cancelled` is asked while nothing happens


class Stopped(Exception):
    """Raised inside a call that is to end early. The caller does not see it."""


class Stop:
    """Tells a running call that nobody waits for it any more. Thread-safe and cheap to ask."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask the call to end."""
        self._event.set()

    def check(self) -> None:
        """Raise Stopped if the call is to end."""
        if self._event.is_set():
            raise Stopped


class Calls(Generic[T]):
    """Runs calls one after the other in one thread of its own.

    One thread for all calls: libraries that compute in parallel keep a pool for each thread that
    calls them.
    """

    def __init__(self, name: str, initializer: Callable[[], object] = lambda: None) -> None:
        """`initializer` is called once, in the thread."""
        self._pool = ThreadPoolExecutor(1, name, initializer)

    def run(
        self,
        call: Callable[[Callable[[T], None], Stop], None],
        is_cancelled: Callable[[], bool],
    ) -> Iterator[T]:
        """Yield what `call(emit, stop)` emits, as it comes; raises what it raises.

        When `is_cancelled`, or when this iterator is closed, `stop` is set, and this waits until
        the call has ended: calls never overlap.
        """
        emitted: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        stop = Stop()
        future = self._pool.submit(call, emitted.put, stop)
        future.add_done_callback(lambda _: emitted.put(None))
        try:
            while True:
                if is_cancelled():
                    stop.set()
                try:
                    event = emitted.get(timeout=POLL_S)
                except queue.Empty:
                    continue
                if event is None:
                    break
                yield event
        finally:
            stop.set()
            error = future.exception()
        if error is not None and not isinstance(error, Stopped):
            raise error

    def close(self) -> None:
        """End the thread; a second call does nothing."""
        self._pool.shutdown()


def draw_each(
    calls: Calls[Event],
    draw: Callable[[ImageTask, Emit, Stop], None],
    tasks: Sequence[ImageTask],
    cancel: CancelToken,
) -> Iterator[tuple[ImageTask, Event]]:
    """The events of `draw` for each of `tasks`, one after the other; see `Engine.draw`."""
    for task in tasks:
        is_cancelled = partial(cancel.is_cancelled, task)
        if not is_cancelled():
            for event in calls.run(partial(draw, task), is_cancelled):
                yield task, event
