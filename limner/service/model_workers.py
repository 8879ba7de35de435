"""The models that the server draws with, each with its worker; cards come and go while it runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from limner.engines.cards.card import Card
from limner.errors import LimnerError, SettingsError
from limner.service.queue.worker import Worker
from limner.service.telemetry.metrics import Metrics
from limner.studio import Studio

log = logging.getLogger("limner.server")

_TESTCARD = "testcard"  # costs nothing to have, and lets people try their programs for real


class Models:
    """Workers by the name of their engine. For the thread of the event loop, but for `sweep`."""

    def __init__(self, studio: Studio, n_waiting_max: int, metrics: Metrics) -> None:
        """Loads the engine of the settings. Raises what is wrong with it or with a card."""
        self._studio, self._n_waiting_max, self._metrics = studio, n_waiting_max, metrics
        self._seen = studio.cards.changed_ns()
        self.cards: dict[str, Card] = studio.cards.all()
        self.aliases: dict[str, str] = studio.cards.aliases()  # other names of cards
        own = dict.fromkeys([studio.settings.engine, _TESTCARD])
        self._kept = set(own)  # whatever becomes of their cards
        self.workers = {name: self._worker(name) for name in [*own, *self.cards]}
        self._retired: dict[str, Worker] = {}  # of cards that are gone, until nothing waits there
        self._is_started = False
        if len(self.engine_from_model) < len(self.workers):
            raise _one_name_twice(self.workers, self.cards)

    @property
    def engine_from_model(self) -> dict[str, str]:
        """Names of engines by what clients call their models."""
        return {worker.engine.model: name for name, worker in self.workers.items()}

    def start(self) -> None:
        """Begin to draw."""
        self._is_started = True
        for worker in self.workers.values():
            worker.start()

    def all_workers(self) -> list[Worker]:
        """Those too that only finish what they have."""
        return [*self.workers.values(), *self._retired.values()]

    def worker(self, name: str) -> Worker:
        """The worker of an engine, which may have been removed a moment ago."""
        return self.workers.get(name) or self._retired[name]

    def refresh(self) -> bool:
        """Look whether cards were added or removed; returns whether any were.

        A card that is gone takes no new requests; those it has are drawn. One that was replaced by
        another of its name stays as it is until nothing waits for it.
        """
        changed_ns = self._studio.cards.changed_ns()
        if changed_ns == self._seen:
            return False
        self._seen = changed_ns
        try:
            cards, aliases = self._studio.cards.all(), self._studio.cards.aliases()
        except LimnerError as error:
            log.error("the models stay as they were: %s", error.message)
            return False
        for name, card in self.cards.items():
            if name in self._kept:
                cards[name] = card
            elif cards.get(name) != card:
                self._retired[name] = self.workers.pop(name)
        self.sweep()
        for name in [name for name in cards if name not in self.workers]:
            if name in self._retired:  # busy with the card before: looked at again the next time
                self._seen = 0
                del cards[name]
            elif name in self.engine_from_model:
                log.error("model %s is left out: an engine's own model has this name", name)
                del cards[name]
            else:
                self.workers[name] = self._worker(name)
                if self._is_started:
                    self.workers[name].start()
        self.cards = cards
        self.aliases = {alias: name for alias, name in aliases.items() if name in cards}
        return True

    def sweep(self) -> None:
        """Give back models whose cards are gone, and that nothing waits for any more."""
        for name, worker in list(self._retired.items()):
            if worker.is_idle:
                worker.close()
                self._studio.forget(name)
                self._retired.pop(name, None)
                log.info("model %s was removed", name)

    def _worker(self, name: str) -> Worker:
        return Worker(self._studio, name, self._n_waiting_max, self._metrics)


def _one_name_twice(workers: Mapping[str, Worker], cards: Mapping[str, Card]) -> SettingsError:
    """Of two models of one name, clients could only ask for one."""
    models = [worker.engine.model for worker in workers.values()]
    name = next(model for model in models if models.count(model) > 1)
    hint = f"`limner models rm {name}`, and add it by another name" if name in cards else None
    return SettingsError(f"Two models are called {name}", hint=hint)
