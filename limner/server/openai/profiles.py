"""Which model a request means, and which rules of which era hold for it.

Three eras answer at one URL. A request that names no model is of the first, DALL·E 2, unless it
uses a word that only the GPT image models know. Every published name is drawn by the engine of
this server; the name decides the rules, not the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Literal

from limner.request import (
    Edit,
    Quality,
    Size,
    size_like,
    size_of,
)
from limner.server.openai import fields as f
from limner.server.openai.errors import USER, ApiError
from limner.server.openai.fields import Fields

Profile = Literal["gpt", "dalle3", "dalle2"]

PUBLISHED = (
    "dall-e-2",
    "dall-e-3",
    "gpt-image-1",
    "gpt-image-1-mini",
    "gpt-image-1.5",
    "gpt-image-2",
    "gpt-image-2-2026-04-21",
    "gpt-image-2.5-sunburst",
    "gpt-image-2.5-sunburst-2026-09-08",
    "gpt-image-2.5-flare",
    "gpt-image-2.5-flare-2026-09-08",
    "gpt-image-2.6-sunburst",
    "gpt-image-2.6-flare",
    "chatgpt-image-latest",
)
_FIRST_GPT = ("gpt-image-1", "chatgpt-image-latest")  # and what starts like the first

MAX_PROMPT_CHARS: dict[Profile, int] = {"gpt": 32_000, "dalle3": 4_000, "dalle2": 1_000}

_DEFAULT_SIZE = Size(1024, 1024)
_DALLE2_SIZES = ("256x256", "512x512", "1024x1024")
_DALLE3_SIZES = ("1024x1024", "1792x1024", "1024x1792")
_GPT_SIZES = ("1024x1024", "1024x1536", "1536x1024", "auto")

QUALITIES: dict[Profile, tuple[str, ...]] = {
    "gpt": ("low", "medium", "high", "auto"),
    "dalle3": ("standard", "hd"),
    "dalle2": ("standard", "hd"),
}
# Any era's word is taken from any era's client: it says the same thing.
QUALITY: dict[str, Quality] = {
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
    "auto": "medium",
    "standard": "medium",
    "hd": "high",
}

# Words that only the GPT image models know.
_GPT_NAMES = (
    "background",
    "moderation",
    "output_format",
    "output_compression",
    "input_fidelity",
    "safety_identifier",
    "complexity",
    "frame_count",
    "frame_duration_ms",
    "svg",
    "markup",
)
_GPT_QUALITIES = ("low", "medium", "high", "xhigh", "max", "auto")


@dataclass(frozen=True)
class Target:
    """What a request is answered by, and after which rules."""

    profile: Profile
    engine: str
    model: str | None  # as the request named it
    own: bool = False  # one of this server's own names: anything it can draw may be asked for

    @property
    def is_gpt(self) -> bool:
        """Whether the rules of the GPT image models hold."""
        return self.profile == "gpt"

    @property
    def is_newer_gpt(self) -> bool:
        """Whether it is a GPT image model after the first, which takes any size."""
        return self.is_gpt and self.model is not None and not self.model.startswith(_FIRST_GPT)

    @property
    def max_prompt_chars(self) -> int:
        """How long a prompt may be."""
        return MAX_PROMPT_CHARS["gpt" if self.own else self.profile]


@dataclass(frozen=True)
class Catalogue:
    """The models this server answers to: published names, and its own with their engines."""

    default_engine: str
    own: Mapping[str, str]  # model id → engine

    def ids(self) -> list[str]:
        """Every id, its own first."""
        return [*self.own, *(name for name in PUBLISHED if name not in self.own)]

    def target(self, fields: Fields, *, is_gpt: bool = False) -> Target:
        """What the request means; an unknown model is refused.

        `is_gpt` if something beside the fields is only known to the GPT image models.
        """
        model = fields.text("model")
        if not model:  # absent, null, or an empty field of a form
            is_gpt = is_gpt or _has_gpt_signal(fields)
            return Target("gpt" if is_gpt else "dalle2", self.default_engine, None)
        if model in self.own:
            return Target("dalle2", self.own[model], model, own=True)
        if model.startswith(("gpt-image-", "chatgpt-image-")):
            return Target("gpt", self.default_engine, model)
        if model in PUBLISHED:
            profile: Profile = "dalle3" if model == "dall-e-3" else "dalle2"
            return Target(profile, self.default_engine, model)
        raise ApiError(
            f"The model '{f.shown(model)}' does not exist.",
            type=USER,
            param="model",
            code="invalid_value",
        )


def _has_gpt_signal(fields: Fields) -> bool:
    values = fields.values
    return (
        any(fields.given(name) for name in _GPT_NAMES)
        or values.get("stream") in (True, "true", "True", "1")
        or values.get("partial_images") not in (None, 0, "0")
        or values.get("quality") in _GPT_QUALITIES
        or values.get("size") in ("auto", "1536x1024", "1024x1536")
    )


def read_size(fields: Fields, target: Target, source: Edit | None = None) -> Size:
    """The size asked for, which the era of the model allows; the engine may still refuse it.

    Left to the server it is 1024x1024; with a picture to edit, for models that know "auto", what
    is nearest to its shape, and its very size for names of this server's own.
    """
    text = fields.text("size")
    takes_auto = target.own or target.is_gpt
    if text is None or (text == "auto" and takes_auto):
        if source is None or not takes_auto:
            return _DEFAULT_SIZE
        return size_like(source.pixels) if target.own else _nearest_shape(size_of(source.pixels))
    if target.own or (target.is_gpt and target.model is None):
        return Size.parse(text)
    if target.is_gpt:
        _check_gpt_size(text, target)
        return Size.parse(text)
    if target.profile == "dalle3" and text not in _DALLE3_SIZES:
        raise ApiError(
            "The size is not supported by this model.", param="size", code="invalid_size"
        )
    if target.profile == "dalle2" and text not in _DALLE2_SIZES:
        message = f"{f.shown(text)!r} is not one of {list(_DALLE2_SIZES)} - 'size'"
        raise f.wrong_value("size", message)
    return Size.parse(text)


def _nearest_shape(size: Size) -> Size:
    """The one of the GPT image models' sizes whose sides are most like those of `size`."""
    sizes = [Size.parse(text) for text in _GPT_SIZES if text != "auto"]
    ratio = size.width / size.height
    return min(sizes, key=lambda other: abs(log(ratio * other.height / other.width)))


def _check_gpt_size(text: str, target: Target) -> None:
    if not target.is_newer_gpt:
        if text not in _GPT_SIZES:
            raise f.wrong_choice("size", text, _GPT_SIZES)
        return
    width, _, height = text.partition("x")
    if not all(side.isascii() and side.isdigit() and len(side) <= 5 for side in (width, height)):
        reason = "Expected WIDTHxHEIGHT, for example '1824x1024'."
    else:
        reason = _gpt_size_fault(int(width), int(height))
    if reason:
        raise f.wrong_value("size", f"Invalid size '{f.shown(text)}'. {reason}", newer=True)


def _gpt_size_fault(width: int, height: int) -> str:
    """What is wrong with a size by the published rules; empty if nothing is."""
    if width % 16 or height % 16:
        return "Width and height must both be divisible by 16."
    if max(width, height) > 3840:
        return "No side may be longer than 3840 pixels."
    if not 655_360 <= width * height <= 8_294_400:
        return "The picture must have between 655360 and 8294400 pixels."
    if max(width, height) > 3 * min(width, height):
        return "The longer side may be at most three times the shorter one."
    return ""


def read_quality(fields: Fields, target: Target) -> Quality:
    """The quality to draw with, from the word of any era."""
    advertised = tuple(QUALITY) if target.own else QUALITIES[target.profile]
    word = fields.choice("quality", advertised, also=tuple(QUALITY))
    return QUALITY[word] if word else "medium"
