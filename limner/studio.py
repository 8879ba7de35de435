"""The one door to drawing: command line, server, agent tools and Python all come through here."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from limner import settings as settings_module
from limner.engines.base import (
    Engine,
    Event,
    ImageTask,
    Picture,
    check_able,
    load,
)
from limner.errors import EngineError
from limner.request import (
    Background,
    Edit,
    ImageRequest,
    Quality,
    Size,
    Variation,
    size_like,
)
from limner.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limner.recognition.look import Look, Looker

    # A file, its bytes, straight RGBA (H, W, 4), or a picture that was drawn.
    Source = str | Path | bytes | NDArray[np.uint8] | Picture


class Studio:
    """Draws requests with the engines that the settings describe, each loaded once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._engines: dict[str, Engine] = {}
        self._looking: Looker | None = None
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

    def draw_together(
        self, wanted: Sequence[ImageTask], *, engine: str | None = None
    ) -> Generator[tuple[ImageTask, Event]]:
        """Draw pictures that may share a batch, of requests with a seed that the engine can draw.

        Every one that is not dropped is drawn, or this fails.
        """
        return _together(self.engine(engine), wanted)

    def pictures(self, request: ImageRequest, *, engine: str | None = None) -> list[Picture]:
        """Draw `request` and return its pictures in the order of their indexes."""
        events = self.draw(request, engine=engine)
        pictures = [event for event in events if isinstance(event, Picture)]
        return sorted(pictures, key=lambda picture: picture.index)

    def look(self, pixels: NDArray[np.uint8], asked: str | None = None) -> Look:
        """Look at a picture (H, W, 4) of straight RGBA, which `asked` may describe.

        The bundled model looks, whichever engine draws. Raises WeightsError if it is not there.
        """
        return self._looker().look(pixels, asked)

    def _looker(self) -> Looker:
        from limner.engines.transformer.engine import OnnxEngine
        from limner.recognition.look import Looker
        from limner.storage.checkpoints.weights import find

        with self._lock:
            if self._looking is None:
                engines = self._engines.values()
                drawing = next((one for one in engines if isinstance(one, OnnxEngine)), None)
                home = self.settings.home
                if drawing is not None:  # its network is loaded already
                    self._looking = Looker(drawing.network, home)
                else:
                    self._looking = Looker.open(find(self.settings.weights), home)
            return self._looking


def _events(engine: Engine, request: ImageRequest) -> Iterator[Event]:
    n_drawn = 0
    with _room_for(engine, f"{request.n} x {request.size}"):
        for event in engine.generate(request):
            n_drawn += isinstance(event, Picture)
            yield event
    n_wanted = len(request.indexes)
    if n_drawn != n_wanted:
        raise EngineError(f"Engine {engine.name} drew {n_drawn} of {n_wanted} pictures")


def _together(engine: Engine, wanted: Sequence[ImageTask]) -> Generator[tuple[ImageTask, Event]]:
    left = set(wanted)
    with _room_for(engine, f"{len(wanted)} x {wanted[0].request.size}"):
        for one, event in engine.draw(wanted):
            if isinstance(event, Picture):
                left.discard(one)
            yield one, event
    if n_left := sum(not one.is_dropped() for one in left):
        n = len(wanted)
        raise EngineError(f"Engine {engine.name} drew {n - n_left} of {n} pictures")


@contextmanager
def _room_for(engine: Engine, what: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise EngineError(
            f"Engine {engine.name} ran out of memory at {what}",
            hint="ask for fewer or smaller pictures",
        ) from None


def generate(
    prompt: str,
    n: int = 1,
    size: str = "1024x1024",
    seed: int | None = None,
    quality: Quality = "medium",
    background: Background = "auto",
    engine: str | None = None,
    best_of: int | None = None,
    retry_below: float | None = None,
) -> list[Picture]:
    """Draw `n` pictures of `prompt` and return them.

    The same seed gives the same pictures; without one a random seed is taken, which each
    picture then carries. `engine` is the one of the settings ("onnx") unless named. Of `best_of`
    drawings for each picture, by default as many as the quality says, the one with the best score
    is kept; a score below `retry_below` (-1 to 1) is tried once more. Wrong values raise
    InvalidRequest, other failures the LimnerError that says what is the matter.
    """
    request = ImageRequest(
        prompt,
        n,
        Size.parse(size),
        quality,
        seed,
        background,
        best_of=best_of,
        retry_below=retry_below,
    )
    return _drawn(request, engine)


def edit(
    image: Source,
    prompt: str,
    mask: Source | None = None,
    n: int = 1,
    size: str | None = None,
    seed: int | None = None,
    quality: Quality = "medium",
    background: Background = "auto",
    engine: str | None = None,
    best_of: int | None = None,
    retry_below: float | None = None,
) -> list[Picture]:
    """Change `image` by `prompt` and return `n` pictures; their other values are `generate`'s.

    `mask` is a picture of the same size, or an array (H, W) of its alpha: where it is 0 is drawn,
    and all else stays as it is. Without one, the clear pixels of `image` are drawn; if there are
    none, all of it is drawn anew in its old layout. Without a `size` it keeps its own. A picture
    that cannot be read is a DataError.
    """
    source = edit_of(image, mask)
    wanted = Size.parse(size) if size else size_like(source.pixels)
    request = ImageRequest(
        prompt,
        n,
        wanted,
        quality,
        seed,
        background,
        source=source,
        best_of=best_of,
        retry_below=retry_below,
    )
    return _drawn(request, engine)


def vary(
    image: Source,
    n: int = 1,
    size: str = "1024x1024",
    seed: int | None = None,
    quality: Quality = "medium",
    background: Background = "auto",
    engine: str | None = None,
    best_of: int | None = None,
    retry_below: float | None = None,
) -> list[Picture]:
    """Draw `n` pictures like `image`; all values are `generate`'s.

    A picture of another shape is fitted into `size` with clear margins.
    """
    source = variation_of(image)
    request = ImageRequest(
        "",
        n,
        Size.parse(size),
        quality,
        seed,
        background,
        source=source,
        best_of=best_of,
        retry_below=retry_below,
    )
    return _drawn(request, engine)


def look(image: Source, asked: str | None = None) -> Look:
    """What `image` shows, as far as the bundled model can tell; see `recognition.look.Look`.

    With `asked`, the prompt, also whether it shows that, and what to try next if it does not. A
    picture that cannot be read is a DataError.
    """
    return _studio(settings_module.load()).look(_pixels(image), asked)


def edit_of(image: Source, mask: Source | None = None) -> Edit:
    """An Edit of pictures in any form that `edit` takes."""
    alpha = None if mask is None else _pixels(mask)
    if alpha is not None and getattr(alpha, "shape", ())[2:] == (4,):
        alpha = alpha[..., 3]
    return Edit(_pixels(image), alpha)


def variation_of(image: Source) -> Variation:
    """A Variation of a picture in any form that `vary` takes."""
    return Variation(_pixels(image))


def _pixels(image: Source) -> NDArray[np.uint8]:
    """The pixels of a picture, read if it is a file or its bytes."""
    from limner.imaging import decode_upload  # numpy and Pillow

    if isinstance(image, str | Path):
        return decode_upload.read_file(image).pixels
    if isinstance(image, bytes):
        return decode_upload.read(image).pixels
    return image.pixels if isinstance(image, Picture) else image


def _drawn(request: ImageRequest, engine: str | None) -> list[Picture]:
    """The pictures of `request`, drawn as the settings of now say."""
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
