"""What is asked of limner: one frozen, checked value that every layer passes on unchanged."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from typing import Literal, get_args

from limner.errors import InvalidRequest

Quality = Literal["low", "medium", "high"]
Background = Literal["auto", "transparent", "opaque"]
Format = Literal["png", "jpeg", "webp"]  # of picture files

QUALITIES: tuple[str, ...] = get_args(Quality)
BACKGROUNDS: tuple[str, ...] = get_args(Background)
FORMATS: tuple[str, ...] = get_args(Format)

MAX_PROMPT_CHARS = 32_000
MAX_PICTURES = 10
MAX_PREVIEWS = 3
MAX_SEED = 2**63 - 1  # the largest integer that SQLite and PostgreSQL both store

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
                hint=f"sizes drawn are {_listed(SIZES)}",
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


SIZES = (Size(256, 256), Size(512, 512), Size(1024, 1024))


@dataclass(frozen=True)
class ImageRequest:
    """A prompt and how to draw it; wrong values raise InvalidRequest naming the field."""

    prompt: str  # 1 to MAX_PROMPT_CHARS characters, not only white space
    n: int = 1  # how many pictures, 1 to MAX_PICTURES
    size: Size = SIZES[-1]  # one of SIZES
    quality: Quality = "medium"  # more passes and candidates from low to high
    seed: int | None = None  # 0 to MAX_SEED; None until with_seed() picks one
    background: Background = "auto"  # auto: the engine decides by the prompt
    previews: int = 0  # half-drawn pictures to show of each picture, 0 to MAX_PREVIEWS

    def __post_init__(self) -> None:
        _check_prompt(self.prompt)
        _check_whole_number("n", self.n, 1, MAX_PICTURES)
        _check_size(self.size)
        _check_choice("quality", self.quality, QUALITIES)
        if self.seed is not None:
            _check_whole_number("seed", self.seed, 0, MAX_SEED)
        _check_choice("background", self.background, BACKGROUNDS)
        _check_whole_number("previews", self.previews, 0, MAX_PREVIEWS)

    def with_seed(self) -> ImageRequest:
        """Return this request with its seed fixed: the given one, or a random one."""
        if self.seed is not None:
            return self
        # 32 bits: short enough to type again, and exact as a JavaScript number.
        return replace(self, seed=secrets.randbelow(2**32))


def _check_prompt(prompt: object) -> None:
    if not isinstance(prompt, str):
        raise InvalidRequest(f"Prompt must be text, not {_kind(prompt)}", param="prompt")
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


def _check_size(size: object) -> None:
    if not isinstance(size, Size):
        raise InvalidRequest(
            f"size must be a Size, not {_kind(size)}",
            param="size",
            hint='use Size.parse("1024x1024")',
        )
    if size not in SIZES:
        raise InvalidRequest(
            f"Size {size} is not drawn", param="size", hint=f"sizes drawn are {_listed(SIZES)}"
        )


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
