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
from limner.imaging import codec as px
from limner.server import replay
from limner.server.http import bodies, urls
from limner.server.openai import answers, calls, errors
from limner.server.openai.answers import Drawn
from limner.server.openai.calls import Call
from limner.server.openai.errors import ApiError
from limner.service import context, submission
from limner.service.context import Service
from limner.service.queue.jobs import Job, Waiting

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
    serving = context.of(request)
    fields = await bodies.read_json(request)
    call = calls.read_generation(fields, serving.catalogue, strict=serving.settings.strict)
    return await _answer(request, serving, call)


async def edits(request: Request) -> Response:
    """Change a picture by a prompt."""
    serving = context.of(request)
    async with bodies.read_parts(
        request, takes_json=True, max_bytes=serving.max_upload_bytes
    ) as parts:
        call = await to_thread.run_sync(
            lambda: calls.read_edit(
                parts.fields,
                parts.images,
                parts.mask,
                serving.catalogue,
                strict=serving.settings.strict,
            ),
            limiter=serving.decoders,
        )
    return await _answer(request, serving, call)


async def variations(request: Request) -> Response:
    """Draw pictures like another."""
    serving = context.of(request)
    async with bodies.read_parts(
        request, takes_json=False, max_bytes=serving.max_upload_bytes
    ) as parts:
        call = await to_thread.run_sync(
            lambda: calls.read_variation(
                parts.fields, parts.images, serving.catalogue, strict=serving.settings.strict
            ),
            limiter=serving.decoders,
        )
    return await _answer(request, serving, call)


async def _answer(request: Request, serving: Service, call: Call) -> Response:
    """Draw what is understood, and send it in the way that was asked for."""
    drawn_as = getattr(request.state, "drawn_as", None)
    if drawn_as is not None:
        return await replay.answer(request, call, drawn_as)
    worker = serving.worker(call)
    check_able(worker.engine, call.request)
    serving.check_prompt(call, context.request_id(request))
    with context.trace(request).during("admission"):
        job = await submission.admit(request, call)
    if call.stream:
        return await _stream(request, serving, call, job)
    return await _whole(request, serving, call, job)


async def _whole(request: Request, serving: Service, call: Call, job: Job) -> Response:
    """All pictures in one body, or nothing at all if the client leaves before."""
    with job:
        pictures = await _unless_left(request, _finished(request, serving, call, job))
    if pictures is None:
        return Response(status_code=CLIENT_LEFT)
    drawn, notices = pictures
    body = answers.images(call, drawn, serving.worker(call).engine)
    return Response(
        answers.dump(body), media_type="application/json", headers=_headers(call, notices)
    )


async def _finished(
    request: Request, serving: Service, call: Call, job: Job
) -> tuple[list[Drawn], list[str]]:
    """The pictures of `job` as files in their order, and what the engine remarked."""
    drawn: dict[int, Drawn] = {}
    notices = []
    request_id = context.request_id(request)
    base = urls.base(request, serving.settings) if call.container == "url" else None
    async for event in job.events():
        if isinstance(event, Picture):
            # Encoded here, and the thread that draws is at the next picture already.
            drawn[event.index] = await run_in_threadpool(
                keep, serving, call, job, event, request_id, base
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


def keep(
    serving: Service,
    call: Call,
    job: Job,
    picture: Picture,
    request_id: str,
    base: str | None = None,
) -> Drawn:
    """A picture as a file, in the history if there is one, and at an address below `base`.

    Takes time: not on the loop.
    """
    started_s = time.monotonic()
    drawn = _checked(serving, call, picture, request_id)
    encoding_s = time.monotonic() - started_s
    serving.metrics.worked(picture.model, "encoding", encoding_s)
    about = {"limner.picture": picture.index}
    job.trace.add("encoding", encoding_s, **about)
    name = None
    if base is not None or job.record:
        with job.trace.during("storing", **about):
            name = serving.keep(job.record, picture, drawn.data, call.format)
    job.n_kept += 1
    if base is None or name is None:
        return drawn
    return Drawn(drawn.data, drawn.is_transparent, base + serving.links.address(name))


def _checked(serving: Service, call: Call, event: Picture | Preview, request_id: str) -> Drawn:
    """A picture as a file, if it may be shown."""
    serving.check_picture(call, event.pixels, request_id)
    return _encoded(call, event)


def _encoded(call: Call, event: Picture | Preview) -> Drawn:
    size, pixels = call.request.size, event.pixels
    if pixels.shape[:2] != (size.height, size.width):  # a preview may be small
        pixels = px.resize(pixels, size.width, size.height)
    text = event.text() if isinstance(event, Picture) else None
    compression = None if call.format == "png" else call.compression
    data = px.encode(pixels, call.format, text, quality=compression)
    is_transparent = call.format != "jpeg" and bool((pixels[..., 3] < 255).any())
    return Drawn(data, is_transparent)


def _headers(call: Call, notices: list[str]) -> dict[str, str]:
    """What the bodies of the API have no place for: the seed, and what the engine remarked."""
    headers = {"x-limner-seed": str(call.request.seed)}
    if call.notices or notices:
        headers["x-limner-notice"] = (
            "; ".join([*call.notices, *notices]).encode("ascii", "replace").decode()
        )
    return headers


async def _stream(request: Request, serving: Service, call: Call, job: Job) -> Response:
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
        _lines(serving, call, job, events, first, context.request_id(request)),
        media_type="text/event-stream; charset=utf-8",
        headers={"cache-control": "no-cache", "x-accel-buffering": "no", **_headers(call, [])},
    )


async def _lines(
    serving: Service,
    call: Call,
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
                drawn = await run_in_threadpool(_checked, serving, call, event, request_id)
                yield answers.partial_image(call, index, drawn)
            elif isinstance(event, Picture):
                drawn = await run_in_threadpool(keep, serving, call, job, event, request_id)
                yield answers.completed(call, drawn, serving.worker(call).engine)
            elif isinstance(event, Notice):
                yield answers.comment(event.text)
            elif isinstance(event, Waiting):
                yield answers.comment(f"position {event.position}")
            elif time.monotonic() - told_s >= PROGRESS_EVERY_S:
                told_s = time.monotonic()
                yield answers.comment(f"{event.stage} {event.done}/{event.total}")
    except Exception as error:
        job.close("failed")
        yield answers.failed(_as_api_error(error, request_id))
    finally:
        job.cancel()
        coming.cancel()


def _as_api_error(error: Exception, request_id: str) -> ApiError:
    if isinstance(error, LimnerError):
        return errors.from_limner(error, request_id)
    log.error("a stream failed (%s)", request_id, exc_info=error)
    return errors.crash(request_id)
