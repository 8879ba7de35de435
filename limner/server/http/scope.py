"""Typed access to values in the scope of a request."""

from __future__ import annotations

from typing import cast

from fastapi import Request

from limner.server.bodies.body_memory import BodyBudget
from limner.server.input_pictures.decoders import DecoderPool
from limner.server.openai.catalogue import catalogue_of
from limner.server.openai.model_rules import Catalogue
from limner.service.access.auth import Holder
from limner.service.context import Service
from limner.service.telemetry.traces import Trace


def service(request: Request) -> Service:
    """The service that answers `request`."""
    return cast("Service", request.app.state.service)


def catalogue(request: Request) -> Catalogue:
    """The models that `request` may name."""
    state = request.app.state
    if service(request).models.refresh():
        state.catalogue = catalogue_of(state.service)
    return cast("Catalogue", state.catalogue)


def body_budget(request: Request) -> BodyBudget:
    """The budget shared by all bodies that are being read."""
    return cast("BodyBudget", request.app.state.body_budget)


def decoders(request: Request) -> DecoderPool:
    """The processes that decode uploads."""
    return cast("DecoderPool", request.app.state.decoders)


def holder(request: Request) -> Holder:
    """The holder of the key of `request`; set once the key was checked."""
    return cast("Holder", request.state.holder)


def trace(request: Request) -> Trace:
    """The spans of `request`."""
    return cast("Trace", request.state.trace)


def request_id(request: Request) -> str:
    """The id that the middleware gave `request`."""
    return str(request.state.request_id)


def deployment(request: Request) -> str | None:
    """The model that the path of `request` names (Azure style), or None."""
    return cast("str | None", request.state.deployment)
