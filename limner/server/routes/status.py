"""/health, /ready and /metrics: whether the server works, for monitors."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner import __version__
from limner.server.http import scope
from limner.server.openai import answers
from limner.service.pictures.disk_space import reason
from limner.service.telemetry.metrics import MEDIA_TYPE

_JSON = "application/json"


async def health() -> Response:
    """Always 200: the process is alive."""
    body = {"status": "ok", "version": __version__}
    return Response(answers.dump(body), media_type=_JSON)


async def metrics(request: Request) -> Response:
    """Metrics for Prometheus."""
    text = await run_in_threadpool(scope.service(request).metrics.text)
    return Response(text, media_type=MEDIA_TYPE)


async def ready(request: Request) -> Response:
    """200 if a request would be drawn and stored, else 503 with the reasons."""
    serving = scope.service(request)
    state = {name: worker.is_ready for name, worker in serving.workers.items()}
    trouble = await run_in_threadpool(serving.room.trouble)
    storage = reason(trouble) if trouble else "ok"
    is_ready = all(state.values()) and not trouble
    status = "ok" if is_ready else "unavailable"
    body = {"status": status, "engines": state, "storage": storage}
    return Response(answers.dump(body), 200 if is_ready else 503, media_type=_JSON)
