"""/v1/images/…: generations, edits and variations, whole or as a stream."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
from anyio import to_thread
from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner.engines.base import (
    Engine,
    Event,
    Notice,
    Picture,
    Preview,
)
from limner.engines.events import Details
from limner.errors import LimnerError
from limner.request import Edit
from limner.server import rebuilt_answers
from limner.server.bodies import read_body
from limner.server.bodies.read_body import Parts
from limner.server.http import scope, urls
from limner.server.http.delivery import Delivery, Outbox, WholeDelivery
from limner.server.http.job_headers import client_id, is_resumed
from limner.server.input_pictures.decoders import Decoder
from limner.server.openai import answers, calls, errors
from limner.server.openai.answers import Drawn
from limner.server.openai.calls import Call
from limner.server.openai.errors import ApiError
from limner.service.admission import submit
from limner.service.context import Service
from limner.service.pictures import output
from limner.service.queue.jobs import Job, Waiting
from limner.service.submission import Submission

log = logging.getLogger("limner.server")

# How long a stream waits for the engine before it sends its status: an earlier failure is an
# ordinary error, a later one an event. Below the idle timeout of common proxies.
FIRST_EVENT_S = 10.0
KEEP_ALIVE_S = 15.0
MAX_QUICK_CHARS = 1000  # a longer prompt is moderated in a thread
PROGRESS_EVERY_S = 1.0
MAX_BEHIND_BYTES = 4_000_000  # not taken by the client of a stream; above it previews are dropped
CLIENT_LEFT = 499  # only for the log

T = TypeVar("T")


async def generations(request: Request) -> Response:
    """Draw pictures from a prompt."""
    serving = scope.service(request)
    with read_body.reading(request):
        fields = await read_body.read_json(request)
    call = calls.read_generation(fields, scope.catalogue(request))
    return await _answer(request, serving, call)


async def edits(request: Request) -> Response:
    """Change a picture by a prompt."""
    catalogue = scope.catalogue(request)

    def read(parts: Parts, decoder: Decoder) -> Call:
        return calls.read_edit(
            parts.fields,
            parts.images,
            parts.mask,
            catalogue,
            decoder,
            parts.image_field,
            parts.markup,
        )

    return await _with_pictures(request, read, takes_json=True)


async def variations(request: Request) -> Response:
    """Draw variations of a picture."""
    catalogue = scope.catalogue(request)

    def read(parts: Parts, decoder: Decoder) -> Call:
        return calls.read_variation(parts.fields, parts.images, catalogue, decoder)

    return await _with_pictures(request, read, takes_json=False)


async def _with_pictures(
    request: Request, read: Callable[[Parts, Decoder], Call], *, takes_json: bool
) -> Response:
    """Answer a request with pictures, which `read` parses."""
    serving = scope.service(request)
    max_bytes = serving.max_upload_bytes
    with read_body.reading(request):
        async with read_body.read_parts(
            request, takes_json=takes_json, max_bytes=max_bytes
        ) as parts:
            call = await decoded(request, partial(read, parts))
    call = call and await with_mask(serving, call)
    return await _answer(request, serving, call) if call else Response(status_code=CLIENT_LEFT)


async def with_mask(serving: Service, call: Call) -> Call:
    """An edit whose `where` has become a mask. Raises InvalidRequest if the thing is not found."""
    source = call.request.source
    if call.where is None or not isinstance(source, Edit):
        return call
    found = await serving.find(source.pixels, call.where)
    mask = np.where(found.mask, 0, 255).astype(np.uint8)
    request = replace(call.request, source=replace(source, mask=mask, is_own_mask=False))
    return replace(call, request=request)


async def decoded(request: Request, read: Callable[[Decoder], T]) -> T | None:
    """The result of `read` with a decoder; None, at once, if the client disconnects."""

    async def work() -> T:
        async with scope.decoders(request).lease() as decoder:
            return await to_thread.run_sync(_read_and_forget, read, decoder)

    return await unless_left(request, work())


def _read_and_forget(read: Callable[[Decoder], T], decoder: Decoder) -> T:
    try:
        return read(decoder)
    finally:
        decoder.forget()


async def _answer(request: Request, serving: Service, call: Call) -> Response:
    """Draw `call` and send the answer, whole or as a stream."""
    drawn_as = getattr(request.state, "drawn_as", None)
    if drawn_as is not None:
        return await rebuilt_answers.answer(request, call, drawn_as)
    request.state.is_gpt = call.target.is_gpt  # selects the words of errors
    submission = call.submission(client_id=client_id(request), resume=is_resumed(request))
    await check_prompt(serving, submission)
    trace, holder = scope.trace(request), scope.holder(request)
    with trace.during("submission"):
        job = await submit(serving, submission, holder, scope.request_id(request), trace)
    request.state.headers = serving.limiter.headers(holder)
    if call.stream:
        engine = serving.worker(submission).engine
        return await stream(request, serving, call, submission, job, _ImageEvents(call, engine))
    return await _whole(request, serving, call, submission, job)


async def check_prompt(serving: Service, submission: Submission) -> None:
    """Raise ContentRefused for a prompt that the moderation hook flags."""
    if len(submission.request.prompt) <= MAX_QUICK_CHARS:
        serving.check_prompt(submission)
    else:
        await run_in_threadpool(serving.check_prompt, submission)


async def _whole(
    request: Request, serving: Service, call: Call, submission: Submission, job: Job
) -> Response:
    """All pictures in one body; an empty answer if the client disconnects before."""
    with job:
        pictures = await unless_left(request, finished(request, serving, call, submission, job))
    if pictures is None:
        return Response(status_code=CLIENT_LEFT)
    drawn, notices = pictures
    body = answers.dump(answers.images(call, drawn, serving.worker(submission).engine))
    headers = headers_of(call, notices)
    return WholeDelivery(body, media_type="application/json", headers=headers, ticket=job.ticket)


async def finished(
    request: Request, serving: Service, call: Call, submission: Submission, job: Job
) -> tuple[list[Drawn], list[str]]:
    """The pictures of `job` as files, in order, and the notices of the engine."""
    drawn: dict[int, Drawn] = {}
    notices = []
    base = urls.base(request, serving.settings) if call.container == "url" else None
    async for event in job.events():
        if isinstance(event, Picture):
            # Encoded here while the worker thread draws the next picture.
            drawn[event.index] = await serving.encode(_kept, serving, submission, job, event, base)
        elif isinstance(event, Notice):
            notices.append(event.text)
    return [drawn[index] for index in sorted(drawn)], notices


async def unless_left(request: Request, work: Awaitable[T]) -> T | None:
    """The result of `work`, or None as soon as the client disconnects."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def left(request: Request) -> None:
    """Return once the client has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _kept(
    serving: Service,
    submission: Submission,
    job: Job,
    picture: Picture,
    base: str | None = None,
) -> Drawn:
    """A finished picture as a file, or as an address below `base` if given. Blocks."""
    file = output.keep(serving, submission, job, picture, has_address=base is not None)
    details = file.details or Details()
    if base is None or file.name is None:
        return Drawn(file.data, file.is_transparent, details=details)
    return Drawn(b"", file.is_transparent, base + serving.links.address(file.name), details)


def headers_of(call: Call, notices: list[str]) -> dict[str, str]:
    """Headers for data that the API's bodies do not have: the seed and the notices."""
    headers = {"x-limner-seed": str(call.request.seed)}
    if call.notices or notices:
        headers["x-limner-notice"] = (
            "; ".join([*call.notices, *notices]).encode("ascii", "replace").decode()
        )
    return headers


class Events(Protocol):
    """The stream format of a protocol. Each method returns bytes to send."""

    def begin(self) -> bytes:
        """The events before drawing starts."""
        ...

    def partial(self, picture: Drawn, index: int) -> bytes:
        """Preview `index` of a picture."""
        ...

    def completed(self, picture: Drawn) -> bytes:
        """A finished picture."""
        ...

    def failed(self, error: ApiError) -> bytes:
        """The last event of a failed stream."""
        ...


@dataclass(frozen=True)
class _ImageEvents:
    """The events of the Images API."""

    call: Call
    engine: Engine

    def begin(self) -> bytes:
        return b""

    def partial(self, picture: Drawn, index: int) -> bytes:
        return answers.partial_image(self.call, index, picture)

    def completed(self, picture: Drawn) -> bytes:
        return answers.completed(self.call, picture, self.engine)

    def failed(self, error: ApiError) -> bytes:
        return answers.failed(error)


async def stream(
    request: Request,
    serving: Service,
    call: Call,
    submission: Submission,
    job: Job,
    shape: Events,
) -> Response:
    """Stream the events of `job`. Returns once the request is queued or the engine has sent an
    event. Raises a failure that comes before that.
    """
    events = job.events()
    first = asyncio.ensure_future(anext(events, None))
    try:
        leaving = asyncio.ensure_future(left(request))
        await asyncio.wait(
            {first, leaving}, timeout=FIRST_EVENT_S, return_when=asyncio.FIRST_COMPLETED
        )
        gone = leaving.done()
        leaving.cancel()
        if first.done():
            first.result()  # raises a failure before anything was sent
    except BaseException as error:
        job.close("failed" if isinstance(error, Exception) else "cancelled")
        raise
    if gone:
        job.cancel()
        first.cancel()
        return Response(status_code=CLIENT_LEFT)
    told = _beginning_with(first, events)
    return Delivery(
        _lines(serving, call, submission, job, shape, told, scope.request_id(request)),
        media_type="text/event-stream; charset=utf-8",
        headers={"cache-control": "no-cache", "x-accel-buffering": "no", **headers_of(call, [])},
        ticket=job.ticket,
        closing=job.cancel,
    )


async def _lines(
    serving: Service,
    call: Call,
    submission: Submission,
    job: Job,
    shape: Events,
    events: AsyncIterator[Event | Waiting],
    request_id: str,
) -> AsyncGenerator[bytes]:
    """The stream's bytes. The job always ends with the stream."""
    outbox = Outbox()
    filling = asyncio.ensure_future(
        _fill(outbox, serving, call, submission, job, shape, events, request_id)
    )
    try:
        async for chunk in outbox.chunks(answers.KEEP_ALIVE, KEEP_ALIVE_S):
            yield chunk
    finally:
        job.cancel()
        filling.cancel()
        with suppress(asyncio.CancelledError):
            await filling


async def _fill(
    outbox: Outbox,
    serving: Service,
    call: Call,
    submission: Submission,
    job: Job,
    shape: Events,
    events: AsyncIterator[Event | Waiting],
    request_id: str,
) -> None:
    """Put the bytes of a stream into `outbox`. Events are encoded as they come, so that no pixels
    are kept for a slow client.

    While the client is behind, the job starts no further picture (`Job.next`) and previews are
    dropped.
    """
    try:
        if beginning := shape.begin():
            outbox.put(beginning)
        await put_events(outbox, serving, submission, job, shape, events)
    except Exception as error:
        job.close("failed")
        await job.written()  # before the client knows: it may repeat its Idempotency-Key at once
        outbox.put(shape.failed(as_api_error(error, request_id, is_gpt=call.target.is_gpt)))
    finally:
        outbox.complete()


async def put_events(
    outbox: Outbox,
    serving: Service,
    submission: Submission,
    job: Job,
    shape: Events,
    events: AsyncIterator[Event | Waiting],
) -> None:
    """Put the bytes of all `events` of `job` into `outbox`."""
    n_partial: dict[int, int] = {}
    told_s = time.monotonic()
    while (event := await anext(events, None)) is not None:
        is_behind = outbox.n_bytes > MAX_BEHIND_BYTES
        if isinstance(event, Preview):
            if not is_behind:
                index = n_partial[event.index] = n_partial.get(event.index, -1) + 1
                if told := await serving.encode(_partial, serving, shape, submission, event, index):
                    outbox.put(told)
        elif isinstance(event, Picture):
            outbox.put(
                await serving.encode(_completed, serving, shape, submission, job, event),
                job.sent,
            )
        elif isinstance(event, Notice):
            outbox.put(answers.comment(event.text))
        elif isinstance(event, Waiting):
            outbox.put(answers.comment(f"position {event.position}"))
        elif not is_behind and time.monotonic() - told_s >= PROGRESS_EVERY_S:
            told_s = time.monotonic()
            outbox.put(answers.comment(f"{event.stage} {event.done}/{event.total}"))
        event = None  # frees its pixels before the next event


async def _beginning_with(
    first: asyncio.Future[Event | Waiting | None], events: AsyncIterator[Event | Waiting]
) -> AsyncGenerator[Event | Waiting]:
    """The event of `first`, then the others; no reference to an event that was yielded is kept."""
    held = [await first]
    del first
    if held[0] is not None:
        yield held.pop()  # type: ignore[misc]  # not None
    while (event := await anext(events, None)) is not None:
        held.append(event)
        del event
        yield held.pop()  # type: ignore[misc]  # not None


def _partial(
    serving: Service, shape: Events, submission: Submission, event: Preview, index: int
) -> bytes:
    file = output.check_and_encode(serving, submission, event)
    return shape.partial(Drawn(file.data, file.is_transparent), index)


def _completed(
    serving: Service, shape: Events, submission: Submission, job: Job, event: Picture
) -> bytes:
    return shape.completed(_kept(serving, submission, job, event))


def as_api_error(error: Exception, request_id: str, *, is_gpt: bool) -> ApiError:
    """A failure after the begin of a stream as an error of the API; what is unknown is logged."""
    if isinstance(error, LimnerError):
        return errors.from_limner(error, request_id, is_gpt=is_gpt)
    log.error("a stream failed (%s)", request_id, exc_info=error)
    return errors.crash(request_id)
