"""What runs on the cluster: a replica draws one picture at a time, with the models of its pool.

Its messages are ("begin", Begun), ("event", event) for each event, and last ("end", None) or
("error", LimnerError).
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ray import serve

import limner
from limner.engines.apart.child import told
from limner.engines.apart.parent import About
from limner.engines.base import Engine, ImageTask, Picture, Progress
from limner.engines.cards.card import Card
from limner.engines.cards.model_cache import ModelCache
from limner.engines.cards.on_first_use import OnFirstUse
from limner.engines.ray.pooled_models import n_within
from limner.errors import LimnerError
from limner.request import ImageRequest, Size
from limner.settings import Settings

Send = Callable[[str, Any], None]  # (kind, value) of a message

_N_STEPS = 100  # of a picture whose first step is loading
_PROBE = ImageRequest("a red apple", size=Size(64, 64), quality="low", seed=0)


@dataclass(frozen=True)
class Begun:
    """A replica has begun to draw. Replicas that draw alike have the same `probe`."""

    probe: str


@dataclass(frozen=True)
class Members:
    """What a pool is made of."""

    version: str  # of limner
    models: list[str]  # by name, the first one first
    n_most: int  # replicas that there may be


class Replica:
    """One of at most `n_most`, with the models `cards` within the `memory` of `settings`."""

    def __init__(self, cards: Sequence[Card], settings: Settings, n_most: int) -> None:
        self._members = limner.__version__, [card.name for card in cards], n_most
        self._cards = {card.name: card for card in cards}
        self._settings = settings
        max_bytes = settings.memory * 1_000_000
        self._cache = ModelCache(max_bytes, settings.model_minutes * 60)
        self._probes: dict[str, str] = {}
        self._drawing = ThreadPoolExecutor(1, "draw")

        @serve.multiplexed(max_num_models_per_replica=n_within(cards, max_bytes))
        async def resident(name: str) -> str:
            return name

        # Tells Serve which models are here, so that it sends requests for them here.
        self._resident = resident

    async def members(self) -> tuple[str, list[str], int]:
        """The values of `Members`: another version of limner may have another class."""
        return self._members

    async def about(self, name: str) -> About | LimnerError:
        """What model `name` can do, or why it cannot be loaded."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._drawing, self._about, name)

    async def draw(self, name: str, task: ImageTask) -> AsyncIterator[tuple[str, Any]]:
        """Draw `task` with model `name`. Who closes this iterator cancels the picture."""
        if len(self._cards) > 1:
            await self._resident(name)
        loop = asyncio.get_running_loop()
        messages: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        cancel = _Cancel()

        def send(kind: str, value: Any) -> None:
            loop.call_soon_threadsafe(messages.put_nowait, (kind, value))

        drawing = loop.run_in_executor(
            self._drawing, partial(self._draw, self._cards[name], task, cancel, send)
        )
        try:
            kind = ""
            while kind not in ("end", "error"):
                kind, value = await messages.get()
                yield kind, value
        finally:
            cancel.is_set.set()
            await asyncio.wait([drawing])

    def _draw(self, card: Card, task: ImageTask, cancel: _Cancel, send: Send) -> None:
        engine = OnFirstUse(card, self._cache, self._settings)
        self._cache.sweep()
        try:
            if card.name not in self._probes:
                send("event", Progress(1, _N_STEPS, "loading"))
                self._look_at(card)
            send("begin", Begun(self._probes[card.name]))
            for _, event in engine.draw([task], cancel):
                send("event", event)
        except Exception as error:
            send("error", told(error, card.engine))
        else:
            send("end", None)

    def _about(self, name: str) -> About | LimnerError:
        card = self._cards[name]
        try:
            return self._look_at(card)
        except Exception as error:
            return told(error, card.engine)

    def _look_at(self, card: Card) -> About:
        """What the model of `card` can do, which is loaded, and draws a probe the first time."""
        build = partial(card.build, self._settings)
        with self._cache.borrowed(card.name, card.n_bytes, build) as engine:
            if card.name not in self._probes:
                self._probes[card.name] = _probe(engine)
            return About(engine.name, engine.model, engine.capabilities, engine.n_bytes)


class _Cancel:
    """The cancel token of one picture."""

    def __init__(self) -> None:
        self.is_set = threading.Event()

    def is_cancelled(self, task: ImageTask) -> bool:
        return self.is_set.is_set()


def _probe(engine: Engine) -> str:
    """A hash of a small picture by `engine`; empty if it does not draw the same twice."""
    able = engine.capabilities
    if not able.repeatable:
        return ""
    request = replace(_PROBE, size=able.sizes.nearest(_PROBE.size))
    [picture] = (one for one in engine.generate(request) if isinstance(one, Picture))
    return hashlib.sha256(picture.pixels.tobytes()).hexdigest()
