"""Boxes that people give: what stands where in a picture.

A text such as "a cat: 5,20,40,60; a dog: 55,20,40,60": words, then the left edge, the upper edge,
the width and the height in per cent of the picture. Later things are painted over earlier ones.
"""

import re
from dataclasses import dataclass

from limner.errors import InvalidRequest

MAX_BOXES = 12
MAX_WORDS = 300  # characters of one thing's words
LEAST_SIDE = 4.0  # per cent

_NUMBER = r"\s*([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*"
_ONE = re.compile(rf"(.+?)[:：]{_NUMBER}[,，]{_NUMBER}[,，]{_NUMBER}[,，]{_NUMBER}", re.DOTALL)
_FORM = "write WORDS: LEFT,TOP,WIDTH,HEIGHT in per cent of the picture, with ; between things"


@dataclass(frozen=True)
class GivenBox:
    """One thing and its box, in per cent of the picture's width and height."""

    words: str
    left: float
    top: float
    width: float
    height: float


def read_boxes(name: str, text: str) -> tuple[GivenBox, ...]:
    """The boxes that a text gives, in painting order.

    Raises InvalidRequest naming `name` for a text of another form, a box that is not wholly on the
    picture or narrower than LEAST_SIDE, and more than MAX_BOXES.
    """
    parts = [part for part in re.split(r"[;；\n]", text) if part.strip()]
    if not parts:
        raise InvalidRequest(f"{name} names nothing", param=name, hint=_FORM)
    if len(parts) > MAX_BOXES:
        raise InvalidRequest(f"{name} has {len(parts)} boxes; the limit is {MAX_BOXES}", param=name)
    return tuple(_read(name, part) for part in parts)


def _read(name: str, part: str) -> GivenBox:
    match = _ONE.fullmatch(part.strip())
    shown = repr(part.strip()[:60])
    words = match[1].strip() if match else ""
    if match is None or not words:
        raise InvalidRequest(f"{name} has {shown}, which is no box", param=name, hint=_FORM)
    if len(words) > MAX_WORDS:
        raise InvalidRequest(
            f"{name} has words of {len(words):,} characters; the limit is {MAX_WORDS}", param=name
        )
    left, top, width, height = (float(number) for number in match.groups()[1:])
    if min(width, height) < LEAST_SIDE:
        raise InvalidRequest(
            f"{name} has {shown}; a box is at least {LEAST_SIDE:g} per cent wide and high",
            param=name,
        )
    if left + width > 100 or top + height > 100:
        raise InvalidRequest(
            f"{name} has {shown}, which reaches beyond the picture",
            param=name,
            hint="left and width, and top and height, are at most 100 together",
        )
    return GivenBox(words, left, top, width, height)
