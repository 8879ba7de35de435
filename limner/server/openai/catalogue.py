"""The models that clients may name, as the service has them now."""

from __future__ import annotations

from typing import cast

from limner.server.openai.model_rules import Catalogue, Container, is_published
from limner.service.context import Service


def catalogue_of(service: Service) -> Catalogue:
    """The names of the engines and cards of `service`, and their aliases."""
    settings, models = service.settings, service.models
    other_names = {name: card for name, card in models.aliases.items() if not is_published(name)}
    return Catalogue(
        settings.engine,
        models.engine_from_model | other_names,
        is_lenient=not settings.strict,
        own_container=cast("Container", settings.response_format),
        capabilities={name: w.engine.capabilities for name, w in models.workers.items()},
        published={name: card for name, card in models.aliases.items() if is_published(name)},
    )
