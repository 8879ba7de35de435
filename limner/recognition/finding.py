"""Masks by words: the thing in a picture that a phrase such as "the red apple" names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from limner.arrays import Bools
from limner.engines.transformer.matching import Matches
from limner.errors import InvalidRequest
from limner.recognition.things import Box, Thing
from limner.request import Size
from limner.text import phrases
from limner.text.wording import as_captions_say

PARAM = "where"
MOST = 0.08  # share of names that may fit a thing better than the words that are looked for
_GROWN = 0.04  # of the longer side: how far a mask reaches beyond its thing

_PLACES = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1)}  # axis, direction
_OTHER_WORDS = {"upper": "top", "lower": "bottom", "左": "left", "右": "right", "上": "top"}
_OTHER_WORDS |= {"下": "bottom"}
_SAID_PLACE = re.compile(
    r"\s*\b(?:on|at|in|to)?\s*(?:the\s+)?\b(?:(left|right|top|bottom|upper|lower)"
    r"(?:most)?(?:\s+(?:side|corner|half|part))?)\b|([左右上下])(?:边|面|方)的?"
)


@dataclass(frozen=True, eq=False)
class Found:
    """A thing that was found by words."""

    area: Bools  # (H, W) of the picture: what the thing covers
    mask: Bools  # (H, W): a box around it with a margin, without other things; for an edit
    share: float  # of all names, those that fit it better than the words, 0 to 1


@dataclass(frozen=True)
class Wanted:
    """What is looked for."""

    phrase: str  # as captions say it: "a red apple"
    place: str | None = None  # left, right, top or bottom


def wanted(words: str) -> Wanted:
    """Read a phrase. Raises InvalidRequest if it names nothing."""
    text = " ".join(words.lower().split()).strip(" .,;!?。，")
    place = None
    if said := _SAID_PLACE.search(text):
        name = said[1] or said[2]
        place = _OTHER_WORDS.get(name, name)
        text = " ".join((text[: said.start()] + " " + text[said.end() :]).split())
    bare = phrases.bare(text)
    if not bare or phrases.names_nothing(bare):
        raise InvalidRequest(
            f"'{PARAM}' names no thing: {words[:100]!r}", param=PARAM, hint="such as 'the apple'"
        )
    is_chinese = any("\u3400" <= c <= "\u9fff" for c in bare)
    article = "" if is_chinese else "an " if bare[0] in "aeiou" else "a "
    return Wanted(as_captions_say(f"{article}{bare}"), place)


def chosen(want: Wanted, things: Sequence[Thing], matches: Matches) -> int | None:
    """The thing that fits best; None if none fits. `matches` has one phrase."""
    shares, scores = matches.shares[:, 0].copy(), matches.scores[:, 0]
    if want.place:
        shares[~_on_side(want.place, things)] = 1.0
    best = int(np.lexsort((-scores, shares))[0])
    return best if shares[best] <= MOST else None


def found(things: Sequence[Thing], best: int, share: float, size: Size) -> Found:
    """The mask of thing `best` in a picture of `size`."""
    height, width = things[best].mask.shape
    mask = np.zeros((height, width), bool)
    left, top, right, bottom = things[best].box
    grown = max(1, round(_GROWN * max(height, width)))
    mask[max(top - grown, 0) : bottom + grown, max(left - grown, 0) : right + grown] = True
    for place, other in enumerate(things):
        if place != best:
            mask &= ~other.mask
    return Found(_enlarged(things[best].mask, size), _enlarged(mask, size), share)


def not_found(words: str, seen: Sequence[str]) -> InvalidRequest:
    """The error that says what is seen instead."""
    if not seen:
        return InvalidRequest(
            f"{words[:100]!r} was not found: no thing in the picture can be told from its "
            "background",
            param=PARAM,
            hint="say where by a mask or a box",
        )
    listed = ", ".join(f"perhaps {name}" for name in seen)
    return InvalidRequest(
        f"{words[:100]!r} was not found in the picture, which shows {listed}",
        param=PARAM,
        hint="name it as it is seen here, or say where by a mask or a box",
    )


def _on_side(place: str, things: Sequence[Thing]) -> Bools:
    """Which things lie further to a side than the middle of all."""
    axis, direction = _PLACES[place]
    centres = np.array([_centre(thing.box)[axis] for thing in things])
    middle = (centres.min() + centres.max()) / 2
    is_there: Bools = direction * (centres - middle) >= 0
    return is_there


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _enlarged(mask: Bools, size: Size) -> Bools:
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    large = np.asarray(image.resize((size.width, size.height), Image.Resampling.BILINEAR))
    result: Bools = large >= 128
    return result
