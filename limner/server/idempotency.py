"""Idempotency-Key: a request that is sent again gets the answer of the first, not a new drawing.

A request with this header is drawn on even if its client goes away, for it will ask again. Its
answer is kept in memory, whole or as far as its stream has come, and given to everyone who sends
the same body with the same key. Who was the first stands in the database, if there is a history:
another server, or this one after a restart, makes the answer again from there. Only good answers
are kept: after a failure one may try again. A request that is to outlive its server outlives its
client in the same way.
"""

from __future__ import annotations

import asyncio
import json
import time
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from limner.server.bodies.body_memory import chunks_of
from limner.server.bodies.fingerprint import fingerprint
from limner.server.http import bodies, scope, urls
from limner.server.http.resume import is_resumed
from limner.server.openai import errors
from limner.server.openai.answers import dump
from limner.server.replay import REPLAYED

HEADER = "idempotency-key"
MAX_KEY_CHARS = 255
MAX_REQUEST_BYTES = 25_000_000  # held in memory, unlike the bodies of other requests
MAX_ANSWERS = 200
MAX_ANSWER_BYTES = 64_000_000  # of all together
MAX_AGE_S = 86_400.0

_FAILED = (b"event: error", b"event: response.failed")
_running: set[asyncio.Task[None]] = set()  # a task that nobody holds may vanish
Handler = Callable[[Request], Awaitable[Response]]


def once(handler: Handler) -> Handler:
    """`handler`, called once for all requests that have the same Idempotency-Key."""

    async def answer(request: Request) -> Response:
        key = request.headers.get(HEADER)
        if not key:
            return await (_to_its_end if is_resumed(request) else handler)(request)
        if len(key) > MAX_KEY_CHARS:
            raise errors.ApiError(
                f"Invalid 'Idempotency-Key': expected at most {MAX_KEY_CHARS} characters.",
                code="invalid_value",
            )
        body = await _read(request)
        kept: Answers = request.app.state.answers
        name = (scope.holder(request).name, key)
        asked = await _fingerprint(request, body)
        answer = kept.find(name)
        is_new = answer is None
        if answer is None:
            answer = Answer(asked, _base(request))
            kept.add(name, answer)
            first = partial(_as_first, handler, name, asked)
            answer.begin(first, _detached(request, body), lambda: kept.forget(name, answer))
        elif answer.fingerprint != asked:
            raise errors.key_reused()
        return await answer.respond(_base(request), is_new=is_new)

    async def _to_its_end(request: Request) -> Response:
        body = await _read(request)
        answer = Answer(await _fingerprint(request, body), _base(request))
        answer.begin(handler, _detached(request, body), lambda: None)
        return await answer.respond(_base(request), is_new=True)

    return answer


async def _as_first(
    handler: Handler, name: tuple[str, str], asked: str, request: Request
) -> Response:
    """The answer of `handler` if no server had this key before, else that of the first again."""
    serving, id = scope.service(request), scope.request_id(request)
    claims = serving.claims
    if claims is None:
        return await handler(request)
    lifetime_s = request.app.state.answers.lifetime_s
    run = serving.database_threads.run
    first = await run(claims.claim, name, asked, id, lifetime_s)
    if first is not None:
        if first.fingerprint != asked:
            raise errors.key_reused()
        if not first.is_done:
            raise errors.key_in_use()
        request.state.drawn_as = first.request_id
        return await handler(request)
    try:
        return await handler(request)
    except BaseException:
        await run(claims.release, name, id)
        raise


class Answer:
    """One answer as it comes about, for as many as want to read it.

    `fingerprint` says what was asked, `base` by which address of the server.
    """

    def __init__(self, fingerprint: str, base: str) -> None:
        self.fingerprint = fingerprint
        self.base = base
        self.created_s = time.monotonic()
        self.is_over = False
        self._chunks: list[bytes] = []
        self._response: Response | None = None
        self._error: Exception | None = None
        self._changed = asyncio.Condition()

    @property
    def n_bytes(self) -> int:
        """How much of it is held."""
        return sum(map(len, self._chunks))

    def begin(self, handler: Handler, request: Request, failed: Callable[[], None]) -> None:
        """Run `handler` on its own; `failed` is called if its answer is not worth keeping."""
        task = asyncio.create_task(self._run(handler, request, failed))
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def respond(self, base: str, *, is_new: bool) -> Response:
        """The answer for one more client, who called `base`; what went wrong is raised."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._response or self._error)
        if self._response is None:
            assert self._error
            raise self._error
        headers = dict(self._response.headers)
        if not is_new:
            headers[REPLAYED] = "true"
        if isinstance(self._response, StreamingResponse):
            return StreamingResponse(self._read(), self._response.status_code, headers)
        body = self._chunks[0]
        if base != self.base and self._response.status_code == 200:
            body = _at(base, self.base, body)
            headers["content-length"] = str(len(body))
        return Response(body, self._response.status_code, headers)

    async def _run(self, handler: Handler, request: Request, failed: Callable[[], None]) -> None:
        try:
            response = await handler(request)
            if isinstance(response, StreamingResponse):
                await self._tell(response)
                async for chunk in response.body_iterator:
                    await self._tell(response, _bytes(chunk))
                is_good = not self._chunks or not self._chunks[-1].startswith(_FAILED)
            else:
                await self._tell(response, bytes(response.body))
                is_good = response.status_code == 200
        except Exception as error:
            self._error, is_good = error, False
        finally:
            self.is_over = True
            async with self._changed:
                self._changed.notify_all()
        if not is_good:
            failed()

    async def _tell(self, response: Response, *chunks: bytes) -> None:
        async with self._changed:
            self._response = response
            self._chunks += chunks
            self._changed.notify_all()

    def _has_more(self, n_read: int) -> bool:
        return len(self._chunks) > n_read or self.is_over

    async def _read(self) -> AsyncIterator[bytes]:
        n_read = 0
        while True:
            async with self._changed:
                await self._changed.wait_for(partial(self._has_more, n_read))
            if n_read == len(self._chunks):
                return
            yield self._chunks[n_read]
            n_read += 1


class Answers:
    """The answers that are kept, within bounds: the oldest finished ones go first."""

    def __init__(self, lifetime_s: float = MAX_AGE_S) -> None:
        self.lifetime_s = min(lifetime_s, MAX_AGE_S)
        self._kept: OrderedDict[tuple[str, str], Answer] = OrderedDict()

    def find(self, name: tuple[str, str]) -> Answer | None:
        """The answer of that name, if it is still kept."""
        self._trim()
        return self._kept.get(name)

    def add(self, name: tuple[str, str], answer: Answer) -> None:
        """Keep an answer that is about to come about."""
        self._kept[name] = answer
        self._trim()

    def forget(self, name: tuple[str, str], answer: Answer) -> None:
        """Keep it no longer."""
        if self._kept.get(name) is answer:
            del self._kept[name]

    def _trim(self) -> None:
        now_s = time.monotonic()
        n_bytes = sum(answer.n_bytes for answer in self._kept.values())
        for name, answer in list(self._kept.items()):
            is_too_much = len(self._kept) > MAX_ANSWERS or n_bytes > MAX_ANSWER_BYTES
            is_too_old = now_s - answer.created_s > self.lifetime_s
            if answer.is_over and (is_too_much or is_too_old):
                n_bytes -= answer.n_bytes
                del self._kept[name]


def _bytes(chunk: Any) -> bytes:
    return chunk.encode() if isinstance(chunk, str) else bytes(chunk)


async def _read(request: Request) -> bytes:
    """The body, which counts as held until a handler reads it again, or `request` is over."""
    answers: Answers = request.app.state.answers
    name = scope.holder(request).name, request.headers.get(HEADER, "")
    held = request.state.held_before = scope.body_budget(request).hold()
    weakref.finalize(request, held.release)
    with nullcontext() if answers.find(name) else bodies.reading(request):
        return b"".join([chunk async for chunk in chunks_of(request, held, MAX_REQUEST_BYTES)])


async def _fingerprint(request: Request, body: bytes) -> str:
    kind = request.headers.get("content-type", "")
    path = request.url.path
    if deployment := scope.deployment(request):  # another model than without it
        path += f"?deployment={deployment}"
    return await run_in_threadpool(fingerprint, path, kind, body)


def _base(request: Request) -> str:
    return urls.base(request, scope.service(request).settings)


def _at(base: str, first_base: str, body: bytes) -> bytes:
    """An answer whose addresses begin with `first_base`, with `base` in its place."""
    answer = json.loads(body)
    for item in answer.get("data", []):
        if "url" in item:
            item["url"] = base + item["url"].removeprefix(first_base)
    return dump(answer)


def _detached(request: Request, body: bytes) -> Request:
    """`request` as it was sent, from a client that never leaves."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await asyncio.Event().wait()

    return Request(request.scope, receive)
