"""Colours beyond the eleven that captions say: "teal", "light blue", "#1abc9c", 浅蓝色.

A prompt is read with the basic colour in their place, and the exact one is painted.
"""

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from limner.text import wording
from limner.text.known_names import TaughtNames

Rgb = tuple[int, int, int]

_ARTICLE, _NEXT_WORD = re.compile(r"^an?\s"), re.compile(r"\s?[\w-]+")
_HEX = r"#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})(?![0-9a-zA-Z])"


def in_basic_colours(prompt: str) -> tuple[str, dict[str, Rgb]]:
    """The prompt in basic colours, and the exact colour of those that it says otherwise.

    A basic colour that stands for two of a prompt ("a blue car and a light blue house") has no
    exact one.
    """
    said: dict[str, set[Rgb | None]] = {}

    def basic(match: re.Match[str]) -> str:
        name, rgb = _colour(match)
        said.setdefault(name, set()).add(rgb)
        if rgb is None:
            return match[0]
        if match.re is _chinese():
            return f"{wording.said_in_chinese(name)}色"
        if not match["article"]:
            return name
        return f"{match['article'][0]}{wording.article_of(name)[1:]} {name}"

    for pattern in (_english(), _chinese()):
        prompt = pattern.sub(lambda m: m[0] if _is_taught(m) else basic(m), prompt)
    exact = {name: next(iter(found)) for name, found in said.items() if len(found) == 1}
    return prompt, {name: rgb for name, rgb in exact.items() if rgb is not None}


def any_colour(lang: str) -> str:
    """A pattern of the words for any colour in a language, "en" or "zh", without 色."""
    pattern = _named_pattern(lang)
    return re.sub(r"\(\?P<\w+>", "(?:", pattern if lang == "zh" else f"{_HEX}|{pattern}")


def colour_of(said: str, lang: str) -> tuple[str, Rgb | None]:
    """The basic colour that words of `any_colour` stand for, and the exact one if it is another."""
    match = _chinese().fullmatch(f"{said}色") if lang == "zh" else _english().fullmatch(said)
    assert match is not None
    return _colour(match)


def _colour(match: re.Match[str]) -> tuple[str, Rgb | None]:
    """The basic colour that a match stands for, and the exact one; None if it is the basic one."""
    said = match.groupdict()
    if said.get("hex"):
        return _nearest(rgb := _rgb(said["hex"])), rgb
    lang = "zh" if match.re is _chinese() else "en"
    if said["name"]:
        return _named(lang)[said["name"].lower()]
    name = wording.colour_named(said["basic"], lang)
    if not said["shade"]:
        return name, None
    table = _table()["words" if lang == "en" else "signs"]
    shade = next(shade for shade, words in table.items() if said["shade"].lower() in words)
    code = _table()["shades"][shade].get(name)
    return name, None if code is None else _rgb(code)


def _is_taught(match: re.Match[str]) -> bool:
    """Whether a colour is a part of a taught name: "a light blue heart"."""
    after = _NEXT_WORD.match(match.string, match.end())
    whole = match[0] + (after[0] if after else "")
    return _ARTICLE.sub("", whole.lower()) in TaughtNames()


def _nearest(rgb: Rgb) -> str:
    """The basic colour of the known one that is nearest in RGB."""
    tables: list[dict[str, str]] = [_table()["basic"], *_table()["shades"].values()]
    known = [(name, _rgb(code)) for table in tables for name, code in table.items()]
    known += _named("en").values()
    return min(known, key=lambda one: math.dist(one[1], rgb))[0]


def _rgb(code: str) -> Rgb:
    """The channels of "#1abc9c" or "#1bc"."""
    digits = code[1:] if len(code) == 7 else "".join(2 * digit for digit in code[1:])
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


@cache
def _english() -> re.Pattern[str]:
    return re.compile(
        rf"(?i)(?P<article>\ban?\s+)?(?:(?P<hex>{_HEX})|\b(?:{_named_pattern('en')})"
        r"(?:[\s-]colou?red)?(?![\w-]))"
    )


@cache
def _chinese() -> re.Pattern[str]:
    return re.compile(f"(?:{_named_pattern('zh')})色")


def _named_pattern(lang: str) -> str:
    """The name of a further colour, or a basic one with a shade or without."""
    if lang == "zh":
        shade = f"(?P<shade>[{''.join(_table()['signs'].values())}])?"
    else:
        words = "|".join(word for words in _table()["words"].values() for word in words)
        shade = rf"(?:(?P<shade>{words})[\s-])?"
    basic = wording.any_colour(lang)
    return f"(?P<name>{_any(_named(lang))})|{shade}(?P<basic>{basic})"


def _any(words: Mapping[str, object]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


@cache
def _named(lang: str) -> dict[str, tuple[str, Rgb]]:
    """Further colours by their names: the basic one, and the exact one."""
    table: dict[str, dict[str, str]] = _table()[lang]
    return {
        said: (name, _rgb(code)) for name, codes in table.items() for said, code in codes.items()
    }


@cache
def _table() -> dict[str, Any]:
    path = Path(__file__).with_suffix(".json")
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table
