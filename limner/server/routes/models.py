"""The small routes: models, moderation, and whether the server is well."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner import __version__
from limner.server.http import bodies
from limner.server.openai import answers, errors, moderations
from limner.service import context
from limner.service.telemetry.metrics import MEDIA_TYPE

_JSON = "application/json"


async def list_models(request: Request) -> Response:
    """All models that may be named."""
    body = answers.models(context.of(request).catalogue)
    return Response(answers.dump(body), media_type=_JSON)


async def get_model(request: Request, model: str) -> Response:
    """One model."""
    catalogue = context.of(request).catalogue
    if model not in catalogue.ids():
        raise errors.unknown_model(model)
    return Response(answers.dump(answers.model(model, catalogue)), media_type=_JSON)


async def moderate(request: Request) -> Response:
    """Judge texts as prompts are judged."""
    texts, model = moderations.read(await bodies.read_json(request))
    moderator = context.of(request).moderator
    verdicts = await run_in_threadpool(lambda: [moderator.check(text) for text in texts])
    body = moderations.answer(model, [v.scores for v in verdicts], [v.categories for v in verdicts])
    return Response(answers.dump(body), media_type=_JSON)


async def health() -> Response:
    """The process answers."""
    body = {"status": "ok", "version": __version__}
    return Response(answers.dump(body), media_type=_JSON)


async def metrics(request: Request) -> Response:
    """What Prometheus reads."""
    text = await run_in_threadpool(context.of(request).metrics.text)
    return Response(text, media_type=MEDIA_TYPE)


async def ready(request: Request) -> Response:
    """Whether a request would be drawn: 200, or 503 while starting or stopping."""
    workers = context.of(request).workers
    state = {name: worker.is_ready for name, worker in workers.items()}
    is_ready = all(state.values())
    body = {"status": "ok" if is_ready else "unavailable", "engines": state}
    return Response(answers.dump(body), 200 if is_ready else 503, media_type=_JSON)
