"""The one border between async and sync: a bounded queue before an engine, a thread that draws.

Handlers on the event loop submit a Job and await its events. The thread draws a picture at a time:
when one is finished and another key waits, the engine's generator is put aside as it is and goes on
at the next turn of its key. What it draws cannot depend on that, since it shares nothing with the
others. A job that is cancelled leaves the queue, or stops at the engine's next event.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Generator
from typing import cast

from limner.engines.base import Engine, Event, Picture, Preview, Progress
from limner.request import ImageRequest
from limner.server.auth import ANYONE, Holder
from limner.server.jobs import Job
from limner.server.metrics import Metrics
from limner.server.traces import NO_TRACE, Trace
from limner.server.turns import Turns
from limner.server.wire import errors
from limner.studio import Studio

log = logging.getLogger("limner.server")

_FIRST_GUESS_S = 1.0  # for one picture, before any has been drawn
_JOIN_S = 10.0


class _Turn:
    """Where the time of a picture goes: what passes before an event is of the stage it names."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()
        self._by_stage: dict[str, float] = {}
        self._stage = ""

    def note(self, event: Event) -> None:
        """The engine yielded `event`."""
        now_s = time.monotonic()
        if isinstance(event, Progress):
            self._stage = event.stage
        stage = "previews" if isinstance(event, Preview) else self._stage or "drawing"
        self._by_stage[stage] = self._by_stage.get(stage, 0.0) + now_s - self._last_s
        self._last_s = now_s

    def take(self) -> dict[str, float]:
        """Seconds by stage since the last call."""
        taken, self._by_stage = self._by_stage, {}
        return taken


class Worker:
    """Draws for the server with one engine of `studio`, one picture at a time."""

    def __init__(
        self, studio: Studio, engine: str, n_waiting_max: int, metrics: Metrics | None = None
    ) -> None:
        self.engine: Engine = studio.engine(engine)
        self._studio, self._name = studio, engine
        self._n_waiting_max = n_waiting_max
        self._metrics = metrics or Metrics()
        self._metrics.watch_queue(self.engine.model, lambda: self.n_waiting)
        self._waiting = Turns()
        self._changed = threading.Condition()
        self._is_closing = False
        self._seconds_per_picture = _FIRST_GUESS_S
        self._current: Job | None = None
        self._thread = threading.Thread(target=self._run, name=f"draw-{engine}", daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._thread.start()

    def interrupt(self) -> None:
        """Take nothing new, and stop what waits and what is drawn."""
        with self._changed:
            self._is_closing = True
            for job in [*self._waiting, *([self._current] if self._current else [])]:
                job.interrupt()
            self._changed.notify()

    def close(self) -> None:
        """Interrupt everything, and wait for the thread a while."""
        self.interrupt()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests."""
        return self._thread.is_alive() and not self._is_closing

    @property
    def n_waiting(self) -> int:
        """Requests that wait for a turn."""
        with self._changed:
            return len(self._waiting)

    def submit(
        self,
        request: ImageRequest,
        holder: Holder = ANYONE,
        id: str = "",
        trace: Trace = NO_TRACE,
        *,
        is_bounded: bool = True,
    ) -> Job:
        """Put `request` in the queue; a full queue, if that is a bound, is a 429 (ApiError)."""
        job = Job(request, holder, id, trace)
        with self._changed:
            if self._is_closing:
                raise errors.shutting_down()
            self._waiting.drop_cancelled()
            if is_bounded and len(self._waiting) >= self._n_waiting_max:
                raise errors.queue_full(len(self._waiting), self._retry_after_s())
            self._waiting.append(job)
            self._tell_positions()
            self._changed.notify()
        return job

    def _tell_positions(self) -> None:
        is_busy = self._current is not None
        waiting = (job for job in self._waiting if job.status.state == "queued")
        for position, job in enumerate(waiting, start=1):
            # Who is drawn in a moment need not hear that he is the next.
            job.place(position, is_told=is_busy or position > 1)

    def _retry_after_s(self) -> int:
        """When a place in the queue is likely to be free."""
        job = self._current or next(iter(self._waiting))
        seconds = math.ceil((job.request.n - job.n_drawn) * self._seconds_per_picture)
        return min(max(1, seconds), errors.MAX_RETRY_AFTER_S)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            if job.is_cancelled or not self._take_turn(job):
                if job.drawing:
                    job.drawing.close()  # stops the engine where it is
                job.drawing = None
                job.release()  # here too: a stream that its client never read has no other end

    def _next(self) -> Job | None:
        """The next job; while closing, only those that are half drawn and must be closed."""
        with self._changed:
            self._current = None
            while not self._waiting and not self._is_closing:
                self._changed.wait()
            if not self._waiting:
                return None
            job = self._current = self._waiting.pop()
            if job.status.state == "queued":
                job.status.state = "drawing"
                job.place(None)
                wait_s = time.monotonic() - job.submitted_s
                self._metrics.waited(self.engine.model, job.key_name, wait_s)
                job.trace.add("wait", wait_s)
            self._waiting.drop_cancelled()
            self._tell_positions()
            return job

    def _take_turn(self, job: Job) -> bool:
        """Draw until a picture is finished and another key waits; whether there is more to draw."""
        turn = _Turn()
        try:
            if job.drawing is None:
                events = self._studio.draw(job.request, engine=self._name)
                job.drawing = cast("Generator[Event]", events)
            for event in job.drawing:
                if job.is_cancelled:
                    log.info("%s was cancelled while it was drawn", job.status.id)
                    return False
                job.post(event)
                turn.note(event)
                if isinstance(event, Picture):
                    self._count_picture(job, event, turn)
                    if job.n_drawn < job.request.n and self._put_back(job):
                        return True
        except Exception as error:  # the thread outlives what an engine does wrong
            job.post(error)
            return False
        job.post(None)
        return False

    def _count_picture(self, job: Job, picture: Picture, turn: _Turn) -> None:
        job.n_drawn += 1
        model, by_stage = self.engine.model, turn.take()
        self._metrics.drew(model, job.key_name)
        job.trace.add_stages(by_stage, **{"limner.picture": picture.index})
        for stage, seconds in by_stage.items():
            self._metrics.worked(model, stage, seconds)
        seconds = sum(by_stage.values())
        self._seconds_per_picture += 0.3 * (seconds - self._seconds_per_picture)

    def _put_back(self, job: Job) -> bool:
        """Let the other keys have their turns first, if any waits."""
        with self._changed:
            if not self._waiting.has_other(job.key_name):
                return False
            self._waiting.put_back(job)
            return True
