"""The border between async and sync code: a bounded queue and the threads that draw.

Handlers on the event loop submit a Job and await its events. Each worker thread draws batches:
waiting pictures of any jobs that the engine can draw together. It never waits for a batch to fill.
A cancelled job leaves the queue and its pictures are not finished; a thread whose pictures are all
cancelled stops at the engine's next event.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from contextlib import closing

from limner.engines.base import (
    BatchKey,
    Engine,
    Event,
    ImageTask,
    Picture,
    Preview,
    Progress,
)
from limner.errors import LimnerError
from limner.request import ImageRequest
from limner.service.errors import MAX_RETRY_AFTER_S, QueueFull, ShuttingDown
from limner.service.queue.fair_queue import Batch, FairQueue, has_room
from limner.service.queue.jobs import Job, JobContext
from limner.service.telemetry.metrics import Metrics
from limner.studio import Studio

log = logging.getLogger("limner.server")

_FIRST_GUESS_S = 1.0  # for one picture, before any has been drawn
_JOIN_S = 10.0


class _Clock:
    """Where the time of a batch goes: what passes before an event is of the stage it names."""

    def __init__(self) -> None:
        self.started_s = self._last_s = time.monotonic()
        self.seconds: dict[str, float] = {}  # by stage, in the order in which they began
        self._pictures: dict[str, set[ImageTask]] = {}
        self._stage = "drawing"

    def note(self, one: ImageTask, event: Event) -> None:
        """The engine yielded `event` of `one`."""
        now_s = time.monotonic()
        if isinstance(event, Progress):
            self._stage = event.stage
        stage = "previews" if isinstance(event, Preview) else self._stage
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now_s - self._last_s
        self._pictures.setdefault(stage, set()).add(one)
        self._last_s = now_s

    def report(self, metrics: Metrics, model: str) -> None:
        """Give each picture an equal share of the stages that it was in."""
        for stage, pictures in self._pictures.items():
            for _ in pictures:
                metrics.worked(model, stage, self.seconds[stage] / len(pictures))


class _Waited:
    """The cancel token of a batch: a picture is cancelled with its job."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def is_cancelled(self, task: ImageTask) -> bool:
        return self._batch[task].is_cancelled


class Worker:
    """Draws for the server with one engine of `studio`."""

    def __init__(
        self, studio: Studio, engine: str, n_waiting_max: int, metrics: Metrics | None = None
    ) -> None:
        self.engine: Engine = studio.engine(engine)
        self._studio, self._name = studio, engine
        self._n_waiting_max = n_waiting_max
        self._metrics = metrics or Metrics()
        self._metrics.watch_queue(self.engine.model, lambda: self.n_waiting)
        self._waiting = FairQueue()
        self._drawing: set[Job] = set()  # with a picture under way
        self._changed = threading.Condition()
        self._is_closing = False
        self._n_free = 0  # worker threads that wait for work
        self._seconds_per_picture = _FIRST_GUESS_S
        self._threads = [
            threading.Thread(target=self._run, name=f"draw-{engine}-{thread}", daemon=True)
            for thread in range(self.engine.max_concurrency)
        ]

    def start(self) -> None:
        """Begin to draw."""
        for thread in self._threads:
            thread.start()

    def interrupt(self) -> None:
        """Refuse new requests, and stop waiting and running ones."""
        with self._changed:
            self._is_closing = True
            for job in {*self._waiting, *self._drawing}:
                job.interrupt()
            self._changed.notify_all()

    def close(self) -> None:
        """Interrupt everything, wait for the worker threads a while, and close the engine.

        An engine that is still drawing then is left to the end of the process.
        """
        self.interrupt()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_JOIN_S)
        if not self.is_drawing:
            self.engine.close()

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests."""
        return all(thread.is_alive() for thread in self._threads) and not self._is_closing

    @property
    def is_drawing(self) -> bool:
        """Whether a worker thread is in the engine, or may be."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is being drawn."""
        with self._changed:
            return not self._drawing and not list(self._waiting)

    @property
    def n_waiting(self) -> int:
        """Requests that wait for a turn: nothing of them is being drawn."""
        with self._changed:
            return self._n_waiting_by_key().total()

    def _n_waiting_by_key(self) -> Counter[str]:
        return Counter(job.key_name for job in self._waiting if job not in self._drawing)

    def submit(
        self,
        request: ImageRequest,
        context: JobContext = JobContext(),  # noqa: B008  frozen
        *,
        is_stream: bool = False,
        is_bounded: bool = True,
    ) -> Job:
        """Put `request` in the queue.

        With `is_bounded`, a queue that has no room for the key raises QueueFull. A worker thread
        calls `context.begins` before it draws the first picture; if that fails, none is drawn.
        """
        job = Job(request, context, is_stream=is_stream, sent_on=self._wake)
        with self._changed:
            if self._is_closing:
                raise ShuttingDown
            if not job.n_left:  # a server that was stopped had drawn it all
                job.post(None)
                return job
            self._drop_cancelled()
            n_waiting = self._n_waiting_by_key()
            if is_bounded and not has_room(n_waiting, job.key_name, self._n_waiting_max):
                raise QueueFull(n_waiting.total(), self._retry_after_s())
            self._waiting.append(job)
            self._tell_positions()
            self._changed.notify()
        return job

    def _wake(self) -> None:
        """Let a worker thread that waits look again: a job may go on."""
        with self._changed:
            self._changed.notify()

    def _drop_cancelled(self) -> None:
        for job in self._waiting.drop_cancelled():
            if job not in self._drawing:
                job.release()

    def _tell_positions(self) -> None:
        waiting = (job for job in self._waiting if job.status.state == "queued")
        for position, job in enumerate(waiting, start=1):
            # Who is drawn in a moment need not hear that he is the next.
            job.place(position, is_told=position > self._n_free)

    def _retry_after_s(self) -> int:
        """When a place in the queue is likely to be free."""
        n_left = sum(job.request.n - job.n_drawn for job in self._drawing)
        seconds = math.ceil(n_left * self._seconds_per_picture / len(self._threads))
        return min(max(1, seconds), MAX_RETRY_AFTER_S)

    def _run(self) -> None:
        while batch := self._next():
            ready = self._made_ready(batch)
            if ready:
                self._draw(ready)
            self._leave(batch)
            del batch, ready  # or a worker thread that waits would hold what it drew last

    def _next(self) -> Batch:
        """What a worker thread that is free draws now; empty when the worker closes."""
        with self._changed:
            self._n_free += 1
            batch: Batch = {}
            while not self._is_closing:
                self._drop_cancelled()
                if batch := self._waiting.take(self._batch_key, self._n_free):
                    break
                self._changed.wait()
            self._n_free -= 1
            for job in batch.values():
                self._drawing.add(job)
                if job.start():
                    wait_s = time.monotonic() - job.submitted_s
                    self._metrics.waited(self.engine.model, job.key_name, wait_s)
                    job.trace.add("wait", wait_s)
            self._tell_positions()
            self._changed.notify()  # there may be work for one more thread
            return batch

    def _made_ready(self, batch: Batch) -> Batch:
        """The part of `batch` whose jobs may be drawn; the others are interrupted."""
        for job in set(batch.values()):
            try:
                job.before_drawing()
            except LimnerError as error:
                log.warning("request %s is not begun: %s", job.status.id, error.message)
                job.interrupt()
        return {one: job for one, job in batch.items() if not job.is_cancelled}

    def _batch_key(self, one: ImageTask) -> BatchKey:
        try:
            return self.engine.batch_key(one)
        except Exception:  # what is wrong will be said when it is drawn
            return BatchKey(one, 1)

    def _draw(self, batch: Batch) -> None:
        """Draw a batch; if it fails, what is missing one by one, so that one alone is at fault.

        An engine that is not `repeatable` is asked once: then all that is missing has failed.
        """
        left = dict(batch)
        clock = _Clock()
        self._metrics.began(self.engine.model, len(batch))
        try:
            drawing = self._studio.draw_together(list(batch), _Waited(batch), engine=self._name)
            with closing(drawing) as events:
                for one, event in events:
                    clock.note(one, event)
                    if isinstance(event, Picture):
                        del left[one]
                        about = {"limner.picture": one.index}
                        # Before it is told: the last picture ends the trace.
                        batch[one].trace.add_stages(clock.seconds, **about)
                    self._tell(batch[one], one, event)
                    if left and all(job.is_cancelled for job in left.values()):
                        log.info("stopped drawing a batch: all of its requests are cancelled")
                        return
        except Exception as error:  # the thread outlives what an engine does wrong
            if len(batch) == 1:
                [job] = batch.values()
                job.fail(error)
                return
            log.warning("a batch of %d failed: %s", len(batch), error)
            for one, job in left.items():
                if job.is_cancelled:
                    continue
                if self.engine.capabilities.repeatable:
                    self._draw({one: job})
                else:
                    job.fail(error)
        else:
            seconds = (time.monotonic() - clock.started_s) / len(batch)
            self._seconds_per_picture += 0.3 * (seconds - self._seconds_per_picture)
        finally:
            clock.report(self._metrics, self.engine.model)

    def _tell(self, job: Job, one: ImageTask, event: Event) -> None:
        with self._changed:  # another thread may draw for the same job
            if job.is_cancelled:
                return
            if isinstance(event, Picture):
                job.n_drawn += 1
                self._metrics.drew(self.engine.model, job.key_name)
            if told := job.tracker.add(one.index, event):
                job.post(told)
            if job.n_drawn == job.request.n:
                job.post(None)

    def _leave(self, batch: Batch) -> None:
        with self._changed:
            for job in batch.values():
                job.n_under_way -= 1
                self._waiting.leave(job)
            over = {job for job in batch.values() if not job.n_under_way}
            self._drawing -= over
        for job in over:
            if job.is_cancelled or not job.n_left:
                job.release()  # here too: a stream that its client never read has no other end
