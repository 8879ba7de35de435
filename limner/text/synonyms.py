"""Common names of things as training captions say them: "a red car" becomes "a red automobile".

A small model draws the words that its captions say much better than other words for the same
thing. The table was written by hand from everyday words; it does not come from the training data.
Words that neither it nor the captions have are looked up in the thesaurus.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from limner.text.known_names import TaughtNames, TaughtThings
from limner.text.phrases import bare, singular
from limner.text.thesaurus import look_up

_Words = TypeVar("_Words", str, list[str])

_HAN = re.compile(r"[\u3400-\u9fff]")
_HEAD_ENDS = re.compile(
    r"[,;:.!?、。，；：！？]|\s(?:with|without|of|in|on|over|under|by|near|beside|from|at|for|to|and|"
    r"wearing|holding)\s"
)


_ARTICLE = re.compile(r"^(?:an?|the|my)\s+")
_PORTION = re.compile(
    r"^(?:\w+ )*(?:cup|mug|glass|pint|slice|piece|bowl|loaf|bunch|stack|pile|jar|bag|bolt|bottle)"
    r" of \w+$"
)


def as_taught(words: str) -> str:
    """The words for one thing with the name that captions say, if they say another than `words`.

    Only the name at the end of the phrase changes: "a toy car with wings" -> "a toy automobile
    with wings", 红色的小车 -> 红色的汽车. A name that captions say stays: "a police car", "a bridge
    at night".
    """
    if whole := _whole_name(words):
        return whole
    if bare(words) in TaughtNames():
        return words
    if match := _PORTION.search(words):  # "a cup of tea" is one name
        return words if (said := _named_anew(match[0])) is None else said
    head = _head(words)
    said = _named_anew(head)
    return words if said is None else said + words[len(head) :]


def is_name(words: str) -> bool:
    """Whether words are just a name, with "a" or "the" at most: "a city at night", 设置."""
    name = _ARTICLE.sub("", words)
    return name in TaughtNames() or name in _names(_lang(words))


def has_drawable_name(words: str) -> bool:
    """Whether the words for a thing, or some that follow each other in them, are a drawable name.

    Of a longer Chinese word, one character at its end may be: 墨水笔 a 笔, but 桌子 no 子.
    """
    name = bare(words)
    if _lang(name) == "en":
        return any(is_drawable(" ".join(part)) for part in _parts(name.split(" ")))
    parts = (part for part in _parts(name) if len(part) > 1)
    ends = [name, name[-1:]]
    is_end = any(end in TaughtNames() or end in _names("zh") for end in ends)
    is_end |= "的" in name and name.rpartition("的")[2] in TaughtThings()
    return is_end or any(is_drawable(part) for part in parts)


def _parts(words: _Words) -> Iterator[_Words]:
    """All runs of words."""
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1):
            yield words[start:end]


def is_drawable(name: str) -> bool:
    """Whether captions say a name or its singular, or another name stands for it."""
    each, table = (name, bare(name), singular(name)), _names(_lang(name))
    return any(
        one in TaughtNames() or one in table or look_up(one) is not None for one in each
    ) or any(one in TaughtThings() and not one.endswith("ing") for one in each)


def wider_name(words: str) -> tuple[str, str] | None:
    """The name of a thing and a wider one that is drawn in its place: "poodle", "dog".

    None if the thing is drawn by its own name, by one that means the same, or if none is known.
    """
    head = _head(words)
    found = None if _by_hand(head) else _by_thesaurus(head)
    return (found.said, found.name) if found and found.is_wider else None


def is_named(words: str) -> bool:
    """Whether words end with a name that captions say, or that the table by hand has."""
    return _by_hand(words) is not None


def names_by_hand(lang: str) -> dict[str, list[str]]:
    """Other words for names, "en" or "zh", as they were written by hand."""
    found: dict[str, list[str]] = {}
    for said, name in _names(lang).items():
        found.setdefault(name.lower(), []).append(said)
    return found


def _whole_name(words: str) -> str | None:
    """What captions say for words that are one name of the table by hand: "a city at night"."""
    article = _ARTICLE.match(words)
    before = article[0].split() if article else []
    found = _names(_lang(words)).get(_ARTICLE.sub("", words))
    return found and " ".join([*_agreeing(before, found), found])


@dataclass(frozen=True)
class _Tail:
    """The end of some words that is a name, and what is said in its place."""

    before: list[str]
    said: str
    name: str  # the same as `said` if captions say it
    is_wider: bool = False


def _head(words: str) -> str:
    """The words for a thing up to what it has with it."""
    end = _HEAD_ENDS.search(words)
    return words[: end.start()] if end else words


def _named_anew(words: str) -> str | None:
    """Words with their longest last part that is a name replaced; None if nothing is."""
    found = _by_hand(words) or _by_thesaurus(words)
    if found is None or found.said == found.name:
        return None
    joint = " " if _lang(words) == "en" else ""
    return joint.join([*_agreeing(found.before, found.name), found.name])


def _by_hand(words: str) -> _Tail | None:
    """The longest last part that captions say, or that stands in the table by hand."""
    known, names = TaughtNames(), _names(_lang(words))
    for before, name, single in _tails(words):
        if found := names.get(name) or names.get(single):
            return _Tail(before, name, found)
        if name in known or single in known:
            return _Tail(before, name, name if name in known else single)
    return None


def _by_thesaurus(words: str) -> _Tail | None:
    """The longest last part that the thesaurus has. A part of a Chinese compound is no word."""
    is_chinese = _lang(words) == "zh"
    for before, name, single in _tails(words):
        if is_chinese and before and before[-1] != "的" and bare(words) != name:
            continue
        if found := look_up(name) or look_up(single):
            return _Tail(before, name, found.name, found.is_wider)
    return None


def _tails(words: str) -> Iterator[tuple[list[str], str, str]]:
    """The ends of some words, the longest first: what is before, the end, and its singular."""
    english = _lang(words) == "en"
    parts = words.split(" ") if english else list(words)
    for start in range(len(parts)):
        name = (" " if english else "").join(parts[start:])
        yield parts[:start], name, singular(name) if english else name


def _lang(words: str) -> str:
    return "zh" if _HAN.search(words[-1:]) else "en"  # 蓝色的 car has an English name


def _agreeing(before: list[str], name: str) -> list[str]:
    """The words before a name, with the article that goes with it."""
    if not before or before[-1] not in ("a", "an"):
        return before
    return [*before[:-1], "an" if name[:1].lower() in "aeio" else "a"]


@cache
def _names(lang: str) -> dict[str, str]:
    table = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return {said: name for name, others in table[lang].items() for said in others}
