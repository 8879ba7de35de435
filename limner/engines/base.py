"""The one protocol of all engines, what they yield while they draw, and the list of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from limner.errors import EngineError, InvalidRequest, MissingExtra
from limner.request import (
    DEFAULT_OPTIONS,
    Complexity,
    Edit,
    FileFormat,
    FileOptions,
    ImageRequest,
    Size,
)

if TYPE_CHECKING:  # numpy takes longer to import than the command line needs to answer --help
    import numpy as np
    from numpy.typing import NDArray

    from limner.settings import Settings


@dataclass(frozen=True)
class Progress:
    """`done` of `total` equal steps are finished, of a picture or of all that are asked for.

    `stage` says what is being done.
    """

    done: int
    total: int
    stage: str


@dataclass(frozen=True, eq=False)
class Preview:
    """Picture `index` as it stands after `done` of its `total` steps."""

    index: int
    pixels: NDArray[np.uint8]  # (H, W, 4) straight RGBA
    done: int
    total: int


@dataclass(frozen=True)
class Notice:
    """Something the engine did with the request that the user should know."""

    text: str


@dataclass(frozen=True, eq=False)
class Picture:
    """A finished picture and how to draw it again."""

    pixels: NDArray[np.uint8]  # (H, W, 4) straight RGBA
    prompt: str
    seed: int  # of the request; with `index` it is the key of all randomness in this picture
    index: int  # 0 to n - 1, the place in the request
    model: str
    score: float | None = None  # how well it matches the prompt, higher is better; None: unjudged

    def __repr__(self) -> str:
        height, width = self.pixels.shape[:2]
        about = f"prompt={self.prompt!r}, seed={self.seed}, index={self.index}"
        return f"Picture({width}x{height}, {about}, model={self.model!r}, score={self.score})"

    def text(self) -> dict[str, str]:
        """What is written into the file beside the pixels."""
        from limner import __version__

        return {
            "prompt": self.prompt,
            "seed": str(self.seed),
            "index": str(self.index),
            "model": self.model,
            "Software": f"limner {__version__}",
        }

    def svg(self, complexity: Complexity = "medium") -> str:
        """The picture as an SVG document: paths and gradients, no raster and no script.

        Meant for flat art; of anything else much is lost, which `finish.svg.traced` measures.
        """
        from limner.finish import svg

        is_clear = bool((self.pixels[..., 3] < 255).any())
        about = self.text() | {"background": "transparent" if is_clear else "opaque"}
        return svg.trace(self.pixels, complexity, title=self.prompt, metadata=about).decode()

    def gif(self, frame_count: int = 9, frame_duration_ms: int = 200) -> bytes:
        """The picture as a GIF file that moves: its lines drawn anew for each frame, looping.

        Meant for flat art. GIF has 255 colours, and a pixel is clear or opaque. Raises
        InvalidRequest for less than 2 or more than 16 frames.
        """
        from limner.finish import boil
        from limner.imaging import gif

        FileOptions(frame_count=frame_count, frame_duration_ms=frame_duration_ms)  # checks them
        frames = boil.frames(self.pixels, frame_count, self.seed, self.index)
        return gif.encode(frames, frame_duration_ms, self.text())

    def encode(self, format: FileFormat, options: FileOptions = DEFAULT_OPTIONS) -> bytes:
        """The picture as a file, with `text()` stored inside."""
        from limner.imaging import codec

        if format == "svg":
            return self.svg(options.complexity).encode()
        if format == "gif":
            return self.gif(options.frame_count, options.frame_duration_ms)
        return codec.encode(self.pixels, format, self.text(), quality=options.compression)

    def save(self, path: str | Path) -> Path:
        """Write the picture as .png, .jpg, .webp, .gif or .svg, by the ending of `path`.

        It is written whole or not at all. Raises OutputError when the ending is unknown or the
        file cannot be written. JPEG has no transparency, so there the picture lies on white.
        """
        from limner.storage import files

        path = Path(path)
        files.write_whole(path, self.encode(files.format_from_path(path)))
        return path


Event = Progress | Preview | Notice | Picture


@dataclass(frozen=True, eq=False)
class ImageTask:
    """One picture of a request whose seed is set: what is drawn, alone or in a batch."""

    request: ImageRequest
    index: int
    is_dropped: Callable[[], bool] = lambda: False  # nobody wants it any more

    @property
    def seed(self) -> int:
        """The seed of the request."""
        assert self.request.seed is not None
        return self.request.seed


@dataclass(frozen=True)
class BatchKey:
    """Which pictures may be drawn in one batch: those with an equal key, at most so many."""

    key: Hashable
    most: int


class Engine(Protocol):
    """Draws pictures.

    Picture `index` depends on the request's prompt, source, size, quality, background and seed
    and on `index` alone: never on n, on its place in a batch, or on what was drawn before.
    """

    name: str
    model: str
    max_concurrency: int = 1  # threads that may call `draw` at the same time
    draws_flat_art: bool = False  # areas of even colour, which an SVG document can show
    repeatable: bool = True
    """Whether a picture may be drawn again at no cost, with the same result.

    False for an engine that pays for each call (an upstream). Then nothing that failed or was
    interrupted is drawn a second time: not the rest of a batch, and not after a restart.
    """

    def draw(self, wanted: Sequence[ImageTask]) -> Iterator[tuple[ImageTask, Event]]:
        """Draw pictures that may share a batch; says of each event whose it is.

        Progress is that of one picture. One that is dropped meanwhile need not be finished.
        """
        ...

    def batch_key(self, one: ImageTask) -> BatchKey:
        """What `one` may be drawn with; by default nothing."""
        return BatchKey(one, 1)

    def generate(self, request: ImageRequest) -> Iterator[Event]:
        """Draw `request`, whose seed is set; yields a Picture for each of its `indexes`."""
        wanted = [ImageTask(request, index) for index in request.indexes]
        tracker = ProgressTracker(len(wanted))
        while wanted:
            batch_key = self.batch_key(wanted[0])
            batch = [one for one in wanted if self.batch_key(one).key == batch_key.key]
            batch = batch[: batch_key.most]
            for one, event in self.draw(batch):
                if told := tracker.add(one.index, event):
                    yield told
            wanted = [one for one in wanted if one not in batch]


class ProgressTracker:
    """Puts together what is told of a request's pictures, in whatever order they are drawn.

    A picture may be begun anew after a failure; what was told of it is not told again.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._n_steps = 0  # of one picture
        self._done: dict[int, int] = {}
        self._told: set[Hashable] = set()

    def add(self, index: int, event: Event) -> Event | None:
        """`event` of picture `index` as one of the request; None if that was told before."""
        if isinstance(event, Progress):
            return self._progress(index, event)
        if isinstance(event, Picture):
            return event
        what = event.text if isinstance(event, Notice) else (index, event.done)
        is_new = what not in self._told
        self._told.add(what)
        return event if is_new else None

    def _progress(self, index: int, event: Progress) -> Progress | None:
        # Every picture is an equal share, even if one has a step more than another.
        self._n_steps = self._n_steps or event.total
        done = event.done * self._n_steps // event.total
        if done <= self._done.get(index, 0):
            return None
        self._done[index] = done
        return Progress(sum(self._done.values()), self._n * self._n_steps, event.stage)


@runtime_checkable
class CountsTokens(Protocol):
    """What an engine may offer besides: how much it reads and draws, for the `usage` of the API."""

    def count_cells(self, size: Size) -> int:
        """How many cells a picture of `size` has."""
        ...

    def count_tokens(self, text: str) -> int:
        """How many tokens it reads of `text`."""
        ...


@runtime_checkable
class TakesPictures(Protocol):
    """What an engine may offer besides: to begin with a picture."""

    abilities: tuple[str, ...]  # of "edit" and "vary"


def check_able(engine: Engine, request: ImageRequest) -> None:
    """Refuse a request that begins with a picture if `engine` draws from text alone."""
    if request.source is None:
        return
    is_edit = isinstance(request.source, Edit)
    abilities = engine.abilities if isinstance(engine, TakesPictures) else ()
    if ("edit" if is_edit else "vary") not in abilities:
        what = "edit pictures" if is_edit else "draw variations of pictures"
        raise InvalidRequest(
            f"Engine {engine.name} cannot {what}; it draws from text only",
            code="unsupported_operation",
            hint="take another engine: `limner models` lists them",
        )


@dataclass(frozen=True)
class EngineInfo:
    """A row of the list of engines; its module is imported when it is first asked for."""

    name: str
    summary: str
    module: str
    extra: str | None  # the optional part of limner it needs: pip install limner[extra]
    build: Callable[[Any, Settings], Engine]  # (module, settings)


def _onnx(module: Any, settings: Settings) -> Engine:
    from limner.storage.checkpoints.weights import find

    engine: Engine = module.OnnxEngine(find(settings.weights), settings.threads, settings.batch)
    return engine


def _testcard(module: Any, settings: Settings) -> Engine:
    engine: Engine = module.CardEngine()
    return engine


ENGINES = {
    info.name: info
    for info in (
        EngineInfo(
            "onnx",
            "limner's own transformer on the CPU, no network",
            "limner.engines.transformer.engine",
            None,
            _onnx,
        ),
        EngineInfo(
            "testcard",
            "no model: an instant test picture with the request written on it",
            "limner.engines.testcard",
            None,
            _testcard,
        ),
    )
}


def engine_info(name: str) -> EngineInfo:
    """The row of engine `name`; an unknown name is an EngineError that lists the known ones."""
    if name not in ENGINES:
        raise EngineError(f"Engine {name!r} is not known", hint=f"engines are {', '.join(ENGINES)}")
    return ENGINES[name]


def load(name: str, settings: Settings) -> Engine:
    """Build engine `name`; importing what it needs is paid for here and not before."""
    info = engine_info(name)
    try:
        module = importlib.import_module(info.module)
    except ImportError as error:
        if (error.name or "").startswith("limner"):
            raise  # our own mistake, not a package that could be installed
        wanted = f"limner[{info.extra}]" if info.extra else error.name or info.module
        raise MissingExtra(
            f"Engine {name} needs {error.name or error}, which is not installed",
            hint=f"pip install '{wanted}'",
        ) from error
    return info.build(module, settings)
