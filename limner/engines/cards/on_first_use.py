"""An engine of a card: it is known at once, and loaded when it is to draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from limner.engines.base import (
    NEVER,
    BatchKey,
    CancelToken,
    Engine,
    Event,
    ImageTask,
    Progress,
)
from limner.engines.cards.card import Card
from limner.engines.cards.model_cache import ModelCache, NotWanted
from limner.engines.counting import counted
from limner.options import Options
from limner.settings import Settings

# The first of so many steps of a picture is loading, where its model has to be loaded.
_N_STEPS = 100


class OnFirstUse(Engine):
    """Draws with the engine of `card`, which `cache` holds; see `engines.base.Engine`."""

    def __init__(self, card: Card, cache: ModelCache, settings: Settings) -> None:
        self._card, self._cache, self._settings = card, cache, settings
        self.name = self.model = card.name
        self.max_concurrency = card.max_concurrency
        self.capabilities = card.capabilities

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Load the model if need be, said as progress, and draw."""
        card = self._card
        if self._cache.peek(card.name) is None:
            yield from ((task, Progress(1, _N_STEPS, "loading")) for task in tasks)
        own = {task: task for task in tasks}

        def is_stopped() -> bool:
            return all(cancel.is_cancelled(task) for task in tasks)

        build = partial(card.build, self._settings)
        try:
            with self._cache.borrowed(card.name, card.n_bytes, build, is_stopped) as engine:
                asked = [_with_defaults(task, card.defaults) for task in tasks]
                for task, event in engine.draw(asked, cancel):
                    yield own[task], counted(event, task, engine)
        except NotWanted:
            return

    def batch_key(self, task: ImageTask) -> BatchKey:
        """The engine's own, once it is loaded."""
        engine = self._cache.peek(self._card.name)
        return engine.batch_key(task) if engine else BatchKey(task, 1)

    def close(self) -> None:
        """Give the model back."""
        self._cache.drop(self._card.name)


def _with_defaults(task: ImageTask, defaults: Mapping[str, object]) -> ImageTask:
    if not defaults:
        return task
    options = Options({**defaults, **task.request.options})  # type: ignore[dict-item]
    return replace(task, request=replace(task.request, options=options))
