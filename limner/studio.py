"""The one door to drawing: command line, server, agent tools and Python all come through here."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from limner import settings as settings_module
from limner.engines.base import Engine, Event, Picture, check_able, load
from limner.errors import EngineError
from limner.request import Background, ImageRequest, Quality, Size
from limner.settings import Settings


class Studio:
    """Draws requests with the engines that the settings describe, each loaded once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._engines: dict[str, Engine] = {}
        self._lock = threading.Lock()

    def engine(self, name: str | None = None) -> Engine:
        """Engine `name`, or the one of the settings; loaded on first use."""
        name = name or self.settings.engine
        with self._lock:
            if name not in self._engines:
                self._engines[name] = load(name, self.settings)
            return self._engines[name]

    def draw(self, request: ImageRequest, *, engine: str | None = None) -> Iterator[Event]:
        """Draw `request` and yield what happens as it happens.

        A seed is picked when the request has none; every Picture carries it. Which engine and
        whether it can be loaded is settled before this returns, so an error comes at the call
        and not at the first event.
        """
        loaded = self.engine(engine)
        check_able(loaded, request)
        return _events(loaded, request.with_seed())

    def pictures(self, request: ImageRequest, *, engine: str | None = None) -> list[Picture]:
        """Draw `request` and return its pictures in the order of their indexes."""
        events = self.draw(request, engine=engine)
        pictures = [event for event in events if isinstance(event, Picture)]
        return sorted(pictures, key=lambda picture: picture.index)


def _events(engine: Engine, request: ImageRequest) -> Iterator[Event]:
    n_drawn = 0
    try:
        for event in engine.generate(request):
            n_drawn += isinstance(event, Picture)
            yield event
    except MemoryError:
        raise EngineError(
            f"Engine {engine.name} ran out of memory at {request.n} x {request.size}",
            hint="ask for fewer or smaller pictures",
        ) from None
    if n_drawn != request.n:
        raise EngineError(f"Engine {engine.name} drew {n_drawn} of {request.n} pictures")


def generate(
    prompt: str,
    n: int = 1,
    size: str = "1024x1024",
    seed: int | None = None,
    quality: Quality = "medium",
    background: Background = "auto",
    engine: str | None = None,
) -> list[Picture]:
    """Draw `n` pictures of `prompt` and return them.

    The same seed gives the same pictures; without one a random seed is taken, which each
    picture then carries. `engine` is the one of the settings ("onnx") unless named. Wrong
    values raise InvalidRequest, other failures the LimnerError that says what is the matter.
    """
    request = ImageRequest(prompt, n, Size.parse(size), quality, seed, background)
    return _studio(settings_module.load({"engine": engine})).pictures(request)


_shared: Studio | None = None
_shared_lock = threading.Lock()


def _studio(settings: Settings) -> Studio:
    """The studio of earlier calls while the settings stay the same, so weights load once."""
    global _shared
    with _shared_lock:
        if _shared is None or _shared.settings != settings:
            _shared = Studio(settings)
        return _shared
