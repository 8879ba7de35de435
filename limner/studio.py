"""The entry point to drawing for the command line, the server, the agent tools and Python."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from limner import settings as settings_module
from limner.engines.apart.parent import load
from limner.engines.base import (
    NEVER,
    CancelToken,
    Engine,
    Event,
    ImageTask,
    Notice,
    Picture,
    Preview,
)
from limner.engines.cards.card import Cards
from limner.engines.cards.model_cache import ModelCache
from limner.engines.cards.on_first_use import OnFirstUse
from limner.engines.registry import BUILT_IN
from limner.errors import EngineError, InvalidRequest
from limner.imaging.provenance.label import LabelPolicy, label_of
from limner.imaging.provenance.label_policy import policy_of
from limner.options import Options, Value
from limner.request import (
    SIZES,
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

    from limner.recognition.finding import Found
    from limner.recognition.look import Look, Looker

    # A file, its bytes, straight RGBA (H, W, 4), or a picture that was drawn.
    Source = str | Path | bytes | NDArray[np.uint8] | Picture


class Studio:
    """Draws requests with the engines that the settings describe, each loaded once."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError if pictures are to be signed and cannot be."""
        self.settings = settings
        self.labels = policy_of(settings)
        self.cards = Cards(settings.home)
        self.cache = ModelCache(
            settings.memory * 1_000_000, settings.model_minutes * 60, settings.models_pinned
        )
        self._engines: dict[str, Engine] = {}
        self._looking: Looker | None = None
        self._lock = threading.Lock()

    def engine(self, name: str | None = None) -> Engine:
        """Engine `name`, by default the one of the settings; loaded on first use.

        `name` may be a card's: its model is loaded when it draws. Raises EngineError.
        """
        name = name or self.settings.engine
        name = settings_module.EARLIER_ENGINES.get(name, name)
        with self._lock:
            if name not in self._engines:
                self._engines[name] = self._made(name)
            return self._engines[name]

    def _made(self, name: str) -> Engine:
        card = None if name in BUILT_IN else self.cards.find(name)
        if card is None:
            apart = self.settings.apart and name == self.settings.engine
            return load(name, self.settings, apart=apart)
        return OnFirstUse(card, self.cache, self.settings)

    def forget(self, name: str) -> None:
        """Build engine `name` anew when it is asked for again. Who has it must not draw then."""
        with self._lock:
            self._engines.pop(name, None)

    def close(self) -> None:
        """Close the engines. Call no other method afterwards; closing twice is allowed."""
        with self._lock:
            engines, self._engines = list(self._engines.values()), {}
        for engine in engines:
            engine.close()
        self.cache.close()

    def draw(self, request: ImageRequest, *, engine: str | None = None) -> Iterator[Event]:
        """Draw `request` and yield its events as they happen.

        Without a seed, a random one is used; every Picture has it. The engine is loaded and the
        request checked before this returns: EngineError, WeightsError and InvalidRequest are
        raised by the call, not by the first event.
        """
        loaded = self._refining(self.engine(engine), refine=request.refine)
        loaded.check(request)
        return _events(loaded, request.with_seed(), self.labels)

    def draw_together(
        self,
        tasks: Sequence[ImageTask],
        cancel: CancelToken = NEVER,
        *,
        engine: str | None = None,
    ) -> Generator[tuple[ImageTask, Event]]:
        """Draw pictures of equal `batch_key` together and yield their events.

        Their requests have a seed and have passed `check`. Raises EngineError if the engine leaves
        out a task that was not cancelled.
        """
        refine = any(task.request.refine for task in tasks)
        drawing = self._refining(self.engine(engine), refine=refine)
        return _together(drawing, tasks, cancel, self.labels)

    def sized(self, request: ImageRequest, *, engine: str | None = None) -> ImageRequest:
        """`request` with the engine's default size, for a user who gave none.

        An edit has the size of its picture, other requests the usual size of the engine.
        """
        rule, source = self.engine(engine).capabilities.sizes, request.source
        if isinstance(source, Edit):
            return replace(request, size=size_like(source.pixels, rule))
        return replace(request, size=rule.usual)

    def pictures(self, request: ImageRequest, *, engine: str | None = None) -> list[Picture]:
        """Draw `request` and return its pictures, by index."""
        events = self.draw(request, engine=engine)
        pictures = [event for event in events if isinstance(event, Picture)]
        return sorted(pictures, key=lambda picture: picture.index)

    def _refining(self, engine: Engine, *, refine: bool) -> Engine:
        """`engine`, or one that draws pictures again if they are to be refined."""
        if not refine:
            return engine
        from limner.recognition.refining import Refining  # NumPy

        return Refining(engine, self.look)

    def find(self, pixels: NDArray[np.uint8], words: str) -> Found:
        """Find what `words` name in a picture (H, W, 4); see `recognition.finding.Found`.

        Raises InvalidRequest if it is not found, and WeightsError if the bundled model is not
        there.
        """
        return self._looker().find(pixels, words)

    def look(self, pixels: NDArray[np.uint8], asked: str | None = None) -> Look:
        """Describe a picture (H, W, 4) of straight RGBA, and compare it with the prompt `asked`.

        Uses the bundled model with every engine. Raises WeightsError without its weights.
        """
        return self._looker().look(pixels, asked)

    def _looker(self) -> Looker:
        from limner.engines.transformer.engine import TransformerEngine
        from limner.recognition.look import Looker
        from limner.storage.checkpoints.weights import find

        with self._lock:
            if self._looking is None:
                weights, home = find(self.settings.weights), self.settings.home
                engines = self._engines.values()
                drawing = next((one for one in engines if isinstance(one, TransformerEngine)), None)
                if drawing is not None:  # its networks are loaded already
                    self._looking = Looker(drawing.backend, weights, home)
                else:
                    self._looking = Looker.open(weights, home)
            return self._looking


def _events(engine: Engine, request: ImageRequest, labels: LabelPolicy) -> Iterator[Event]:
    n_drawn, remarks = 0, engine.capabilities.unused(request)
    with _room_for(engine, f"{request.n} x {request.size}"):
        for event in engine.generate(request):
            yield from map(Notice, remarks)
            remarks = []
            n_drawn += isinstance(event, Picture)
            yield _told(event, engine, request, labels)
    n_wanted = len(request.indexes)
    if n_drawn != n_wanted:
        raise EngineError(f"Engine {engine.name} drew {n_drawn} of {n_wanted} pictures")


def _together(
    engine: Engine, tasks: Sequence[ImageTask], cancel: CancelToken, labels: LabelPolicy
) -> Generator[tuple[ImageTask, Event]]:
    left, begun = set(tasks), set[ImageTask]()
    with _room_for(engine, f"{len(tasks)} x {tasks[0].request.size}"):
        for task, event in engine.draw(tasks, cancel):
            if task not in begun:  # notices follow the first event: before it there is no answer
                begun.add(task)
                yield from ((task, Notice(t)) for t in engine.capabilities.unused(task.request))
            if isinstance(event, Picture):
                left.discard(task)
            yield task, _told(event, engine, task.request, labels)
    if n_left := sum(not cancel.is_cancelled(task) for task in left):
        n = len(tasks)
        raise EngineError(f"Engine {engine.name} drew {n - n_left} of {n} pictures")


def _told(event: Event, engine: Engine, request: ImageRequest, labels: LabelPolicy) -> Event:
    """`event`; a picture or preview with the label of its file."""
    is_ai = engine.capabilities.ai
    if isinstance(event, Preview):
        label = label_of(request, event.index, engine.model, labels, is_ai_engine=is_ai)
        return replace(event, label=label.of_preview())
    if isinstance(event, Picture):
        label = label_of(request, event.index, event.model, labels, is_ai_engine=is_ai)
        return replace(event, options=request.options, label=label.revised(event.revised_prompt))
    return event


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
    options: Mapping[str, Value] | None = None,
    mark: bool = False,
    refine: bool = False,
) -> list[Picture]:
    """Draw `n` pictures of `prompt` and return them.

    size: WIDTHxHEIGHT in pixels.
    seed: the same seed gives the same pictures; by default random, and each picture has it.
    engine: by default the one of the settings.
    best_of: draw so many for each picture, 1 to 16, and keep the one with the best score; by
        default the quality decides.
    retry_below: draw a picture once more if its score, -1 to 1, is lower.
    options: options of the engine; `limner models NAME` lists them.
    mark: draw a visible "AI" into a corner of the file.
    refine: look at each picture and draw it again if it is not what was asked for, three times at
        most; the best is kept.

    Raises InvalidRequest for a wrong value, and other classes of LimnerError for other failures.
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
        options=Options(options),
        mark=mark,
        refine=refine,
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
    options: Mapping[str, Value] | None = None,
    mark: bool = False,
    where: str | None = None,
) -> list[Picture]:
    """Change `image` by `prompt` and return `n` pictures.

    mask: a picture of the same size, or an array (H, W) of its alpha. Where alpha is 0 the picture
        is redrawn; the rest is kept. Without a mask, the transparent pixels of `image` are drawn;
        without those, all of it is redrawn in the same layout.
    where: instead of a mask, the thing to draw anew, such as "the apple".
    size: by default that of `image`.

    Other parameters and errors are those of `generate`. Raises DataError for an unreadable picture.
    """
    source = edit_of(image, mask, where)
    request = ImageRequest(
        prompt,
        n,
        Size.parse(size) if size else SIZES[-1],
        quality,
        seed,
        background,
        source=source,
        best_of=best_of,
        retry_below=retry_below,
        options=Options(options),
        mark=mark,
    )
    return _drawn(request, engine, is_sized=bool(size))


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
    options: Mapping[str, Value] | None = None,
    mark: bool = False,
) -> list[Picture]:
    """Draw `n` pictures like `image`. Parameters and errors are those of `generate`.

    An image of another shape is fitted into `size` with transparent margins. Raises DataError for
    an unreadable picture.
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
        options=Options(options),
        mark=mark,
    )
    return _drawn(request, engine)


def look(image: Source, asked: str | None = None) -> Look:
    """Describe what `image` shows, as far as the bundled model can tell.

    With the prompt `asked`, the result also says whether the picture shows it, and what to try if
    not. Raises DataError for an unreadable picture, WeightsError without weights.
    """
    return _studio(settings_module.load()).look(_pixels(image), asked)


def edit_of(image: Source, mask: Source | None = None, where: str | None = None) -> Edit:
    """An Edit of pictures in any form that `edit` takes, with a mask or what it names by words."""
    if where is not None:
        return _edit_where(_pixels(image), mask, where)
    alpha = None if mask is None else _pixels(mask)
    if alpha is not None and getattr(alpha, "shape", ())[2:] == (4,):
        alpha = alpha[..., 3]
    return Edit(_pixels(image), alpha)


def _edit_where(pixels: NDArray[np.uint8], mask: Source | None, where: str) -> Edit:
    if mask is not None:
        raise InvalidRequest(
            "A mask was given, and words for one too", param="where", hint="give one of them"
        )
    found = _studio(settings_module.load()).find(pixels, where)
    return Edit(pixels, (~found.mask).astype("uint8") * 255)


def variation_of(image: Source) -> Variation:
    """A Variation from a picture in any form that `vary` takes."""
    return Variation(_pixels(image))


def _pixels(image: Source) -> NDArray[np.uint8]:
    """The pixels of a picture, read if it is a file or its bytes."""
    from limner.imaging import decode_upload  # numpy and Pillow

    if isinstance(image, str | Path):
        return decode_upload.read_file(image).pixels
    if isinstance(image, bytes):
        return decode_upload.read(image).pixels
    return image.pixels if isinstance(image, Picture) else image


def _drawn(request: ImageRequest, engine: str | None, *, is_sized: bool = True) -> list[Picture]:
    """Draw `request` with the current settings."""
    studio = _studio(settings_module.load({"engine": engine}))
    return studio.pictures(request if is_sized else studio.sized(request))


_shared: Studio | None = None
_shared_lock = threading.Lock()


def _studio(settings: Settings) -> Studio:
    """The shared studio; a new one if the settings have changed. Weights are loaded once."""
    global _shared
    with _shared_lock:
        if _shared is None or _shared.settings != settings:
            _shared = Studio(settings)
        return _shared
