"""The request: one frozen, checked value that every layer passes on unchanged."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self, cast, get_args

from limner.errors import InvalidRequest
from limner.options import Kind, Options, OptionSpec, Value, check_characters, shown

if TYPE_CHECKING:  # numpy takes longer to import than the command line needs to answer --help
    import numpy as np
    from numpy.typing import NDArray

Quality = Literal["low", "medium", "high"]
Background = Literal["auto", "transparent", "opaque"]
Format = Literal["png", "jpeg", "webp"]  # of picture files
Complexity = Literal["low", "medium", "high"]  # of an SVG document
FileFormat = Format | Literal["gif", "svg"]  # of what can be saved

QUALITIES: tuple[str, ...] = get_args(Quality)
BACKGROUNDS: tuple[str, ...] = get_args(Background)
FORMATS: tuple[str, ...] = get_args(Format)
FILE_FORMATS: tuple[str, ...] = (*FORMATS, "gif", "svg")
COMPLEXITIES: tuple[str, ...] = get_args(Complexity)

MAX_PROMPT_CHARS = 32_000
MAX_PICTURES = 10
MAX_PREVIEWS = 3
MAX_BEST_OF = 16
MAX_SEED = 2**63 - 1  # the largest integer that SQLite and PostgreSQL both store

MIN_FRAMES, MAX_FRAMES = 2, 16
MAX_FRAME_MS = 2**31 - 1
MAX_GIF_PIXELS = 2_000_000  # of each frame

SIDE_STEP = 16  # by the standard rule, sides are multiples of it
MIN_SIDE = 64
MAX_SIDE = 3840
MAX_RATIO = 3.0  # of the longer side to the shorter
MAX_ANY_SIDE = 16_384  # of any engine

# Five digits are enough for any picture, and keep int() away from hostile input.
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", re.ASCII)


@dataclass(frozen=True)
class Size:
    """Width and height of a picture in pixels."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read "WIDTHxHEIGHT", such as "1024x1024"; anything else is an InvalidRequest."""
        match = _SIZE.fullmatch(str(text))
        if match is None:
            raise InvalidRequest(
                f"Size {shown(text)} is not of the form WIDTHxHEIGHT",
                param="size",
                hint=f"sizes drawn are {STANDARD_SIZES}",
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


SIZES = (Size(256, 256), Size(512, 512), Size(1024, 1024))


@dataclass(frozen=True)
class SizeRule:
    """Which sizes an engine draws: any within limits, or those of a list."""

    min_side: int = MIN_SIDE
    max_side: int = MAX_SIDE
    step: int = SIDE_STEP  # sides are multiples of it
    max_ratio: float = MAX_RATIO  # of the longer side to the shorter
    keeps_edited: bool = True  # an edit may have the size of its picture, whatever `step` is
    choices: tuple[Size, ...] = ()  # if there are any, no other size is drawn
    usual_side: int = 1024  # of the square that is drawn when no size is asked for

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(map(str, self.choices))
        usual = "".join(f"{size}, " for size in SIZES if self.allows(size))
        return (
            f"{usual}{'or ' if usual else ''}any with sides of {self.min_side} to {self.max_side} "
            f"that are multiples of {self.step}, the longer at most {self.max_ratio:g} times the "
            "shorter"
        )

    def allows(self, size: Size) -> bool:
        """Whether a picture of `size` is drawn from text."""
        if self.choices:
            return size in self.choices
        is_stepped = size.width % self.step == 0 and size.height % self.step == 0
        return is_stepped and self._is_within_limits(size)

    def check(self, size: Size, source: Edit | Variation | None = None) -> None:
        """Raise InvalidRequest unless `size` is drawn, from `source` if there is one."""
        if not (self.allows(size) or (isinstance(source, Edit) and self._keeps(size, source))):
            raise InvalidRequest(
                f"Size {size} is not drawn", param="size", hint=f"sizes drawn are {self}"
            )

    def nearest(self, size: Size, *, keep: bool = False) -> Size:
        """The nearest size that is drawn: sides rounded, scaled, or widened to the limits.

        With `keep`, as for a picture to edit, a size stays if an edit may have it.
        """
        if self.choices:
            return min(self.choices, key=lambda other: _distance(size, other))
        if self._is_within_limits(size):
            if keep and self.keeps_edited:
                return size
            rounded = Size(self._rounded(size.width), self._rounded(size.height))
            if self._is_within_limits(rounded):
                return rounded
        longer, shorter = max(size.width, size.height), min(size.width, size.height)
        scale = min(1.0, self.max_side / longer)
        scale = max(scale, min(self.min_side / shorter, self.max_side / longer))
        longer = self._up(max(longer * scale, self.min_side))
        # Up, so that the ratio keeps.
        shorter = self._up(max(shorter * scale, self.min_side, longer / self.max_ratio))
        return Size(longer, shorter) if size.width >= size.height else Size(shorter, longer)

    def as_json(self) -> dict[str, Any]:
        """This rule for programs."""
        if self.choices:
            return {"choices": [str(size) for size in self.choices]}
        names = ("min_side", "max_side", "step", "max_ratio", "usual_side")
        return {name: getattr(self, name) for name in names}

    @property
    def usual(self) -> Size:
        """The size that is drawn when none is asked for."""
        return self.nearest(Size(self.usual_side, self.usual_side))

    @property
    def _largest(self) -> int:
        return self.max_side // self.step * self.step

    def _keeps(self, size: Size, source: Edit) -> bool:
        is_own = size == size_of(source.pixels)
        return self.keeps_edited and is_own and not self.choices and self._is_within_limits(size)

    def _up(self, side: float) -> int:
        return min(self._largest, math.ceil(side / self.step) * self.step)

    def _rounded(self, side: int) -> int:
        nearest = round(side / self.step) * self.step
        return min(self._largest, max(self._up(self.min_side), nearest))

    def _is_within_limits(self, size: Size) -> bool:
        longer, shorter = max(size.width, size.height), min(size.width, size.height)
        is_large = shorter >= self.min_side
        return is_large and longer <= self.max_side and longer <= self.max_ratio * shorter


STANDARD_SIZES = SizeRule()


@dataclass(frozen=True, eq=False)
class Edit:
    """A picture to change; wrong arrays raise InvalidRequest naming image or mask.

    Without a mask, the picture's own clear pixels say where to draw; where it has none, all of it
    is drawn anew in its old layout.
    """

    pixels: NDArray[np.uint8]  # (H, W, 4) straight RGBA
    mask: NDArray[np.uint8] | None = None  # (H, W): 0 = draw here, all else stays as it is
    is_own_mask: bool = False  # the mask says where `pixels` were clear before they were resized
    is_whole: bool = False  # without a mask: all may change, also where it is not clear
    others: tuple[NDArray[np.uint8], ...] = ()  # further pictures to draw from, (H, W, 4) each

    def __post_init__(self) -> None:
        for pixels in (self.pixels, *self.others):
            _check_pixels(pixels)
        if self.mask is not None:
            _check_mask(self.mask, self.pixels)

    @property
    def given_mask(self) -> NDArray[np.uint8] | None:
        """The mask, if it came beside the picture; None if only clear pixels say where to draw."""
        return None if self.is_own_mask else self.mask


@dataclass(frozen=True, eq=False)
class Variation:
    """A picture to draw others like it of, without a prompt; refused as an Edit's is."""

    pixels: NDArray[np.uint8]  # (H, W, 4) straight RGBA

    def __post_init__(self) -> None:
        _check_pixels(self.pixels)


def _spec(kind: Kind, description: str, **values: Any) -> dict[str, Any]:
    """Metadata of a field of ImageRequest that people choose; its name is that of the field."""
    return {"kind": kind, "description": description, **values}


@dataclass(frozen=True)
class ImageRequest:
    """A prompt and how to draw it; wrong values raise InvalidRequest naming the field.

    What an engine draws of it, its `Capabilities` say. Fields with metadata are DRAW_OPTIONS: from
    them the command line, the API's description, the history and resuming are derived.
    """

    prompt: str  # 1 to MAX_PROMPT_CHARS characters, not only white space; "" with a Variation
    n: int = field(
        default=1, metadata=_spec("integer", "How many pictures.", low=1, high=MAX_PICTURES)
    )
    size: Size = SIZES[-1]  # sides of 1 to MAX_ANY_SIDE
    quality: Quality = field(
        default="medium",  # more passes and candidates from low to high
        metadata=_spec("choice", "Higher takes longer.", choices=QUALITIES),
    )
    seed: int | None = field(
        default=None,  # until with_seed() picks one
        metadata=_spec(
            "integer",
            "The same seed draws the same pictures.",
            low=0,
            high=MAX_SEED,
            unset="random",
        ),
    )
    background: Background = field(
        default="auto",  # the engine decides by the prompt
        metadata=_spec("choice", "What is behind the subject.", choices=BACKGROUNDS),
    )
    previews: int = 0  # half-drawn pictures to show of each picture, 0 to MAX_PREVIEWS
    source: Edit | Variation | None = None  # a picture to begin with; None: from the prompt alone
    best_of: int | None = field(
        default=None,  # by quality
        metadata=_spec(
            "integer",
            "Draw so many for each picture, and keep the one that the model scores best.",
            low=1,
            high=MAX_BEST_OF,
            unset="by quality",
        ),
    )
    retry_below: float | None = field(
        default=None,
        metadata=_spec(
            "number",
            "Draw a picture once more if its score, -1 to 1, is below this, and keep the better "
            "one.",
            low=-1,
            high=1,
        ),
    )
    mark: bool = field(
        default=False,
        metadata=_spec("flag", 'Draw a visible "AI" into the lower right corner of the file.'),
    )
    refine: bool = field(
        default=False,
        metadata=_spec(
            "flag",
            "Look at each picture, and draw it again if it is not what was asked for: at most "
            "three times; the best is kept. Only for pictures from text.",
        ),
    )
    made: frozenset[int] = frozenset()  # indexes of pictures that are there already: not drawn
    options: Mapping[str, Value] = Options()  # of the engine, which describes them

    def __post_init__(self) -> None:
        _check_prompt(self.prompt, self.source)
        _check_size(self.size)
        for name, spec in DRAW_OPTIONS.items():
            value = getattr(self, name)
            if value is not None or spec.default is not None:
                spec.check(value)
        PREVIEWS.check(self.previews)
        if self.refine and self.source is not None:
            raise InvalidRequest(
                "Only pictures from text are refined, and this request begins with a picture",
                param="refine",
                hint="leave it out",
            )
        if not isinstance(self.options, Options):
            object.__setattr__(self, "options", Options(self.options))

    @property
    def parameters(self) -> dict[str, Any]:
        """All that it takes, beside prompt and source, to ask for the same pictures again: JSON."""
        found = {name: getattr(self, name) for name in DRAW_OPTIONS}
        options = {"options": dict(self.options)} if self.options else {}
        return {**found, "size": str(self.size), **options}

    @classmethod
    def from_parameters(cls, prompt: str, parameters: Mapping[str, Any], **more: Any) -> Self:
        """The request whose `parameters` these are, by this version or by an earlier one."""
        known = {name: parameters[name] for name in DRAW_OPTIONS if name in parameters}
        size, options = Size.parse(parameters["size"]), Options(parameters.get("options"))
        return cls(prompt, size=size, options=options, **known, **more)

    @property
    def indexes(self) -> list[int]:
        """The pictures to draw, in order."""
        return [index for index in range(self.n) if index not in self.made]

    def with_seed(self) -> ImageRequest:
        """Return this request with its seed fixed: the given one, or a random one."""
        if self.seed is not None:
            return self
        # 32 bits: short enough to type again, and exact as a JavaScript number.
        return replace(self, seed=secrets.randbelow(2**32))


DRAW_OPTIONS = {
    field.name: OptionSpec(
        field.name, default=cast("Value | None", field.default), **field.metadata
    )
    for field in fields(ImageRequest)
    if field.metadata
}
PREVIEWS = OptionSpec("previews", "integer", "Half-drawn pictures to show.", 0, MAX_PREVIEWS)


def size_of(pixels: NDArray[np.uint8]) -> Size:
    """Width and height of `(H, W, …)` pixels."""
    return Size(int(pixels.shape[1]), int(pixels.shape[0]))


def size_like(pixels: NDArray[np.uint8], rule: SizeRule = STANDARD_SIZES) -> Size:
    """The size to draw a picture like `(H, W, …)` pixels at: theirs, or the nearest allowed."""
    return rule.nearest(size_of(pixels), keep=True)


def _distance(size: Size, other: Size) -> tuple[float, float]:
    """How far `other` is from `size` in shape, then in area."""
    shape = abs(math.log(size.width * other.height / (size.height * other.width)))
    area = abs(math.log(size.width * size.height / (other.width * other.height)))
    return round(shape, 6), area


def _check_pixels(pixels: object) -> None:
    shape = getattr(pixels, "shape", None)
    if shape is None or getattr(pixels, "dtype", None) != "uint8":
        raise InvalidRequest(f"image must be an array of uint8, not {_kind(pixels)}", param="image")
    if len(shape) != 3 or shape[2] != 4 or 0 in shape:
        raise InvalidRequest(
            f"image has shape {shape}; it must be (height, width, 4), straight RGBA", param="image"
        )


def _check_mask(mask: object, pixels: NDArray[np.uint8]) -> None:
    shape = getattr(mask, "shape", None)
    if shape is None or getattr(mask, "dtype", None) != "uint8" or len(shape) != 2:
        raise InvalidRequest(
            "mask must be a (height, width) array of uint8, 0 where to draw", param="mask"
        )
    if shape != pixels.shape[:2]:
        raise InvalidRequest(
            f"The mask is {shape[1]}x{shape[0]} pixels and the picture {size_of(pixels)}",
            param="mask",
            hint="make them of one size",
        )
    if mask.all():  # type: ignore[attr-defined]  # an array, by its shape and type
        raise InvalidRequest(
            "The mask is nowhere fully transparent, so there is nothing to draw",
            param="mask",
            hint="make it fully transparent (alpha 0) where the picture is to change",
        )


def _check_prompt(prompt: object, source: Edit | Variation | None) -> None:
    if not isinstance(prompt, str):
        raise InvalidRequest(f"Prompt must be text, not {_kind(prompt)}", param="prompt")
    if isinstance(source, Variation):
        if prompt:
            raise InvalidRequest(
                "A variation has no prompt", param="prompt", hint="an edit has one: use Edit"
            )
        return
    if not prompt.strip():
        raise InvalidRequest(
            "Prompt is empty", param="prompt", hint='say what to draw, such as "a red apple"'
        )
    if len(prompt) > MAX_PROMPT_CHARS:
        raise InvalidRequest(
            f"Prompt has {len(prompt):,} characters; the limit is {MAX_PROMPT_CHARS:,}",
            param="prompt",
            code="string_above_max_length",
        )
    check_characters("prompt", prompt)


def _check_size(size: object) -> None:
    if not isinstance(size, Size):
        raise InvalidRequest(
            f"size must be a Size, not {_kind(size)}",
            param="size",
            hint='use Size.parse("1024x1024")',
        )
    if not 1 <= min(size.width, size.height) <= max(size.width, size.height) <= MAX_ANY_SIDE:
        raise InvalidRequest(
            f"Size {size} is not drawn",
            param="size",
            hint=f"sides of 1 to {MAX_ANY_SIDE:,} pixels can be asked for",
        )


def _kind(value: object) -> str:
    return type(value).__name__


_FILE_OPTIONS = (
    OptionSpec("compression", "integer", "Quality of JPEG and WebP.", 0, 100),
    OptionSpec("complexity", "choice", "Colours and paths of SVG.", choices=COMPLEXITIES),
    OptionSpec("frame_count", "integer", "Frames of a GIF.", MIN_FRAMES, MAX_FRAMES),
    OptionSpec("frame_duration_ms", "integer", "Time of each frame.", 1, MAX_FRAME_MS),
)


@dataclass(frozen=True)
class FileOptions:
    """How a picture is written as a file; what its format does not know is not used.

    Wrong values raise InvalidRequest naming the field.
    """

    compression: int | None = None  # 0 to 100, of JPEG and WebP; None: the encoder's own
    complexity: Complexity = "medium"  # of SVG: how many colours and paths at most
    frame_count: int = 9  # of GIF, MIN_FRAMES to MAX_FRAMES
    frame_duration_ms: int = 200  # of GIF, 1 or more; what it cannot say is shortened

    def __post_init__(self) -> None:
        for spec in _FILE_OPTIONS:
            value = getattr(self, spec.name)
            if value is not None:
                spec.check(value)


DEFAULT_OPTIONS = FileOptions()
