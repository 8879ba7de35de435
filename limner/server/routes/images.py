"""/v1/images/…: from a request's body to pictures, whole or as a stream."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from typing import TypeVar

from anyio import to_thread
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from limner.engines.base import (
    Event,
    Notice,
    Picture,
    Preview,
    check_able,
)
from limner.errors import LimnerError
from limner.server import replay
from limner.server.http import bodies, scope, urls
from limner.server.http.resume import client_id, is_resumed
from limner.server.openai import answers, calls, errors
from limner.server.openai.answers import Drawn
from limner.server.openai.calls import Call
from limner.server.openai.errors import ApiError
from limner.service import output
from limner.service.context import Service
from limner.service.queue.jobs import Job, Waiting
from limner.service.submission import Submission, submit

log = logging.getLogger("limner.server")

# How long a stream waits for the engine before its status is fixed: a failure until then is an
# ordinary error, and after it an event. Below the idle time of common proxies.
FIRST_EVENT_S = 10.0
KEEP_ALIVE_S = 15.0
PROGRESS_EVERY_S = 1.0
CLIENT_LEFT = 499  # nobody reads it; it stands in the log

T = TypeVar("T")


async def generations(request: Request) -> Response:
    """Draw pictures from a prompt."""
    serving = scope.service(request)
    fields = await bodies.read_json(request)
    call = calls.read_generation(fields, scope.catalogue(request))
    return await _answer(request, serving, call)


async def edits(request: Request) -> Response:
    """Change a picture by a prompt."""
    serving = scope.service(request)
    async with bodies.read_parts(
        request, takes_json=True, max_bytes=serving.max_upload_bytes
    ) as parts:
        call = await to_thread.run_sync(
            lambda: calls.read_edit(
                parts.fields,
                parts.images,
                parts.mask,
                scope.catalogue(request),
            ),
            limiter=serving.decoders,
        )
    return await _answer(request, serving, call)


async def variations(request: Request) -> Response:
    """Draw pictures like another."""
    serving = scope.service(request)
    async with bodies.read_parts(
        request, takes_json=False, max_bytes=serving.max_upload_bytes
    ) as parts:
        call = await to_thread.run_sync(
            lambda: calls.read_variation(parts.fields, parts.images, scope.catalogue(request)),
            limiter=serving.decoders,
        )
    return await _answer(request, serving, call)


async def _answer(request: Request, serving: Service, call: Call) -> Response:
    """Draw what is understood, and send it in the way that was asked for."""
    drawn_as = getattr(request.state, "drawn_as", None)
    if drawn_as is not None:
        return await replay.answer(request, call, drawn_as)
    request.state.is_gpt = call.target.is_gpt  # the words of a refusal depend on it
    submission = call.submission(client_id=client_id(request), resume=is_resumed(request))
    check_able(serving.worker(submission).engine, call.request)
    serving.check_prompt(submission)
    trace, holder = scope.trace(request), scope.holder(request)
    with trace.during("admission"):
        job = await submit(serving, submission, holder, scope.request_id(request), trace)
    request.state.headers = serving.limiter.headers(holder)
    if call.stream:
        return await _stream(request, serving, call, submission, job)
    return await _whole(request, serving, call, submission, job)


async def _whole(
    request: Request, serving: Service, call: Call, submission: Submission, job: Job
) -> Response:
    """All pictures in one body, or nothing at all if the client leaves before."""
    with job:
        pictures = await _unless_left(request, _finished(request, serving, call, submission, job))
    if pictures is None:
        return Response(status_code=CLIENT_LEFT)
    drawn, notices = pictures
    body = answers.images(call, drawn, serving.worker(submission).engine)
    return Response(
        answers.dump(body), media_type="application/json", headers=_headers(call, notices)
    )


async def _finished(
    request: Request, serving: Service, call: Call, submission: Submission, job: Job
) -> tuple[list[Drawn], list[str]]:
    """The pictures of `job` as files in their order, and what the engine remarked."""
    drawn: dict[int, Drawn] = {}
    notices = []
    base = urls.base(request, serving.settings) if call.container == "url" else None
    async for event in job.events():
        if isinstance(event, Picture):
            # Encoded here, and the thread that draws is at the next picture already.
            drawn[event.index] = await run_in_threadpool(
                _kept, serving, submission, job, event, base
            )
        elif isinstance(event, Notice):
            notices.append(event.text)
    return [drawn[index] for index in sorted(drawn)], notices


async def _unless_left(request: Request, work: Awaitable[T]) -> T | None:
    """The result of `work`, or None as soon as the client has gone."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _kept(
    serving: Service,
    submission: Submission,
    job: Job,
    picture: Picture,
    base: str | None = None,
) -> Drawn:
    """A finished picture as a file, and its address below `base` if there is one. Blocks."""
    file = output.keep(serving, submission, job, picture, has_address=base is not None)
    url = None if base is None or file.name is None else base + serving.links.address(file.name)
    return Drawn(file.data, file.is_transparent, url)


def _preview(serving: Service, submission: Submission, event: Preview) -> Drawn:
    file = output.check_and_encode(serving, submission, event)
    return Drawn(file.data, file.is_transparent)


def _headers(call: Call, notices: list[str]) -> dict[str, str]:
    """What the bodies of the API have no place for: the seed, and what the engine remarked."""
    headers = {"x-limner-seed": str(call.request.seed)}
    if call.notices or notices:
        headers["x-limner-notice"] = (
            "; ".join([*call.notices, *notices]).encode("ascii", "replace").decode()
        )
    return headers


async def _stream(
    request: Request, serving: Service, call: Call, submission: Submission, job: Job
) -> Response:
    """Events as they happen. Begins once the request has a place in the queue that it must wait
    in, or the engine has said something, be it a failure.
    """
    events = job.events()
    first = asyncio.ensure_future(anext(events, None))
    try:
        leaving = asyncio.ensure_future(_left(request))
        await asyncio.wait(
            {first, leaving}, timeout=FIRST_EVENT_S, return_when=asyncio.FIRST_COMPLETED
        )
        gone = leaving.done()
        leaving.cancel()
        if first.done():
            first.result()  # raises what went wrong before anything was sent
    except BaseException as error:
        job.close("failed" if isinstance(error, Exception) else "cancelled")
        raise
    if gone:
        job.cancel()
        first.cancel()
        return Response(status_code=CLIENT_LEFT)
    return StreamingResponse(
        _lines(serving, call, submission, job, events, first, scope.request_id(request)),
        media_type="text/event-stream; charset=utf-8",
        headers={"cache-control": "no-cache", "x-accel-buffering": "no", **_headers(call, [])},
    )


async def _lines(
    serving: Service,
    call: Call,
    submission: Submission,
    job: Job,
    events: AsyncIterator[Event | Waiting],
    first: asyncio.Future[Event | Waiting | None],
    request_id: str,
) -> AsyncIterator[bytes]:
    """The stream's bytes; however it ends, the job ends with it."""
    n_partial: dict[int, int] = {}
    coming = first
    told_s = time.monotonic()
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=KEEP_ALIVE_S)
            if not done:
                yield answers.KEEP_ALIVE
                continue
            event = coming.result()
            if event is None:
                return
            coming = asyncio.ensure_future(anext(events, None))
            if isinstance(event, Preview):
                index = n_partial[event.index] = n_partial.get(event.index, -1) + 1
                drawn = await run_in_threadpool(_preview, serving, submission, event)
                yield answers.partial_image(call, index, drawn)
            elif isinstance(event, Picture):
                drawn = await run_in_threadpool(_kept, serving, submission, job, event)
                yield answers.completed(call, drawn, serving.worker(submission).engine)
            elif isinstance(event, Notice):
                yield answers.comment(event.text)
            elif isinstance(event, Waiting):
                yield answers.comment(f"position {event.position}")
            elif time.monotonic() - told_s >= PROGRESS_EVERY_S:
                told_s = time.monotonic()
                yield answers.comment(f"{event.stage} {event.done}/{event.total}")
    except Exception as error:
        job.close("failed")
        yield answers.failed(_as_api_error(error, request_id, is_gpt=call.target.is_gpt))
    finally:
        job.cancel()
        coming.cancel()


def _as_api_error(error: Exception, request_id: str, *, is_gpt: bool) -> ApiError:
    if isinstance(error, LimnerError):
        return errors.from_limner(error, request_id, is_gpt=is_gpt)
    log.error("a stream failed (%s)", request_id, exc_info=error)
    return errors.crash(request_id)
