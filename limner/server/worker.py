"""The one border between async and sync: a bounded queue before an engine, a thread that draws.

Handlers on the event loop submit a Job and await its events; the thread draws one job after the
other. A job that is cancelled leaves the queue, or stops at the engine's next event.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Generator
from contextlib import closing, suppress
from typing import cast

from limner.engines.base import Engine, Event
from limner.errors import DatabaseError
from limner.request import ImageRequest
from limner.server.limits import Ticket
from limner.server.wire import errors
from limner.storage.history import Record
from limner.studio import Studio

log = logging.getLogger("limner.server")

_FIRST_GUESS_S = 1.0  # for one picture, before any has been drawn
_JOIN_S = 10.0


class Job:
    """A request under way. Made by `Worker.submit`; belongs to the event loop that called it."""

    def __init__(self, request: ImageRequest) -> None:
        self.request = request
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        self._cancelled = threading.Event()
        self.state = "running"
        self.n_kept = 0  # finished pictures that are stored, or on their way out
        self.record: Record | None = None  # its row of the history, if there is one
        self.ticket: Ticket | None = None  # its place in the limits of its key

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._cancelled.is_set()

    async def events(self) -> AsyncIterator[Event]:
        """What the engine yields, as it happens; its failure is raised here."""
        while (event := await self._events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    def post(self, event: Event | Exception | None) -> None:
        """Hand `event` over to the loop, from any thread; None is the end."""
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def stop(self) -> None:
        """Draw no further; from any thread. Who listens is told by `post`, or knows."""
        self._cancelled.set()

    def cancel(self) -> None:
        """Stop at the engine's next event, or never begin; nothing, once it is over."""
        self.close("cancelled")

    def close(self, state: str) -> None:
        """End as `state`, or as "done" if every picture was kept; from the loop, once."""
        self._cancelled.set()
        if self.state != "running":
            return
        self.state = "done" if self.n_kept == self.request.n else state
        self.release()
        if self.record:
            with suppress(RuntimeError):  # the loop is closing: the next start ends the row
                self._loop.run_in_executor(None, _end, self.record, self.state)

    def release(self) -> None:
        """Its drawing is over; from any thread."""
        if self.ticket:
            self.ticket.release()

    def __enter__(self) -> Job:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close("failed" if isinstance(error, Exception) else "cancelled")


def _end(record: Record, state: str) -> None:
    try:
        record.end(state)
    except DatabaseError:
        log.exception("the end of request %s is not in the history", record.asked.id)


class Worker:
    """Draws for the server with one engine of `studio`, one request at a time, in order."""

    def __init__(self, studio: Studio, engine: str, n_waiting_max: int) -> None:
        self.engine: Engine = studio.engine(engine)
        self._studio, self._name = studio, engine
        self._n_waiting_max = n_waiting_max
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self._seconds_per_picture = _FIRST_GUESS_S
        self._current: Job | None = None
        self._thread = threading.Thread(target=self._run, name=f"draw-{engine}", daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._thread.start()

    def close(self) -> None:
        """Cancel what waits and what is drawn, and wait for the thread a while."""
        with self._changed:
            self._is_closing = True
            for job in [*self._waiting, *([self._current] if self._current else [])]:
                job.stop()
                job.post(errors.shutting_down())
            self._waiting.clear()
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests."""
        return self._thread.is_alive() and not self._is_closing

    def submit(self, request: ImageRequest) -> Job:
        """Put `request` at the end of the queue; a full queue is an ApiError with status 429."""
        job = Job(request)
        with self._changed:
            if self._is_closing:
                raise errors.shutting_down()
            self._drop_cancelled()
            if len(self._waiting) >= self._n_waiting_max:
                raise errors.queue_full(len(self._waiting), self._retry_after_s())
            self._waiting.append(job)
            self._changed.notify()
        return job

    def _drop_cancelled(self) -> None:
        self._waiting = deque(job for job in self._waiting if not job.is_cancelled)

    def _retry_after_s(self) -> int:
        """When a place in the queue is likely to be free."""
        n_pictures = self._current.request.n if self._current else self._waiting[0].request.n
        seconds = math.ceil(n_pictures * self._seconds_per_picture)
        return min(max(1, seconds), errors.MAX_RETRY_AFTER_S)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            if not job.is_cancelled:
                self._draw(job)
            job.release()  # here too, as a stream whose client never read it has no other end

    def _next(self) -> Job | None:
        with self._changed:
            self._current = None
            while not self._waiting and not self._is_closing:
                self._changed.wait()
            if self._is_closing:
                return None
            self._current = self._waiting.popleft()
            return self._current

    def _draw(self, job: Job) -> None:
        started_s = time.monotonic()
        try:
            events = cast("Generator[Event]", self._studio.draw(job.request, engine=self._name))
            with closing(events):  # stops the engine where it is
                for event in events:
                    if job.is_cancelled:
                        log.info("cancelled after %.1f s", time.monotonic() - started_s)
                        return
                    job.post(event)
        except Exception as error:  # the thread outlives what an engine does wrong
            job.post(error)
            return
        job.post(None)
        seconds = (time.monotonic() - started_s) / job.request.n
        self._seconds_per_picture += 0.3 * (seconds - self._seconds_per_picture)
