"""The moderation hooks for prompts and pictures, and the default: a list of words.

A list matches words, not meaning. It stops only the plainest requests. To do more, pass another
Moderator, or a PictureModerator (`safety`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from unicodedata import category, normalize

if TYPE_CHECKING:
    from limner.arrays import Pixels

# Whole words or, for Chinese, parts of a text. Kept short on purpose: each entry names what
# nobody asks a drawing program for by accident.
WORDS: Mapping[str, Sequence[str]] = {
    "sexual/minors": (
        r"(child|kid|minor|underage|preteen|toddler)s? (porn\w*|nudes?|sex\w*|erotica)",
        r"(porn\w*|nudes?|sex\w*|erotica) (of|with) (an? )?(child\w*|kids?|minors?|toddlers?)",
        r"lolicon",
        r"shotacon",
        r"儿童色情",
    ),
    "sexual": (r"porn", r"porno\w*", r"hentai", r"nsfw", r"hardcore sex", r"色情", r"淫秽"),
    "violence/graphic": (
        r"gore",
        r"behead\w*",
        r"decapitat\w*",
        r"dismember\w*",
        r"disembowel\w*",
        r"血腥",
        r"斩首",
    ),
    "self-harm": (r"commit\w* suicide", r"self[ -]?harm\w*", r"自残"),
    "hate": (r"heil hitler", r"white power", r"ethnic cleansing"),
}
_PIECE_CHARS = 4_096
_WINDOW_CHARS = 50_000
_OVERLAP_CHARS = 500  # longer than any phrase in WORDS is likely to be written
# What `moderation: "low"` still refuses.
ALWAYS = frozenset({"sexual/minors"})


@dataclass(frozen=True)
class Verdict:
    """Categories that a text falls into, named as in the moderation API, each from 0 to 1."""

    scores: Mapping[str, float]

    @property
    def categories(self) -> list[str]:
        """Those that are reason to refuse."""
        return sorted(name for name, score in self.scores.items() if score >= 0.5)


class Moderator(Protocol):
    """Judges texts."""

    def check(self, text: str) -> Verdict:
        """The categories of `text`. Called for every prompt, so it must be fast."""
        ...


class PictureModerator(Protocol):
    """Judges pictures that were drawn, half-drawn ones of a stream included."""

    def check(self, pixels: Pixels) -> Verdict:
        """The categories of a picture, (H, W, 4) straight RGBA. Called by several threads."""
        ...


class WordList:
    """Looks for words, whatever their case, width or accents."""

    def __init__(self, words: Mapping[str, Sequence[str]] = WORDS) -> None:
        self._patterns = {
            name: re.compile("|".join(map(_whole, patterns))) for name, patterns in words.items()
        }

    def check(self, text: str) -> Verdict:
        """Score 1 for every category of which a word is found."""
        found: dict[str, float] = {}
        for said in _windows(plain(text)):
            found |= {name: 1.0 for name, words in self._patterns.items() if words.search(said)}
        return Verdict(found)


def _whole(pattern: str) -> str:
    return rf"\b(?:{pattern})\b" if pattern.isascii() else pattern


def plain(text: str) -> str:
    """Small letters without accents, invisible characters or more than one space between words."""
    pieces = (text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS))
    return " ".join("".join(map(_bare, pieces)).split())


def _bare(piece: str) -> str:
    """A piece of a text in small letters, without accents and invisible characters."""
    decomposed = normalize("NFKD", piece)  # up to 18 times as long
    dropped = (char for char in set(decomposed) if category(char) in ("Mn", "Cf"))
    return decomposed.translate(dict.fromkeys(map(ord, dropped))).casefold()


def _windows(text: str) -> Iterator[str]:
    """A long text in parts that overlap, cut at spaces, where there are any.

    A search in one part is short: between two, other threads run.
    """
    start = 0
    while True:
        end = start + _WINDOW_CHARS
        yield text[start:end]
        if end >= len(text):
            return
        start = max(text.find(" ", end - _OVERLAP_CHARS, end), end - _OVERLAP_CHARS)
