"""Rebuild the answer to an earlier request from the history."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator
from dataclasses import replace

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from limner.engines.base import Engine
from limner.engines.events import Details
from limner.server.http import scope, urls
from limner.server.openai import answers, errors
from limner.server.openai.answers import Drawn
from limner.server.openai.calls import Call
from limner.service.context import Service
from limner.service.pictures import output
from limner.storage.db.database import Row

REPLAYED = "idempotent-replayed"


async def answer(request: Request, call: Call, id: str) -> Response:
    """The answer to earlier request `id`, whose call was `call`."""
    serving = scope.service(request)
    row = await run_in_threadpool(_row, serving, id)
    seed: int = row["parameters"]["seed"]
    call = replace(call, request=replace(call.request, seed=seed))
    engine = serving.workers[call.target.engine].engine
    headers = {"x-limner-seed": str(seed), REPLAYED: "true"}
    if call.stream:
        return StreamingResponse(
            _events(serving, call, row, engine),
            media_type="text/event-stream; charset=utf-8",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no", **headers},
        )
    base = urls.base(request, serving.settings) if call.container == "url" else None
    # An answer of ten large pictures is as large as a body with uploads, and counts as one.
    held = scope.body_budget(request).hold()
    if base is None:
        held.add(sum(picture["n_bytes"] for picture in row["pictures"]) * 4 // 3)
    try:
        drawn = [
            await run_in_threadpool(_read, serving, picture, base) for picture in row["pictures"]
        ]
        body = answers.dump(answers.images(call, drawn, engine))
        response = Response(body, media_type="application/json", headers=headers)
    except BaseException:
        held.release()
        raise
    weakref.finalize(response, held.release)
    return response


async def _events(serving: Service, call: Call, row: Row, engine: Engine) -> AsyncIterator[bytes]:
    """The stream events; each picture is read just before its event."""
    for picture in row["pictures"]:
        drawn = await run_in_threadpool(_read, serving, picture, None)
        yield answers.completed(call, drawn, engine)


def _row(serving: Service, id: str) -> Row:
    """The row of request `id`. Raises ApiError unless all its pictures are in the store."""
    row = serving.history.find(id) if serving.history else None
    if row is None or not all(map(serving.has_picture, (p["file"] for p in row["pictures"]))):
        raise errors.drawn_elsewhere(id)
    return row


def _read(serving: Service, picture: Row, base: str | None) -> Drawn:
    """A stored picture as a file, or as an address below `base` if `base` is given."""
    try:
        data = serving.kept_picture(picture["file"])
    except FileNotFoundError:
        raise errors.drawn_elsewhere(picture["request_id"]) from None
    is_transparent = output.is_transparent(data, picture["format"])
    details = Details.from_json(picture["details"] or {})
    if base is None:
        return Drawn(data, is_transparent, None, details)
    return Drawn(b"", is_transparent, base + serving.links.address(picture["file"]), details)
