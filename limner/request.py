"""What is asked of limner: one frozen, checked value that every layer passes on unchanged."""

from __future__ import annotations

import math
import re
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from limner.errors import InvalidRequest

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

SIDE_STEP = 16  # sides are multiples of it
MIN_SIDE = 64
MAX_SIDE = 3840
MAX_RATIO = 3  # of the longer side to the shorter

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
                f"Size {_shown(text)} is not of the form WIDTHxHEIGHT",
                param="size",
                hint=f"sizes drawn are {SIZE_RULE}",
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


SIZES = (Size(256, 256), Size(512, 512), Size(1024, 1024))
SIZE_RULE = (
    f"{', '.join(map(str, SIZES))}, or any with sides of {MIN_SIDE} to {MAX_SIDE} that are "
    f"multiples of {SIDE_STEP}, the longer at most {MAX_RATIO} times the shorter"
)


@dataclass(frozen=True, eq=False)
class Edit:
    """A picture to change; wrong arrays raise InvalidRequest naming image or mask.

    Without a mask, the picture's own clear pixels say where to draw; where it has none, all of it
    is drawn anew in its old layout.
    """

    pixels: NDArray[np.uint8]  # (H, W, 4) straight RGBA
    mask: NDArray[np.uint8] | None = None  # (H, W): 0 = draw here, all else stays as it is
    is_own_mask: bool = False  # the mask says where `pixels` were clear before they were resized

    def __post_init__(self) -> None:
        _check_pixels(self.pixels)
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


@dataclass(frozen=True)
class ImageRequest:
    """A prompt and how to draw it; wrong values raise InvalidRequest naming the field."""

    prompt: str  # 1 to MAX_PROMPT_CHARS characters, not only white space; "" with a Variation
    n: int = 1  # how many pictures, 1 to MAX_PICTURES
    size: Size = SIZES[-1]  # by SIZE_RULE, or that of the picture to edit
    quality: Quality = "medium"  # more passes and candidates from low to high
    seed: int | None = None  # 0 to MAX_SEED; None until with_seed() picks one
    background: Background = "auto"  # auto: the engine decides by the prompt
    previews: int = 0  # half-drawn pictures to show of each picture, 0 to MAX_PREVIEWS
    source: Edit | Variation | None = None  # a picture to begin with; None: from the prompt alone
    best_of: int | None = None  # drawn for each picture, the best scored is kept; None: by quality
    retry_below: float | None = None  # -1 to 1: a best score below it is tried once more
    made: frozenset[int] = frozenset()  # indexes of pictures that are there already: not drawn

    def __post_init__(self) -> None:
        _check_prompt(self.prompt, self.source)
        _check_whole_number("n", self.n, 1, MAX_PICTURES)
        _check_size(self.size, self.source)
        _check_choice("quality", self.quality, QUALITIES)
        if self.seed is not None:
            _check_whole_number("seed", self.seed, 0, MAX_SEED)
        _check_choice("background", self.background, BACKGROUNDS)
        _check_whole_number("previews", self.previews, 0, MAX_PREVIEWS)
        if self.best_of is not None:
            _check_whole_number("best_of", self.best_of, 1, MAX_BEST_OF)
        if self.retry_below is not None:
            _check_score("retry_below", self.retry_below)

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


def size_of(pixels: NDArray[np.uint8]) -> Size:
    """Width and height of `(H, W, …)` pixels."""
    return Size(int(pixels.shape[1]), int(pixels.shape[0]))


def size_like(pixels: NDArray[np.uint8]) -> Size:
    """The size to draw a picture like `(H, W, …)` pixels at: theirs, or the nearest allowed."""
    return nearest_size(size_of(pixels), keep=True)


def nearest_size(size: Size, *, keep: bool = False) -> Size:
    """The nearest size that can be drawn: sides rounded, scaled, or widened to the limits.

    With `keep`, a size within the limits stays even if its sides are no multiples of SIDE_STEP, as
    the size of a picture to edit may.
    """
    if _is_within_limits(size):
        rounded = Size(_rounded(size.width), _rounded(size.height))
        if keep or _is_within_limits(rounded):
            return size if keep else rounded
    longer, shorter = max(size.width, size.height), min(size.width, size.height)
    scale = min(1.0, MAX_SIDE / longer)
    scale = max(scale, min(MIN_SIDE / shorter, MAX_SIDE / longer))
    width, height = size.width * scale, size.height * scale
    least = max(MIN_SIDE, max(width, height) / MAX_RATIO)
    # Up where a side is at its least, so that the ratio keeps.
    sides = (math.ceil(max(side, least) / SIDE_STEP) * SIDE_STEP for side in (width, height))
    return Size(*(min(side, MAX_SIDE) for side in sides))


def _rounded(side: int) -> int:
    return min(MAX_SIDE, max(MIN_SIDE, round(side / SIDE_STEP) * SIDE_STEP))


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
    # Neither can be stored: surrogates have no UTF-8, and PostgreSQL text holds no NUL.
    for char in prompt:
        if char == "\0" or "\ud800" <= char <= "\udfff":
            raise InvalidRequest(
                f"Prompt holds U+{ord(char):04X}, which is not a character of any text",
                param="prompt",
                hint="check that the text is valid UTF-8",
            )


def _check_whole_number(param: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(
            f"{param} must be a whole number, not {_kind(value)}", param=param, code="invalid_type"
        )
    if not low <= value <= high:
        # str() of an integer refuses more than 4,300 digits, so a giant is not spelled out.
        shown = str(value) if value.bit_length() <= 256 else f"a {value.bit_length()}-bit number"
        raise InvalidRequest(
            f"{param} is {shown}; it must be between {low} and {high}",
            param=param,
            code="integer_below_min_value" if value < low else "integer_above_max_value",
        )


def _check_score(param: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(
            f"{param} must be a number, not {_kind(value)}", param=param, code="invalid_type"
        )
    if not -1 <= value <= 1:  # nor is NaN
        raise InvalidRequest(
            f"{param} is {_shown(value)}; a score is between -1 and 1", param=param
        )


def _check_size(size: object, source: Edit | Variation | None) -> None:
    if not isinstance(size, Size):
        raise InvalidRequest(
            f"size must be a Size, not {_kind(size)}",
            param="size",
            hint='use Size.parse("1024x1024")',
        )
    is_stepped = size.width % SIDE_STEP == 0 and size.height % SIDE_STEP == 0
    is_kept = isinstance(source, Edit) and size == size_of(source.pixels)
    if not (_is_within_limits(size) and (is_stepped or is_kept)):
        raise InvalidRequest(
            f"Size {size} is not drawn", param="size", hint=f"sizes drawn are {SIZE_RULE}"
        )


def _is_within_limits(size: Size) -> bool:
    longer, shorter = max(size.width, size.height), min(size.width, size.height)
    return shorter >= MIN_SIDE and longer <= MAX_SIDE and longer <= MAX_RATIO * shorter


def _check_choice(param: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidRequest(
            f"{param} is {_shown(value)}; it must be one of {_listed(choices)}", param=param
        )


def _listed(choices: tuple[object, ...]) -> str:
    return ", ".join(str(choice) for choice in choices)


def _shown(value: object) -> str:
    """A value as it may stand in a message: quoted, and not longer than a line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _kind(value: object) -> str:
    return type(value).__name__


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
        if self.compression is not None:
            _check_whole_number("compression", self.compression, 0, 100)
        _check_choice("complexity", self.complexity, COMPLEXITIES)
        _check_whole_number("frame_count", self.frame_count, MIN_FRAMES, MAX_FRAMES)
        _check_whole_number("frame_duration_ms", self.frame_duration_ms, 1, MAX_FRAME_MS)


DEFAULT_OPTIONS = FileOptions()
