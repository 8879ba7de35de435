"""What an engine yields while it draws: progress, previews, notices, and the pictures."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.options import Options
from limner.request import DEFAULT_OPTIONS, Complexity, FileFormat, FileOptions, Format

if TYPE_CHECKING:  # numpy takes longer to import than the command line needs to answer --help
    import numpy as np
    from numpy.typing import NDArray

    from limner.imaging.provenance.label import Label


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
    label: Label | None = None  # what its file is told of its making; the studio says it


@dataclass(frozen=True)
class Notice:
    """Something the engine did with the request that the user should know."""

    text: str


@dataclass(frozen=True)
class PictureFile:
    """A picture file as another service delivered it, unchanged."""

    data: bytes = field(repr=False)
    format: Format


@dataclass(frozen=True)
class Usage:
    """Tokens of a picture, as counted by the service that drew it."""

    input_text: int = 0
    input_image: int = 0
    output_text: int = 0
    output_image: int = 0


@dataclass(frozen=True)
class Details:
    """What the service that drew a picture reported beside its pixels."""

    usage: Usage | None = None
    revised_prompt: str | None = None
    refined: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The same for the history."""
        usage = {"usage": asdict(self.usage)} if self.usage else {}
        said = {"revised_prompt": self.revised_prompt, "refined": self.refined}
        return usage | {name: value for name, value in said.items() if value}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Details:
        """What `as_json` kept."""
        usage = kept.get("usage")
        usage = Usage(**usage) if usage else None
        return cls(usage, kept.get("revised_prompt"), kept.get("refined"))


@dataclass(frozen=True, eq=False)
class Picture:
    """A finished picture and how to draw it again."""

    pixels: NDArray[np.uint8]  # (H, W, 4) straight RGBA
    prompt: str
    seed: int  # of the request; with `index` it is the key of all randomness in this picture
    index: int  # 0 to n - 1, the place in the request
    model: str
    score: float | None = None  # how well it matches the prompt, higher is better; None: unjudged
    options: Mapping[str, object] = Options()  # of the request; the studio sets them
    file: PictureFile | None = None  # passed on unchanged where its format and size are asked for
    usage: Usage | None = None  # None: counted by `CountsTokens`, if the engine counts
    revised_prompt: str | None = None  # what was drawn, if it is not `prompt`
    refined: Mapping[str, Any] | None = None  # which drawing was kept, and all that were tried
    label: Label | None = None  # what its file is told of its making; the studio says it

    def __repr__(self) -> str:
        height, width = self.pixels.shape[:2]
        about = f"prompt={self.prompt!r}, seed={self.seed}, index={self.index}"
        return f"Picture({width}x{height}, {about}, model={self.model!r}, score={self.score})"

    def text(self) -> dict[str, str]:
        """What is written into the file beside the pixels; prompts only if its label has them."""
        from limner import __version__

        text = {
            "prompt": self.prompt,
            "seed": str(self.seed),
            "index": str(self.index),
            "model": self.model,
            "Software": f"limner {__version__}",
        }
        if self.revised_prompt is not None:
            text["revised_prompt"] = self.revised_prompt
        if self.refined:
            text["refined"] = json.dumps(self._refined(), ensure_ascii=False)
        options = self.label.shown(self.options) if self.label else dict(self.options)
        if options:
            text["options"] = json.dumps(options, ensure_ascii=False)
        return self.label.shown(text) if self.label else text

    def _refined(self) -> dict[str, Any]:
        """`refined` as the label allows it in the file."""
        assert self.refined
        tries = self.refined["tries"]
        if self.label:
            tries = [self.label.shown(one) for one in tries]
        return {**self.refined, "tries": list(tries)}

    def svg(self, complexity: Complexity = "medium") -> str:
        """The picture as an SVG document: paths and gradients, no raster and no script.

        The prompt is its title and description, which screen readers read, at every label level.
        Meant for flat art; of anything else much is lost, which `finish.svg.traced` measures.
        """
        from limner.finish.vector import svg

        text = self.text()
        is_clear = bool((self.pixels[..., 3] < 255).any())
        about = text | {"background": "transparent" if is_clear else "opaque"}
        document = svg.trace(self.pixels, complexity, title=self.prompt, metadata=about).decode()
        if self.label is None:
            return document
        return self.label.attach(self.label.marked_svg(document).encode()).decode()

    def gif(self, frame_count: int = 9, frame_duration_ms: int = 200) -> bytes:
        """The picture as a GIF file that moves: its lines drawn anew for each frame, looping.

        Meant for flat art. GIF has 255 colours, and a pixel is clear or opaque. Raises
        InvalidRequest for less than 2 or more than 16 frames.
        """
        from limner.finish import animation
        from limner.imaging import gif

        FileOptions(frame_count=frame_count, frame_duration_ms=frame_duration_ms)  # checks them
        frames = animation.frames(self.pixels, frame_count, self.seed, self.index)
        if self.label is None:
            return gif.encode(frames, frame_duration_ms, self.text())
        marked = map(self.label.marked, frames)
        return self.label.attach(gif.encode(marked, frame_duration_ms, self.text()))

    def encode(self, format: FileFormat, options: FileOptions = DEFAULT_OPTIONS) -> bytes:
        """The picture as a file: `file` if it is of this format and no mark is to be drawn.

        Else with `text()` and its label inside.
        """
        from limner.imaging import codec

        if file := self.passed_on(format):
            return file.data
        if format == "svg":
            return self.svg(options.complexity).encode()
        if format == "gif":
            return self.gif(options.frame_count, options.frame_duration_ms)
        quality = options.compression
        if self.label is None:
            return codec.encode(self.pixels, format, self.text(), quality=quality)
        pixels = self.label.marked(self.pixels)
        return self.label.attach(codec.encode(pixels, format, self.text(), quality=quality))

    def passed_on(self, format: FileFormat) -> PictureFile | None:
        """`file`, if it is of `format` and nothing is to be drawn into it."""
        has_mark = self.label is not None and self.label.has_mark
        is_whole = self.file is not None and self.file.format == format and not has_mark
        return self.file if is_whole else None

    def save(self, path: str | Path) -> Path:
        """Write the picture as .png, .jpg, .webp, .gif or .svg, by the ending of `path`.

        It is written whole or not at all. Raises OutputError when the ending is unknown or the
        file cannot be written. JPEG has no transparency, so there the picture lies on white.
        """
        from limner.storage import files

        path = Path(path)
        files.write_whole(path, self.encode(files.format_from_path(path)))
        return path


def details_of(picture: Picture) -> Details | None:
    """The details of a picture, if it has any."""
    details = Details(picture.usage, picture.revised_prompt, picture.refined)
    return None if details == Details() else details


Event = Progress | Preview | Notice | Picture


class ProgressTracker:
    """Merges the events of a request's pictures, in whatever order they are drawn.

    A picture may be restarted after a failure; events that were passed on are not repeated.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._n_steps = 0  # of one picture
        self._done: dict[int, int] = {}
        self._told: set[Hashable] = set()

    def add(self, index: int, event: Event) -> Event | None:
        """`event` of picture `index` as an event of the request; None if it is a repetition."""
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
