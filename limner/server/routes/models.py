"""/v1/models: the models of the Images API and of the Responses API."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner.server.http import scope
from limner.server.openai import answers, errors
from limner.server.openai.model_rules import Catalogue
from limner.server.responses import model_names as language_models
from limner.service.context import Service

_JSON = "application/json"


async def list_models(request: Request) -> Response:
    """List the models."""
    catalogue, serving = scope.catalogue(request), scope.service(request)
    body = answers.models(_ids(catalogue), catalogue)
    body["data"] = [_with_engine(catalogue, serving, item) for item in body["data"]]
    return Response(answers.dump(body), media_type=_JSON)


async def get_model(request: Request, model: str) -> Response:
    """One model."""
    catalogue = scope.catalogue(request)
    if model not in _ids(catalogue):
        raise errors.unknown_model(model)
    serving = scope.service(request)
    body = _with_engine(catalogue, serving, answers.model(model, catalogue))
    return Response(answers.dump(body), media_type=_JSON)


async def stop_model(request: Request, model: str) -> Response:
    """Give the memory of a model back; one that draws keeps it."""
    serving = scope.service(request)
    name = serving.models.aliases.get(model, model)
    if name not in serving.models.cards:
        raise errors.unknown_model(model)
    if not await run_in_threadpool(serving.studio.cache.drop, name):
        raise errors.model_draws(model)
    return await get_model(request, model)


def _with_engine(catalogue: Catalogue, serving: Service, item: dict[str, Any]) -> dict[str, Any]:
    """An entry of the list; the server's own models with their engine and style words."""
    item |= _memory(serving, item["id"])
    name = catalogue.own.get(item["id"])
    if name is None:
        return item
    styles = serving.workers[name].engine.capabilities.styles
    about = {
        "engine": name,
        "is_default": name == catalogue.default_engine,
        "styles": [{"en": english, "zh": chinese} for english, chinese in styles],
    }
    return item | {"limner": about}


def _memory(serving: Service, id: str) -> dict[str, Any]:
    """How a model that is loaded on first use stands; of others nothing."""
    name = serving.models.aliases.get(id, id)
    if name not in serving.models.cards:
        return {}
    cache = serving.studio.cache
    return {
        "loaded": name in cache.loaded(),
        "drawing": cache.is_drawing(name),
        "bytes": serving.models.cards[name].n_bytes,
    }


def _ids(catalogue: Catalogue) -> list[str]:
    """Ids of the models of the Images API and of the Responses API."""
    return [*catalogue.ids(), *language_models.NAMES]
