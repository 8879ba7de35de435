"""What a pool draws: cards, and engines of the registry as they are set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from limner.engines.base import Capabilities, Engine
from limner.engines.cards.card import Card, Cards
from limner.engines.registry import engine_info, load
from limner.errors import SettingsError
from limner.settings import Settings
from limner.settings import fields as setting_fields
from limner.storage.checkpoints import weights

# They draw elsewhere already.
_ELSEWHERE = ("ray", "upstream")


@dataclass(frozen=True)
class OfRegistry(Card):
    """An engine under its own name, built as the settings say."""

    def build(self, settings: Settings) -> Engine:
        """See `Card`; the model keeps its own name."""
        return load(self.engine, settings)


def chosen(names: Sequence[str], settings: Settings) -> list[Card]:
    """The cards called `names`; a name without a card is that of an engine.

    Raises SettingsError for an engine that draws elsewhere already, and EngineError for a name that
    nobody knows.
    """
    cards = Cards(settings.home)
    found = [cards.find(name) or _of_registry(name, settings) for name in names]
    for card in found:
        if card.engine in _ELSEWHERE:
            raise SettingsError(
                f"Engine {card.engine} draws elsewhere already, so a pool cannot draw with it",
                hint="deploy a folder of weights or another engine",
            )
    return found


def for_replicas(settings: Settings, n_cpus: float) -> Settings:
    """`settings` as a replica gets them: without secrets, for so many processor cores."""
    known = setting_fields()
    secrets = [name for name, one in known.items() if one.metadata["kind"].is_secret]
    bare: dict[str, Any] = {name: known[name].default for name in secrets}
    threads = settings.threads or max(1, int(n_cpus))
    # The origins of settings are paths of this machine.
    return replace(settings, **bare, threads=threads, engine="testcard", origins={})


def n_within(cards: Sequence[Card], max_bytes: int) -> int:
    """How many of `cards` fit into `max_bytes` at most, and at least 1; all if it is 0."""
    n_left, n_fitting = max_bytes, 0
    for n_bytes in sorted(card.n_bytes for card in cards):
        n_left -= n_bytes
        n_fitting += n_left >= 0 or not max_bytes
    return max(1, n_fitting)


def _of_registry(name: str, settings: Settings) -> OfRegistry:
    info = engine_info(name)
    n_bytes = 0
    if info.name == "transformer":
        n_bytes = weights.read(weights.find(settings.weights), verify=False).n_bytes
    return OfRegistry(info.name, info.name, "", n_bytes, "", Capabilities())
