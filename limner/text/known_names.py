"""Names of things that the weights were taught, bare and in lower case."""

import json
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

from limner.text.phrases import bare
from limner.text.text_tokenizer import normalise


class TaughtNames:
    """Says whether a name is one of them: `"red apple" in TaughtNames()`. Read when first asked."""

    def __contains__(self, name: object) -> bool:
        return name in _names()


class TaughtThings:
    """Also says yes to the last word of a name, which is a thing too: "tree" in "palm tree"."""

    def __contains__(self, name: object) -> bool:
        return name in _names() or name in _heads()


def knows_any(words: Iterable[str]) -> bool:
    """Whether any of some lower-case English words or Chinese characters is in a caption."""
    english, chinese = _caption_words()
    return any(word in english or word in chinese for word in words)


def caption_words() -> frozenset[str]:
    """The English words that training captions say, in lower case."""
    return _caption_words()[0]


def taught_rows() -> list[tuple[str, str, str, str]]:
    """Name, phrase, Chinese name and family of each thing that the weights were taught."""
    return [tuple(row) for row in _table()["names"]]


def is_said_of(one: str, other: str) -> bool:
    """Whether a name has both words, as "man with beard" has "man" and "beard"."""
    if not one.isascii():
        return any(one in name and other in name for name in _names())
    return other in _fellows().get(one, ())


@cache
def _heads() -> frozenset[str]:
    """Last words of English names, and what Chinese names of up to five characters end with."""
    english = (name.rpartition(" ")[2] for name in _names() if name.isascii())
    chinese = (name for name in _names() if not name.isascii() and len(name) <= 5)
    ends = (name[start:] for name in chinese for start in range(1, len(name)))
    return frozenset((*english, *ends)) - _NO_THINGS


# Ends of names that are no things: of faces, signs and the like.
_NO_THINGS = frozenset(
    (
        "face",
        "eyes",
        "out",
        "up",
        "down",
        "sign",
        "mark",
        "button",
        "left",
        "right",
        "style",
        "portrait",
    )
)


@cache
def _names() -> frozenset[str]:
    said = (name for english, _, chinese, _ in _table()["names"] for name in (english, chinese))
    return frozenset(bare(normalise(name)) for name in said if name)


@cache
def _fellows() -> dict[str, set[str]]:
    """For each word of the names, the words of all names that have it."""
    found: dict[str, set[str]] = {}
    for name in _names():
        words = set(name.split())
        for word in words:
            found.setdefault(word, set()).update(words)
    return found


@cache
def _caption_words() -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(_table()["words"]), frozenset(_table()["characters"])


@cache
def _table() -> dict[str, Any]:
    """The table by which pictures are named (limner/recognition)."""
    file = resources.files("limner.recognition").joinpath("names.json")
    table: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return table
