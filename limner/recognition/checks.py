"""Checks of a picture against a prompt: subject, colour and number, with certainty.

The thresholds were fitted on drawings of artists that the model never saw, half of them asked
about rightly and half wrongly; docs/how-to/look.md has figures for other samples of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from limner.arrays import Pixels
from limner.data import colours
from limner.imaging import codec
from limner.recognition.areas import Subject

# Thresholds on the share of names that fit the picture better than the prompt:
SURE_YES = 0.01  # at most this: the subject is certainly there
SURE_NO = 0.5  # more than this: it certainly is not
LIKELY = 0.06  # the best single threshold in between
_SURE_SHARE = 0.75  # of the subject, in the named colour
_MAX_COUNTED = 6
_ALIKE = 0.6  # smallest thing's area over the largest one's, for a certain count

_CHINESE = {
    "红": "red", "橙": "orange", "黄": "yellow", "绿": "green", "蓝": "blue", "紫": "purple",
    "粉": "pink", "棕": "brown", "褐": "brown", "黑": "black", "白": "white", "灰": "grey",
}  # fmt: skip
_ENGLISH = re.compile(rf"\b({'|'.join([*colours.NAMES, 'gray', 'violet'])})\b")
_OTHER_WORDS = {"gray": "grey", "violet": "purple"}


@dataclass(frozen=True)
class Check:
    """One requirement of a prompt, and what the picture shows of it."""

    what: Literal["subject", "colour", "count", "place"]
    asked: str | int
    seen: str | int | bool | None  # for subject and place: whether it is so; None: unknown
    sure: bool

    @property
    def is_failed(self) -> bool:
        """Whether the picture certainly lacks it."""
        return self.sure and not self._is_seen

    @property
    def is_met(self) -> bool:
        """Whether it holds: a subject must be seen; other checks must not have failed."""
        return self.seen is True if self.what == "subject" else not self.is_failed

    @property
    def words(self) -> str:
        """What was asked, in words."""
        if self.what == "count":
            return f"{self.asked} things (but {self.seen})"
        return str(self.asked)

    @property
    def _is_seen(self) -> bool:
        return self.seen == (True if self.what in ("subject", "place") else self.asked)


def subject(asked: str, share_better: float) -> Check:
    """`share_better` of all names, 0 to 1, fit the picture better than `asked`."""
    is_sure = share_better <= SURE_YES or share_better >= SURE_NO
    return Check("subject", asked, share_better <= LIKELY, is_sure)


def colour(words: str, pixels: Pixels) -> Check | None:
    """Check the colour named in `words` on a subject with a clear ground; None if there is none."""
    asked = colour_in(words)
    if asked is None:
        return None
    tint = colours.tint_of(codec.premultiply(pixels))
    is_grey = tint.share == 0  # no pixel has a hue
    sure = tint.natural is not None and (is_grey or tint.share >= _SURE_SHARE)
    return Check("colour", asked, tint.natural, sure)


def colour_in(words: str) -> str | None:
    """The colour named in a text; None if it names none or several."""
    found = {_OTHER_WORDS.get(word, word) for word in _ENGLISH.findall(words.lower())}
    found |= {name for char, name in _CHINESE.items() if char in words}
    return found.pop() if len(found) == 1 else None


def count(asked: int, seen: Subject) -> Check:
    """Check the number of things."""
    n = len(seen.areas)
    is_even = n > 0 and seen.areas[-1] >= _ALIKE * seen.areas[0]
    sure = seen.is_cut and is_even and n <= _MAX_COUNTED
    return Check("count", asked, n if seen.is_cut else None, sure)
