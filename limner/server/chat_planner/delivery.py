"""Answering with a chat planner: history row, limits, and the answer whole or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress

from fastapi import Request, Response

from limner.server.chat_planner.chat_server import ChatServer
from limner.server.chat_planner.planning import ClientLeft, Planning, seed_header
from limner.server.chat_planner.shapes import Shape
from limner.server.http import scope
from limner.server.http.delivery import Delivery, Outbox, WholeDelivery
from limner.server.input_pictures.json_pictures import Reader
from limner.server.openai import answers
from limner.server.openai.answers import Drawn, Json
from limner.server.openai.calls import Call
from limner.server.openai.errors import ApiError
from limner.server.responses.body import Body
from limner.server.routes.images import drawing
from limner.service.access.rate_limits import Ticket
from limner.service.queue.jobs import Job
from limner.service.submission import Submission
from limner.service.threads import undone_if_left
from limner.storage.db.responses import Responses
from limner.storage.history.history import ANSWER, Asked, Record


async def answer(
    request: Request,
    body: Body,
    reader: Reader,
    planner: ChatServer,
    shape: Shape,
    held: AsyncExitStack,
) -> Response:
    """Plan, draw and answer. `held` keeps the pictures of the request, and is closed at the end."""
    request.state.is_gpt = True  # selects the words of errors
    planned = _Planned(request, body, reader, planner, shape)
    if body.is_stream:
        return await planned.stream(held)
    async with held:
        return await planned.whole()


class _Planned:
    """One answer under way."""

    def __init__(
        self, request: Request, body: Body, reader: Reader, planner: ChatServer, shape: Shape
    ) -> None:
        self._request, self._body, self._reader = request, body, reader
        self._planner, self._shape = planner, shape
        self._planning: Planning | None = None
        self._outbox: Outbox | None = None  # of a stream
        self._is_begun = False  # the stream

    async def whole(self) -> Response:
        """The answer in one body."""
        work = self._run()
        try:
            is_done = await drawing.unless_left(self._request, work)
        except ClientLeft:
            is_done = None
        if is_done is None or self._planning is None:
            return Response(status_code=drawing.CLIENT_LEFT)
        planning = self._planning
        body = answers.dump(self._shape.whole(planning.pictures))
        return WholeDelivery(
            body, media_type="application/json", headers=self._headers(planning.notices)
        )

    async def stream(self, held: AsyncExitStack) -> Response:
        """The answer as a stream; a failure before its first event is raised."""
        outbox = self._outbox = Outbox()
        working = asyncio.ensure_future(self._run_within(held))
        filled = asyncio.ensure_future(outbox.filled())
        leaving = asyncio.ensure_future(drawing.left(self._request))
        try:
            await asyncio.wait(
                {working, filled, leaving},
                timeout=drawing.FIRST_EVENT_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if leaving.done():
                working.cancel()
                return Response(status_code=drawing.CLIENT_LEFT)
            if working.done() and not filled.done():
                working.result()  # raises what came before anything was sent
        except asyncio.CancelledError:
            working.cancel()
            raise
        finally:
            filled.cancel()
            leaving.cancel()
        self._begin(outbox)
        return Delivery(
            self._lines(outbox, working),
            media_type="text/event-stream; charset=utf-8",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no", **self._headers([])},
            closing=working.cancel,
        )

    async def _lines(self, outbox: Outbox, working: asyncio.Future[bool]) -> AsyncGenerator[bytes]:
        """The stream's bytes."""
        working.add_done_callback(lambda _: outbox.complete())
        try:
            async for chunk in outbox.chunks(answers.KEEP_ALIVE, drawing.KEEP_ALIVE_S):
                yield chunk
            yield self._end(working)
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await working

    def _begin(self, outbox: Outbox) -> None:
        """Put the beginning of the stream, once: events are numbered in the order they are made."""
        if not self._is_begun:
            self._is_begun = True
            outbox.put(self._shape.begin())

    def _end(self, working: asyncio.Future[bool]) -> bytes:
        pictures = self._planning.pictures if self._planning else {}
        error = working.exception()
        if error is None:
            return self._shape.ended(pictures)
        if not isinstance(error, Exception):
            raise error
        id = scope.request_id(self._request)
        return self._shape.failed(drawing.as_api_error(error, id, is_gpt=True), pictures)

    def _headers(self, notices: list[str]) -> dict[str, str]:
        said = "; ".join([*self._body.notices, *notices])
        seeds = self._planning.seeds if self._planning and not self._body.is_stream else []
        notice = {"x-limner-notice": said.encode("ascii", "replace").decode()} if said else {}
        return {**seed_header(seeds), **notice}

    async def _run_within(self, held: AsyncExitStack) -> bool:
        async with held:
            return await self._run()

    async def _run(self) -> bool:
        """Fill the answer and keep it."""
        serving, holder = scope.service(self._request), scope.holder(self._request)
        planning = Planning(self._request, self._body, self._reader, self._planner)
        await planning.check()
        ticket = await undone_if_left(serving.limiter.acquire_async(holder, 0), Ticket.release)
        ticket.release()  # each picture counts by itself while it is drawn
        self._request.state.headers = serving.limiter.headers(holder)
        self._planning = planning
        beginning = asyncio.ensure_future(self._begun())
        state = "failed"
        try:
            await asyncio.shield(beginning)
            await planning.run(self._shape.planned, ticket, self._say, self._draw)
            state = "done"
        except (asyncio.CancelledError, ClientLeft):
            state = "cancelled"
            raise
        finally:
            await asyncio.shield(self._ended(beginning, state))
        return True

    async def _begun(self) -> Record | None:
        """The row of the answer, if there is a history; with its body, if it is to be stored."""
        serving, planned = scope.service(self._request), self._shape.planned
        if serving.history is None:
            return None
        holder, run = scope.holder(self._request), serving.database_threads.run
        asked = Asked(planned.request_id, holder.name, ANSWER, "", self._body.prompt, 0, {"n": 0})
        record = await run(serving.history.begin, asked)
        if planned.is_stored:
            add = Responses(serving.database).add
            await run(add, planned.id, planned.request_id, planned.stored())
        return record

    async def _ended(self, beginning: asyncio.Future[Record | None], state: str) -> None:
        """Keep the answer, and end its row once it has begun."""
        serving, planned = scope.service(self._request), self._shape.planned
        await asyncio.wait({beginning})
        if beginning.exception() or (record := beginning.result()) is None:
            return
        run = serving.database_threads.run
        if planned.is_stored:
            await run(Responses(serving.database).replace, planned.id, planned.stored())
        await run(record.end, state)

    async def _say(self, item: Json) -> None:
        if self._outbox is not None:
            self._begin(self._outbox)
            self._outbox.put(self._shape.said(item))

    async def _draw(self, place: int, call: Call, submission: Submission, job: Job) -> Drawn:
        serving = scope.service(self._request)
        if self._outbox is None:
            [picture], notices = await drawing.finished(
                self._request, serving, call, submission, job
            )
            if self._planning is not None:
                self._planning.notices += notices
            return picture
        self._begin(self._outbox)
        self._outbox.put(self._shape.call_begins(place))
        events = _CallEvents(self._shape, place)
        await drawing.put_events(self._outbox, serving, submission, job, events, job.events())
        assert events.picture is not None  # a job that ends without a failure has drawn
        return events.picture


class _CallEvents:
    """The events of one picture of a planned stream."""

    def __init__(self, shape: Shape, place: int) -> None:
        self._shape, self._place = shape, place
        self.picture: Drawn | None = None

    def begin(self) -> bytes:
        return b""

    def partial(self, picture: Drawn, index: int) -> bytes:
        return self._shape.preview(self._place, picture, index)

    def completed(self, picture: Drawn) -> bytes:
        self.picture = picture
        return self._shape.call_done(self._place, picture)

    def failed(self, error: ApiError) -> bytes:
        return b""
