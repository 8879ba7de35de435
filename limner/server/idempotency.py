"""Idempotency-Key: a repeated request gets the answer of the first one; nothing is drawn twice.

A request with this header is finished even if its client disconnects. Its answer is recorded,
within the bounds of `recorded_answers`, and sent for every request with the same key and body. If
there is a history, the database records which request claimed a key first, so another server, a
restarted one, or one without the recording rebuilds the answer from the history. Failures are not
kept: the client may retry. A request with X-Limner-Resume is also finished without its client.
"""

from __future__ import annotations

import asyncio
import weakref
from contextlib import nullcontext
from functools import partial
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner.server.bodies import read_body
from limner.server.bodies.body_memory import chunks_of
from limner.server.bodies.fingerprint import fingerprint
from limner.server.http import scope, urls
from limner.server.http.job_headers import is_resumed
from limner.server.openai import errors
from limner.server.recorded_answers import Answer, Answers, Handler

HEADER = "idempotency-key"
MAX_KEY_CHARS = 255
MAX_REQUEST_BYTES = 25_000_000  # kept in memory, unlike the bodies of other requests


def once(handler: Handler) -> Handler:
    """Wrap `handler` so that requests with the same Idempotency-Key call it once."""

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
    """Call `handler` if no server had this key before, else rebuild the first answer."""
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
    """The body; it counts in the body budget until a handler reads it or `request` ends."""
    answers: Answers = request.app.state.answers
    name = scope.holder(request).name, request.headers.get(HEADER, "")
    held = request.state.held_before = scope.body_budget(request).hold()
    weakref.finalize(request, held.release)
    with nullcontext() if answers.find(name) else read_body.reading(request):
        return b"".join([chunk async for chunk in chunks_of(request, held, MAX_REQUEST_BYTES)])


async def _fingerprint(request: Request, body: bytes) -> str:
    kind = request.headers.get("content-type", "")
    path = request.url.path
    if deployment := scope.deployment(request):  # the path names a model
        path += f"?deployment={deployment}"
    return await run_in_threadpool(fingerprint, path, kind, body)


def _base(request: Request) -> str:
    return urls.base(request, scope.service(request).settings)


def _detached(request: Request, body: bytes) -> Request:
    """A copy of `request` with `body`, which never reports a disconnect."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await asyncio.Event().wait()

    return Request(request.scope, receive)
