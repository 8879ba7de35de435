"""Idempotency-Key: a request that is sent again gets the answer of the first, not a new drawing.

A request with this header is drawn on even if its client goes away, for it will ask again. Its
answer is recorded, within the bounds of `recorded_answers`, for everyone who sends the same body
with the same key. Who was the first stands in the database, if there is a history: another server,
this one after a restart, or one that recorded no answer makes it again from there. Only good
answers are kept: after a failure one may try again. A request that is to outlive its server
outlives its client in the same way.
"""

from __future__ import annotations

import asyncio
import weakref
from contextlib import nullcontext
from functools import partial
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner.server.bodies.body_memory import chunks_of
from limner.server.bodies.fingerprint import fingerprint
from limner.server.http import bodies, scope, urls
from limner.server.http.resume import is_resumed
from limner.server.openai import errors
from limner.server.recorded_answers import Answer, Answers, Handler

HEADER = "idempotency-key"
MAX_KEY_CHARS = 255
MAX_REQUEST_BYTES = 25_000_000  # held in memory, unlike the bodies of other requests


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
            answer = kept.begin(name, asked, _base(request))
            first = partial(_as_first, handler, name, asked)
            answer.run(first, _detached(request, body))
        elif answer.fingerprint != asked:
            raise errors.key_reused()
        return await answer.respond(_base(request), is_new=is_new)

    async def _to_its_end(request: Request) -> Response:
        body = await _read(request)
        answer = Answer(await _fingerprint(request, body), _base(request))
        answer.run(handler, _detached(request, body))
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


def _detached(request: Request, body: bytes) -> Request:
    """`request` as it was sent, from a client that never leaves."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await asyncio.Event().wait()

    return Request(request.scope, receive)
