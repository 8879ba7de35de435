"""The size of a request, and the sizes that each model name allows."""

from __future__ import annotations

import re
from math import log

from limner.request import MAX_SIDE, Size
from limner.server.openai import fields as f
from limner.server.openai.errors import ApiError
from limner.server.openai.fields import Fields
from limner.server.openai.model_rules import Target

_DALLE2 = ("256x256", "512x512", "1024x1024")
_DALLE3 = ("1024x1024", "1792x1024", "1024x1792")
_GPT = ("1024x1024", "1024x1536", "1536x1024", "auto")
# Clients such as Open WebUI send these to every model by default; small pictures are cheap.
_SMALL = ("256x256", "512x512")

_SIZE = re.compile(r"([1-9]\d{0,4})\s*[xX×*]\s*([1-9]\d{0,4})", re.ASCII)
_RATIO = re.compile(r"([1-9]\d{0,2})\s*[:/x]\s*([1-9]\d{0,2})", re.ASCII)
_AREA = 1024 * 1024  # area if only the aspect ratio is given


def read_size(fields: Fields, target: Target, source: Size | None = None) -> Size:
    """The size given by `size`, `width` and `height`, or `aspect_ratio`.

    The default is the usual size of the engine; for an edit of a picture of size `source`, the
    nearest shape or, for this server's own names, the picture's size. Raises ApiError for a size
    that the model name does not allow; a lenient server uses the nearest one, with a notice.
    """
    text = fields.text("size") or _other_size(fields, target)
    takes_auto = target.own or target.is_gpt
    if not text or (text == "auto" and (takes_auto or fields.is_lenient)):
        return _left_to_server(target, source)
    if not fields.is_lenient:
        _check(text, target)
        return Size.parse(text)
    size = _nearest(text, target)
    if str(size) != text:
        fields.notice(f"Size {f.shown(text)} is not drawn for this model; {size} was drawn")
    return size


def _other_size(fields: Fields, target: Target) -> str | None:
    """The size from the parameters of other servers, or None."""
    width = fields.whole_number("width", 1, 99_999)
    height = fields.whole_number("height", 1, 99_999)
    if width or height:
        return f"{width or height}x{height or width}"
    ratio = fields.text("aspect_ratio")
    if not ratio:
        return None
    match = _RATIO.fullmatch(ratio.strip())
    if match is None:
        raise f.wrong_value(
            "aspect_ratio", f"Invalid 'aspect_ratio': '{f.shown(ratio)}'. Expected for example 3:2."
        )
    scale = (_AREA / (int(match[1]) * int(match[2]))) ** 0.5
    return str(_allowed(Size(round(int(match[1]) * scale), round(int(match[2]) * scale)), target))


def _left_to_server(target: Target, source: Size | None) -> Size:
    if source is None or target.model == "dall-e-2":
        return target.sizes.usual
    return target.sizes.nearest(source, keep=True) if target.own else _alike(source, _GPT)


def _nearest(text: str, target: Target) -> Size:
    """The allowed size nearest to `text`. Raises InvalidRequest if `text` is no size."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return Size.parse(text)  # raises
    return _allowed(Size(int(match[1]), int(match[2])), target)


def _allowed(size: Size, target: Target) -> Size:
    choices = _choices(target)
    if choices:
        return size if str(size) in choices else _alike(size, choices)
    return target.sizes.nearest(size)


def _choices(target: Target) -> tuple[str, ...]:
    """The list of sizes of a model name; empty if any size is allowed."""
    if target.own or (target.is_gpt and (target.model is None or target.is_newer_gpt)):
        return ()
    if target.is_gpt:
        return _GPT + _SMALL
    return _DALLE3 if target.profile == "dalle3" else _DALLE2


def _alike(size: Size, choices: tuple[str, ...]) -> Size:
    """The one of `choices` with the nearest shape, then the nearest area."""
    sizes = [Size.parse(text) for text in choices if text != "auto"]
    ratio, area = size.width / size.height, size.width * size.height

    def distance(other: Size) -> tuple[float, float]:
        shape = abs(log(ratio * other.height / other.width))
        return round(shape, 6), abs(log(area / (other.width * other.height)))

    return min(sizes, key=distance)


def _check(text: str, target: Target) -> None:
    """Raise ApiError, in the model's own words, for a size that it does not allow."""
    choices = _choices(target)
    if text in choices or (not choices and not target.is_newer_gpt):
        return
    if target.is_newer_gpt:
        if text not in _SMALL and (reason := _gpt_fault(text)):
            raise f.wrong_value("size", f"Invalid size '{f.shown(text)}'. {reason}", newer=True)
    elif target.is_gpt:
        raise f.wrong_choice("size", text, _GPT, "256x256 and 512x512 are drawn as well.")
    elif target.profile == "dalle3":
        said = f"The size is not supported by this model. It has {f.listed(_DALLE3, 'and')}."
        raise ApiError(said, param="size", code="invalid_size")
    else:
        message = f"{f.shown(text)!r} is not one of {list(_DALLE2)} - 'size'"
        raise f.wrong_value("size", message)


def _gpt_fault(text: str) -> str:
    """The fault of a size by the published rules; empty if there is none."""
    match = _SIZE.fullmatch(text)
    if match is None or "x" not in text:
        return "Expected WIDTHxHEIGHT, for example '1824x1024'."
    width, height = int(match[1]), int(match[2])
    if width % 16 or height % 16:
        return "Width and height must both be divisible by 16."
    if max(width, height) > MAX_SIDE:
        return f"No side may be longer than {MAX_SIDE} pixels."
    if not 655_360 <= width * height <= 8_294_400:
        return "The picture must have between 655360 and 8294400 pixels."
    if max(width, height) > 3 * min(width, height):
        return "The longer side may be at most three times the shorter one."
    return ""
