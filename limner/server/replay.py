"""The answer to a request that was drawn before, made again from the history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from limner.engines.base import Engine
from limner.engines.events import Details
from limner.imaging import decode_upload
from limner.server.http import scope, urls
from limner.server.openai import answers, errors
from limner.server.openai.answers import Drawn
from limner.server.openai.calls import Call
from limner.service.context import Service
from limner.storage.db.database import Row

REPLAYED = "idempotent-replayed"


async def answer(request: Request, call: Call, id: str) -> Response:
    """What request `id`, which asked for `call`, was answered, or would have been."""
    serving = scope.service(request)
    base = urls.base(request, serving.settings) if call.container == "url" else None
    row, drawn = await run_in_threadpool(_read, serving, id, None if call.stream else base)
    seed: int = row["parameters"]["seed"]
    call = replace(call, request=replace(call.request, seed=seed))
    engine = serving.workers[call.target.engine].engine
    headers = {"x-limner-seed": str(seed), REPLAYED: "true"}
    if call.stream:
        return StreamingResponse(
            _events(call, drawn, engine),
            media_type="text/event-stream; charset=utf-8",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no", **headers},
        )
    body = answers.dump(answers.images(call, drawn, engine))
    return Response(body, media_type="application/json", headers=headers)


async def _events(call: Call, drawn: Sequence[Drawn], engine: Engine) -> AsyncIterator[bytes]:
    for picture in drawn:
        yield answers.completed(call, picture, engine)


def _read(serving: Service, id: str, base: str | None) -> tuple[Row, list[Drawn]]:
    """The row of request `id` and its pictures as files, at addresses below `base`."""
    row = serving.history.find(id) if serving.history else None
    try:
        kept = row["pictures"] if row else []
        files = [(picture, serving.kept_picture(picture["file"])) for picture in kept]
    except FileNotFoundError:
        row = None
    if row is None:
        raise errors.drawn_elsewhere(id)
    drawn = []
    for picture, data in files:
        is_transparent = bool((decode_upload.read(data).pixels[..., 3] < 255).any())
        url = None if base is None else base + serving.links.address(picture["file"])
        details = Details.from_json(picture["details"] or {})
        drawn.append(Drawn(data, is_transparent, url, details))
    return row, drawn
