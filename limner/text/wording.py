"""The words for one thing as training captions say them.

Captions say "a black guitar" and 黑色的吉他. Told "black guitar" or 黑吉他, a small model hears the
noun and not the colour (docs/experiments.md, 2026-11-26). So a colour is said as captions say it.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

_HAN = re.compile(r"[\u3400-\u9fff]")
_SIZES = r"(?:(?:big|large|small|tiny|little|huge|cute|shiny)\s+)*"
_SHADES = r"(?:(?:light|dark|bright|pale|deep)\s+)?"
_BEFORE_NOUN = r"an?|the|my|this|these|one|two|three|four|five|six|\d+|some|several"
MEASURES = (
    "个只条头匹张把辆架艘座棵朵颗杯碗盘块片本支根件顶台部间栋扇盏口幅瓶枚粒束株位名串份封轮面双"
)
_NUMBER = rf"(?:[一1这那][{MEASURES}]?)?"
_NO_ARTICLE = re.compile(r"(?:[^s]s|people|men|women|children|hair|bread|money|rice)$")
_HEAD_ENDS = re.compile(
    r"\s(?:with|without|of|in|on|from|at|for|to|and|wearing|holding|full|made)\s"
)


def as_captions_say(words: str) -> str:
    """The words for one thing with the colour as training captions say it; else as they are.

    "black guitar" -> "a black guitar", "a gray cat" -> "a grey cat", 黑吉他 -> 黑色的吉他.
    """
    return _chinese(words) if _HAN.search(words) else _english(words)


def split_colour(words: str) -> tuple[str, str] | None:
    """The colour of a thing, and its words without it; None if they begin with no plain colour.

    "a black guitar" -> ("black", "a guitar"), 黑色的吉他 -> ("black", 吉他). A shade such as
    "dark blue" is no plain colour.
    """
    said = as_captions_say(words)
    if _HAN.search(words):
        found, asked = _chinese_colour().match(said), _chinese_colour().match(words)
        if found is None or asked is None or not found["particle"]:
            return None
        if asked.end("before") < asked.start("colour"):  # a shade
            return None
        return _name_of(found["colour"], "zh"), found["before"] + said[found.end() :]
    match = _english_colour().match(said)
    if match is None or match["shade"]:
        return None
    phrase = match["sizes"] + said[match.end() :].lstrip()
    article = match["article"].strip()
    if article.lower() in ("a", "an"):
        article = article_of(phrase)
    return _name_of(match["colour"], "en"), f"{article} {phrase}".lstrip()


def names_colour(words: str) -> bool:
    """Whether words name a colour anywhere, one of the eleven or another ("golden", 银)."""
    english = set(re.findall(r"[a-z]+", words.lower()))
    others = _table()["others"]
    if english & {*others["en"], *(part for name in _colours("en") for part in name.split())}:
        return True
    return any(sign in words for sign in (*others["zh"], *_colours("zh")))


def colour_of_ground(ground: str) -> str | None:
    """The colour that the words of a ground name, or that stands for its scenery."""
    table = _table()
    if not _HAN.search(ground):
        said = re.findall(r"[a-z]+", ground.lower())
        for kind in ("names", "scenery"):
            for word in said:
                for name, words in table[kind].items():
                    if word in words["en"]:
                        return str(name)
        return None
    signs = [
        (sign, name)
        for kind in ("names", "scenery")
        for name, words in table[kind].items()
        for sign in words["zh"]
    ]
    return next((name for sign, name in signs if sign in ground), None)


def in_colour(words: str, colour: str) -> str:
    """The words for one thing in another colour: "a red apple" in blue is "a blue apple"."""
    if _HAN.search(words):
        match = _chinese_colour().match(words)
        rest = words[match.end() :] if match else words
        number = re.match(_NUMBER, rest)
        before = match["before"] if match else number[0] if number else ""
        rest = rest if match else rest[len(before) :]
        return f"{before}{said_in_chinese(colour)}色的{rest}"
    said = re.search(rf"(?i)\b(?:{'|'.join(_colours('en'))})\s+(?=[a-z])", words)
    start = said or re.match(rf"(?i)(?:(?:{_BEFORE_NOUN})\s+)?{_SIZES}", words)
    assert start is not None  # the second pattern matches any words
    phrase = f"{words[: start.start() if said else start.end()]}{colour} {words[start.end() :]}"
    return re.sub(
        r"(?i)^(a)n?\s+(.*)", lambda m: f"{article_of(m[2])} {m[2]}", phrase, flags=re.DOTALL
    )


def colour_named(word: str, lang: str) -> str:
    """The basic colour that `word` names; one of `any_colour`."""
    return _name_of(word, lang)


def said_in_chinese(colour: str) -> str:
    """The character for a basic colour, without 色."""
    return str(_table()["names"][colour]["zh"][0])


def any_colour(lang: str) -> str:
    """A pattern of the words for colours in a language, "en" or "zh"; the longest match first."""
    return "|".join(sorted(_colours(lang), key=len, reverse=True))


def scenery_words(lang: str) -> list[str]:
    """The words, in Chinese signs, for plain scenery that a colour stands for: "meadow", 草."""
    return [word for words in _table()["scenery"].values() for word in words[lang]]


def _english(words: str) -> str:
    match = _english_colour().match(words)
    if match is None:
        return words
    name = _name_of(match["colour"], "en")
    rest = words[match.end() :]
    before, article = match["sizes"], match["article"]
    phrase = f"{before}{match['shade']}{name}{rest}"
    if article.strip():
        # "a orange" and "an grey" come about where one word stands for another.
        said = article_of(phrase) if article.strip().lower() in ("a", "an") else article.strip()
        return f"{said} {phrase}"
    if _NO_ARTICLE.search(_HEAD_ENDS.split(rest, maxsplit=1)[0]):
        return phrase
    return f"{article_of(phrase)} {phrase}"


def article_of(phrase: str) -> str:
    """The indefinite article before a phrase: "a" or "an"."""
    return "an" if phrase[:1].lower() in "aeiou" else "a"


def _chinese(words: str) -> str:
    match = _chinese_colour().match(words)
    if match is None:
        return words
    said = words[match.start("colour") :]
    if not match["particle"] and said.startswith(tuple(_table()["zh_nouns"])):
        return words
    name = _table()["names"][_name_of(match["colour"], "zh")]["zh"][0]
    return f"{match['before']}{name}色的{words[match.end() :]}"


@cache
def _english_colour() -> re.Pattern[str]:
    colours = any_colour("en")
    return re.compile(
        rf"(?P<article>(?:(?:an?|the|one|my|this)\s+)?)(?P<sizes>{_SIZES})(?P<shade>{_SHADES})"
        rf"(?P<colour>{colours})(?=\s+[a-z])",
        re.IGNORECASE,
    )


@cache
def _chinese_colour() -> re.Pattern[str]:
    colours = any_colour("zh")
    return re.compile(
        rf"(?P<before>{_NUMBER}(?:大的?|小的?)?)[深浅亮]?+(?P<colour>{colours})色?+(?P<particle>的?+)"
        r"(?=[\u3400-\u9fff])"
    )


def _name_of(said: str, lang: str) -> str:
    names: dict[str, dict[str, list[str]]] = _table()["names"]
    return next(name for name, words in names.items() if said.lower() in words[lang])


def _colours(lang: str) -> list[str]:
    return [word for words in _table()["names"].values() for word in words[lang]]


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(
        Path(__file__).with_name("colours.json").read_text(encoding="utf-8")
    )
    return table
