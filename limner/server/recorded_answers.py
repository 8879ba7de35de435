"""Answers that are produced once and read by several clients: recorded in memory, within bounds.

All recordings together take at most MAX_BYTES, one of them MAX_ONE_BYTES. To make room, finished
recordings without a reader are dropped, oldest first. If there is still no room, recording of that
answer stops, but the answer is completed:

- Its current readers get all of it. A stream then waits for its readers, chunk by chunk; readers
  that disconnect are dropped.
- New readers are refused (409, idempotency_key_in_use). When it has ended, its key is forgotten
  here, and the next request with that key gets the answer rebuilt from the history.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from limner.server.http.delivery import Delivery, WholeDelivery
from limner.server.openai import errors
from limner.server.openai.answers import dump
from limner.server.rebuilt_answers import REPLAYED

MAX_ANSWERS = 200
MAX_BYTES = 64_000_000  # of all recordings
MAX_ONE_BYTES = 16_000_000
MAX_AGE_S = 86_400.0

_FAILED = (b"event: error", b"event: response.failed")
_running: set[asyncio.Task[None]] = set()  # keeps references, or tasks may be collected
Handler = Callable[[Request], Awaitable[Response]]


class _Reader:
    """A reader of a stream: how many chunks were sent to it."""

    def __init__(self) -> None:
        self.n_sent = 0


class Answer:
    """One answer in progress, with any number of readers.

    `fingerprint` identifies the request; `base` is the server address it used. Without `answers`
    it is not recorded. Belongs to one event loop.
    """

    def __init__(self, fingerprint: str, base: str, answers: Answers | None = None) -> None:
        self.fingerprint = fingerprint
        self.base = base
        self.created_s = time.monotonic()
        self.is_over = False
        self.is_recorded = answers is not None
        self.n_bytes = 0  # of the recording
        self._answers = answers
        self._chunks: deque[bytes] = deque()  # of a stream; the first may have been dropped
        self._n_gone = 0
        self._readers: set[_Reader] = set()
        self._response: Response | None = None
        self._error: Exception | None = None
        self._changed = asyncio.Condition()

    @property
    def is_read(self) -> bool:
        """Whether its stream has a reader now; if so, dropping it frees nothing."""
        return bool(self._readers)

    def run(self, handler: Handler, request: Request) -> None:
        """Start a task in which `handler` answers `request`."""
        task = asyncio.create_task(self._run(handler, request))
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def respond(self, base: str, *, is_new: bool) -> Response:
        """The answer for one more client, which used address `base`. Raises what `handler` raised.

        Raises ApiError idempotency_key_in_use if its beginning is no longer recorded.
        """
        if not is_new and not self.is_recorded:
            raise errors.key_in_use()
        reader = _Reader()
        self._readers.add(reader)
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: self._response or self._error)
            if self._response is None:
                assert self._error
                raise self._error
            if isinstance(self._response, StreamingResponse):
                return self._stream(self._response, reader, is_new=is_new)
        except BaseException:
            self._leave(reader)
            raise
        self._leave(reader)
        return self._whole(self._response, base, is_new=is_new)

    def _stream(self, response: StreamingResponse, reader: _Reader, *, is_new: bool) -> Response:
        return Delivery(
            self._read(reader),
            media_type=str(response.media_type),
            headers=_headers(response, is_new=is_new),
            ticket=getattr(response, "ticket", None) if is_new else None,
            closing=partial(self._leave, reader),
        )

    def _whole(self, response: Response, base: str, *, is_new: bool) -> Response:
        body, headers = bytes(response.body), _headers(response, is_new=is_new)
        if response.status_code != 200:
            return Response(body, response.status_code, headers)
        if base != self.base:
            body = _at(base, self.base, body)
            headers["content-length"] = str(len(body))
        return WholeDelivery(
            body,
            media_type=str(response.media_type),
            headers=headers,
            ticket=getattr(response, "ticket", None) if is_new else None,
        )

    async def _run(self, handler: Handler, request: Request) -> None:
        try:
            response = await handler(request)
            if isinstance(response, StreamingResponse):
                is_good = await self._follow(response)
            else:
                is_good = response.status_code == 200
                self._hold(len(response.body))
                self._response = response
        except Exception as error:
            self._error, is_good = error, False
        finally:
            self.is_over = True
            async with self._changed:
                self._changed.notify_all()
        if self._answers and not (is_good and self.is_recorded):
            self._answers.forget(self)

    async def _follow(self, response: StreamingResponse) -> bool:
        """Collect the chunks of a stream as they come; True if it succeeded."""
        chunk = b""
        async with self._changed:
            self._response = response
            self._changed.notify_all()
        async for part in response.body_iterator:
            chunk = part.encode() if isinstance(part, str) else bytes(part)
            async with self._changed:
                self._hold(len(chunk))
                if not self.is_recorded:
                    await self._changed.wait_for(self._is_read_up)
                if self.is_recorded or self._readers:
                    self._chunks.append(chunk)
                else:
                    self._n_gone += 1
                self._changed.notify_all()
        return not chunk.startswith(_FAILED)

    def _hold(self, n_bytes: int) -> None:
        """Count `n_bytes` more of the recording; stop recording if there is no room."""
        if not self.is_recorded:
            return
        if self._answers and self._answers.has_room(self, n_bytes):
            self.n_bytes += n_bytes
            self._answers.n_bytes += n_bytes
        else:
            self.is_recorded = False
            self._drop_sent()

    def _is_read_up(self) -> bool:
        """Whether all readers of the stream have received every chunk so far."""
        return all(reader.n_sent == self._n_gone + len(self._chunks) for reader in self._readers)

    def _drop_sent(self) -> None:
        """Drop the chunks of an unrecorded stream that all readers have received."""
        if self.is_recorded:
            return
        ends = [reader.n_sent for reader in self._readers]
        n_needed_from = min(ends, default=self._n_gone + len(self._chunks))
        while self._n_gone < n_needed_from:
            n_bytes = min(self.n_bytes, len(self._chunks.popleft()))
            self._n_gone += 1
            self._release(n_bytes)

    def _release(self, n_bytes: int) -> None:
        self.n_bytes -= n_bytes
        if self._answers:
            self._answers.n_bytes -= n_bytes

    def drop(self) -> None:
        """Remove it from the count of recorded bytes."""
        self._release(self.n_bytes)

    async def _read(self, reader: _Reader) -> AsyncGenerator[bytes]:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._has_more(reader) or self.is_over)
            if not self._has_more(reader):
                return
            yield self._chunks[reader.n_sent - self._n_gone]
            reader.n_sent += 1
            self._drop_sent()
            async with self._changed:
                self._changed.notify_all()

    def _has_more(self, reader: _Reader) -> bool:
        return reader.n_sent < self._n_gone + len(self._chunks)

    def _leave(self, reader: _Reader) -> None:
        """Remove `reader`, and wake the stream, which may be waiting for it."""
        self._readers.discard(reader)
        self._drop_sent()
        task = asyncio.ensure_future(self._tell())
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class Answers:
    """The recorded answers of a server, by (API key name, Idempotency-Key)."""

    def __init__(self, lifetime_s: float = MAX_AGE_S) -> None:
        self.lifetime_s = min(lifetime_s, MAX_AGE_S)
        self.n_bytes = 0  # of all recordings
        self._kept: OrderedDict[tuple[str, str], Answer] = OrderedDict()

    def find(self, name: tuple[str, str]) -> Answer | None:
        """The answer with that name, or None if it is not kept."""
        self._trim(MAX_ANSWERS)
        return self._kept.get(name)

    def begin(self, name: tuple[str, str], fingerprint: str, base: str) -> Answer:
        """Add and return a new answer."""
        self._trim(MAX_ANSWERS - 1)
        answer = self._kept[name] = Answer(fingerprint, base, self)
        return answer

    def forget(self, answer: Answer) -> None:
        """Drop `answer`."""
        self._kept = OrderedDict(
            (name, other) for name, other in self._kept.items() if other is not answer
        )
        answer.drop()

    def has_room(self, answer: Answer, n_bytes: int) -> bool:
        """Whether `answer` may record `n_bytes` more; drops finished ones to make room."""
        if answer.n_bytes + n_bytes > MAX_ONE_BYTES:
            return False
        for other in [*self._kept.values()]:
            if self.n_bytes + n_bytes <= MAX_BYTES:
                break
            if other is not answer and other.is_over and not other.is_read:
                self.forget(other)
        return self.n_bytes + n_bytes <= MAX_BYTES

    def _trim(self, most: int) -> None:
        now_s = time.monotonic()
        for answer in [*self._kept.values()]:
            is_too_old = now_s - answer.created_s > self.lifetime_s
            is_one_too_many = len(self._kept) > most
            if (is_too_old or is_one_too_many) and answer.is_over and not answer.is_read:
                self.forget(answer)


def _headers(response: Response, *, is_new: bool) -> dict[str, str]:
    return dict(response.headers) | ({} if is_new else {REPLAYED: "true"})


def _at(base: str, first_base: str, body: bytes) -> bytes:
    """`body` with addresses that begin with `first_base` changed to begin with `base`."""
    answer: Any = json.loads(body)
    for item in answer.get("data", []):
        if "url" in item:
            item["url"] = base + item["url"].removeprefix(first_base)
    return dump(answer)
