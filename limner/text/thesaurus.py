"""Words that the weights were not taught, by the names that they were: "spaniel" by "dog".

The English words of the table come from WordNet, the Chinese ones from jieba's dictionary
(limner/data/thesaurus); names in synonyms.json, written by hand, go before it. Some of its names
mean the same as the word, and some are what the word is a kind of.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Found:
    """The name that stands for a word."""

    name: str
    is_wider: bool  # the word is a kind of it, so the picture shows less than was asked


def look_up(word: str) -> Found | None:
    """What stands for a bare word in lower case; None if the table lacks it."""
    return _table().get(word)


@cache
def _table() -> dict[str, Found]:
    path = Path(__file__).with_suffix(".json")
    table = json.loads(path.read_text(encoding="utf-8"))
    return {
        word: Found(name, is_wider)
        for part, is_wider in (("kinds", True), ("same", False))
        for name, words in table[part].items()
        for word in words.split(", ")
    }
