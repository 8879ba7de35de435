"""An in-flight request: events for its client, status for pollers."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from limner.engines.base import (
    Event,
    ImageTask,
    Picture,
    Progress,
    ProgressTracker,
)
from limner.errors import DatabaseError
from limner.request import ImageRequest
from limner.service.access.auth import ANYONE, Holder
from limner.service.access.rate_limits import Ticket
from limner.service.errors import RequestCancelled, ShuttingDown
from limner.service.telemetry.traces import NO_TRACE, Trace
from limner.storage.history.history import Record

log = logging.getLogger("limner.server")

State = Literal["queued", "drawing", "done", "failed", "cancelled", "interrupted"]
MAX_REMEMBERED = 1000
MAX_UNSENT = 2  # pictures of a stream: one on its way to the client, one drawn meanwhile
MAX_CLIENT_ID_CHARS = 512


@dataclass(frozen=True)
class Waiting:
    """The request is the `position`th of those that wait; 1 is the next."""

    position: int


@dataclass
class Status:
    """The state of a request. Kept after its end, so it holds no picture."""

    id: str  # the x-request-id
    key_name: str
    n: int
    created_s: float = field(default_factory=time.time)
    state: State = "queued"
    position: int | None = None  # among those that wait; 1 is the next
    progress: Progress | None = None
    abort: Callable[[], None] | None = None  # while it can still be stopped
    writing: asyncio.Future[None] | None = None  # its end, into the history

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and that is written if it can be."""
        return self.abort is None and (self.writing is None or self.writing.done())


@dataclass(frozen=True)
class JobContext:
    """Whose a job is, and what is told of it. All of it is known before the job is queued."""

    id: str = ""  # the x-request-id
    holder: Holder = ANYONE
    trace: Trace = NO_TRACE
    ticket: Ticket | None = None  # its place in the limits of its key
    record: Record | None = None  # its row of the history, if there is one already
    created_s: float | None = None  # Unix time at which it was asked for; None: now
    begins: Callable[[], None] | None = None  # called by a worker thread before the first picture
    ended: Callable[[str], None] | None = None  # told how it ended


class Job:
    """An in-flight request. Made by `Worker.submit`; belongs to the event loop that called it."""

    def __init__(
        self,
        request: ImageRequest,
        context: JobContext = JobContext(),
        *,
        is_stream: bool = False,
        sent_on: Callable[[], None] = lambda: None,
    ) -> None:
        self.request = request.with_seed()
        self.is_stream = is_stream
        self.key_name = context.holder.name
        self.status = Status(context.id, self.key_name, request.n, abort=self.abort)
        if context.created_s is not None:
            self.status.created_s = context.created_s
        self.tracker = ProgressTracker(len(request.indexes))
        self.n_under_way = 0  # pictures that are being drawn
        self.n_drawn = len(request.made)
        self.n_kept = len(request.made)  # finished pictures that are stored, or on their way out
        self.record = context.record  # its row; a new one is written while the job waits
        self.ticket, self.trace = context.ticket, context.trace
        self._begins, self._ended = context.begins, context.ended
        self.submitted_s = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | Waiting | Exception | None] = asyncio.Queue()
        self._n_unsent = 0  # pictures of a stream that its client has not taken
        self._sent_on = sent_on  # told that a picture may be begun again
        self._cancelled = threading.Event()
        self._lock = (
            threading.Lock()
        )  # of the status, which worker threads and the loop both change
        self._begin_lock = threading.Lock()
        id = context.id or secrets.token_hex(8)
        self._left = deque(ImageTask(self.request, index, id) for index in request.indexes)
        self._is_closed = self._is_aborted = self._is_interrupted = False

    @property
    def is_cancelled(self) -> bool:
        """Whether it was stopped."""
        return self._cancelled.is_set()

    @property
    def n_left(self) -> int:
        """Number of pictures that are not begun."""
        return len(self._left)

    @property
    def next(self) -> ImageTask | None:
        """The picture to begin now, if there is one.

        Events of a stream do not say which picture they are of: there one comes after the other,
        and none is begun while the client has not taken those before.
        """
        must_wait = self.is_stream and (self.n_under_way > 0 or self._n_unsent >= MAX_UNSENT)
        return self._left[0] if self._left and not must_wait else None

    def begin(self) -> ImageTask:
        """Take the next picture."""
        self.n_under_way += 1
        return self._left.popleft()

    async def events(self) -> AsyncIterator[Event | Waiting]:
        """Yield the engine's events as they come; raises its failure."""
        while (event := await self._events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    def sent(self) -> None:
        """The client of a stream has taken a picture; from the loop."""
        with self._lock:
            self._n_unsent -= 1
        self._sent_on()

    def post(self, event: Event | Waiting | Exception | None) -> None:
        """Hand `event` over to the loop, from any thread; None is the end."""
        if isinstance(event, Progress):
            self.status.progress = event
            if not self.is_stream:
                return  # there it is told to nobody, and costs as much as to a stream
        if isinstance(event, Picture) and self.is_stream:
            with self._lock:
                self._n_unsent += 1
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def place(self, position: int, *, is_told: bool = True) -> None:
        """Record its queue `position`, if it is still waiting; from any thread."""
        with self._lock:
            if self.status.state != "queued" or self.status.position == position:
                return
            self.status.position = position
        if is_told:
            self.post(Waiting(position))

    def start(self) -> bool:
        """Begin drawing; False if it has begun before or is over. From any thread."""
        with self._lock:
            if self.status.state != "queued":
                return False
            self.status.state, self.status.position = "drawing", None
        return True

    def before_drawing(self) -> None:
        """Call `begins`, once; from a worker thread, which must not draw before. May take time."""
        with self._begin_lock:
            begins, self._begins = self._begins, None
            if begins:
                begins()

    def stop(self) -> None:
        """Stop drawing, without an event; from any thread."""
        self._cancelled.set()

    def fail(self, error: Exception) -> None:
        """Stop drawing and raise `error` in `events`; from any thread."""
        self.stop()
        self.post(error)

    def abort(self) -> None:
        """Cancel on request (`DELETE /v1/images/jobs/{id}`) and tell the waiting client."""
        with self._lock:
            self._is_aborted = True
            self.status.state = "cancelled"
        self.stop()
        self.post(RequestCancelled())

    def interrupt(self) -> None:
        """Stop because the server stops, and tell the waiting client; from any thread."""
        self._is_interrupted = True
        self.stop()
        self.post(ShuttingDown())

    def cancel(self) -> None:
        """Cancel because the client left. Does nothing once it is over."""
        self.close("cancelled")

    def close(self, state: Literal["failed", "cancelled"]) -> None:
        """End as `state`, unless it was interrupted or aborted before; from the loop.

        With every picture kept it is "done", whatever came then.
        """
        self.stop()
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self.status.state = "interrupted" if self._is_interrupted else state
            if self._is_aborted:
                self.status.state = "cancelled"
            if self.n_kept == self.request.n:
                self.status.state = "done"
            self.status.position = self.status.abort = None
        self.release()
        if self._ended:
            self._ended(self.status.state)
        if self.record:
            with suppress(RuntimeError):  # the loop is closing: the next start ends the row
                self.status.writing = self._loop.run_in_executor(
                    None, _end, self.record, self.status.state
                )

    async def written(self) -> None:
        """Return once its end is in the history, or cannot be written there; after `close`."""
        if self.status.writing:
            await asyncio.wait({self.status.writing})

    def release(self) -> None:
        """Release its place in the limits of its key; from any thread."""
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


def is_id(text: str) -> bool:
    """Whether `text` can be the id of a request: the server's, or one that its client chose."""
    return text.isprintable() and 0 < len(text) <= MAX_CLIENT_ID_CHARS


class Jobs:
    """The last thousand requests by their ids: the server's, or one that the client chose."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, Status] = OrderedDict()
        self._id_of: dict[tuple[str, str], str] = {}  # (key name, the client's id)

    def add(self, status: Status, client_id: str | None) -> None:
        """Remember `status`, and forget the oldest."""
        self._by_id[status.id] = status
        if client_id:
            self._id_of[status.key_name, client_id] = status.id
        while len(self._by_id) > MAX_REMEMBERED:
            oldest, _ = self._by_id.popitem(last=False)
            self._id_of = {name: id for name, id in self._id_of.items() if id != oldest}

    @property
    def under_way(self) -> list[Status]:
        """Those that wait or are drawn, oldest first."""
        return [status for status in self._by_id.values() if status.abort is not None]

    @property
    def are_over(self) -> bool:
        """Whether all of them have ended."""
        return all(status.is_over for status in self._by_id.values())

    def latest(self, holder: Holder) -> Status | None:
        """The latest request of `holder` that has not ended."""
        own = (one for one in reversed(self._by_id.values()) if one.key_name == holder.name)
        return next((one for one in own if not one.is_over), None)

    def find(self, id: str, holder: Holder) -> Status | None:
        """The request `id`, if `holder` may see it."""
        status = self._by_id.get(self._id_of.get((holder.name, id), id))
        if status is None or holder.sees_only not in (None, status.key_name):
            return None
        return status
