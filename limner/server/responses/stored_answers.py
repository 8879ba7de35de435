"""Stored answers, rebuilt from their rows and pictures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from anyio import to_thread
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from limner.server.access import own_rows
from limner.server.chat_planner import planned_answer
from limner.server.chat_planner.planned_answer import PlannedAnswer
from limner.server.chat_planner.shapes import ResponsesShape
from limner.server.http import scope
from limner.server.openai import answers, errors
from limner.server.openai.answers import Drawn, Json
from limner.server.rebuilt_answers import REPLAYED
from limner.server.responses import answer
from limner.server.responses.answer import Plan
from limner.service.pictures import output
from limner.storage.db.database import Row

_STATUS = {"running": "in_progress", "done": "completed", "cancelled": "cancelled"}
_JSON = "application/json"


async def shown(request: Request, row: Row, stored: Json) -> Json:
    """A stored answer in its current state."""
    if kept := planned_answer.from_stored(stored):
        pictures = await _pictures(request, kept)
        return kept.response(_status(row), pictures, _error(row))
    plan = answer.from_stored(stored)
    return await _of_plan(request, row, plan)


async def again(request: Request, row: Row, stored: Json, *, is_stream: bool) -> Response:
    """The answer to an earlier request once more. Raises ApiError if its pictures are gone."""
    if kept := planned_answer.from_stored(stored):
        pictures = await _pictures(request, kept)
        if _status(row) != "completed" or len(pictures) < len(kept.calls):
            raise errors.drawn_elsewhere(row["id"])
        shape = ResponsesShape(kept)
        return _replayed(shape.whole(pictures), shape.all_events(pictures), is_stream=is_stream)
    plan = answer.from_stored(stored)
    picture = await _picture(request, row)
    if picture is None:
        raise errors.drawn_elsewhere(row["id"])
    stream = answer.PlanEvents(plan)
    events = [stream.begin(), stream.completed(picture)]
    return _replayed(plan.completed(picture), events, is_stream=is_stream)


async def _of_plan(request: Request, row: Row, plan: Plan) -> Json:
    status = _status(row)
    if status == "completed":
        if picture := await _picture(request, row):
            return plan.completed(picture)
        return plan.response(status, [plan.call(status)])  # someone deleted the file
    call = plan.call("in_progress" if status == "in_progress" else "failed")
    return plan.response(status, [call], _error(row))


def _status(row: Row) -> str:
    return _STATUS.get(row["state"], "failed")


def _error(row: Row) -> Json | None:
    if _status(row) != "failed":
        return None
    return {"code": "server_error", "message": f"The request was {row['state']}."}


async def _pictures(request: Request, kept: PlannedAnswer) -> dict[str, Drawn]:
    """The pictures of an answer that are still there, by their request ids."""
    found = {}
    for id in kept.calls:
        row = await own_rows.find(request, id)
        if row and (picture := await _picture(request, row)):
            found[id] = picture
    return found


async def _picture(request: Request, row: Row) -> Drawn | None:
    """The picture of `row`, or None if its file is missing."""
    serving = scope.service(request)

    def read() -> Drawn | None:
        if not row["pictures"]:
            return None
        try:
            data = serving.kept_picture(row["pictures"][0]["file"])
        except FileNotFoundError:
            return None
        return Drawn(data, output.is_transparent(data, row["pictures"][0]["format"]))

    return await to_thread.run_sync(read, limiter=serving.readers)


def _replayed(whole: Json, events: Iterable[bytes], *, is_stream: bool) -> Response:
    if not is_stream:
        return Response(answers.dump(whole), media_type=_JSON, headers={REPLAYED: "true"})

    async def sent() -> AsyncIterator[bytes]:
        for event in events:
            yield event

    headers = {"cache-control": "no-cache", "x-accel-buffering": "no", REPLAYED: "true"}
    return StreamingResponse(sent(), media_type="text/event-stream; charset=utf-8", headers=headers)
