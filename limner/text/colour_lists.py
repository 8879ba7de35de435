"""One noun with several colours, said as several things.

"red, blue and green balloons" -> "a red balloon, a blue balloon and a green balloon", "two cars,
one red and one blue" -> "a red car and a blue car", 红色和蓝色的气球 -> 红色的气球和蓝色的气球.
What is black and white is one thing, and so are "a red and white flag" and what a thing has ("with
red and blue stripes").
"""

import re
from collections.abc import Sequence
from functools import cache

from limner.text import phrases, wording

_NUMBER = r"(?:two|three|four|five|six|seven|eight|\d+|some|several)"
_ONE_PATTERN = {"black", "white"}  # of cats, photos and the like


def one_thing_a_colour(prompt: str) -> str:
    """The prompt with a thing for each colour of a list; as it is if it has no such list."""
    for pattern in (_before(), _of_both(), _after()):
        prompt = pattern.sub(_english, prompt)
    for pattern in (_chinese_before(), _chinese_after()):
        prompt = pattern.sub(_chinese, prompt)
    return _other_one().sub(r"\g<first> \g<thing>\g<between>\g<second> \g<thing>", prompt)


def _english(match: re.Match[str]) -> str:
    colours = re.findall(rf"(?i)\b(?:{wording.any_colour('en')})\b", match["colours"])
    if {colour.lower() for colour in colours} == _ONE_PATTERN:
        return match[0]
    thing = phrases.singular(match["thing"])
    return _joined([f"{wording.article_of(c)} {c} {thing}" for c in colours], ", ", " and ")


def _chinese(match: re.Match[str]) -> str:
    colours = re.findall(wording.any_colour("zh"), match["colours"])
    return _joined([f"{colour}色的{match['thing']}" for colour in colours], "、", "和")


def _joined(things: Sequence[str], comma: str, last: str) -> str:
    return comma.join(things[:-1]) + last + things[-1]


def _list(item: str) -> str:
    """A pattern of two items or more: "x and x", "x, x and x"."""
    return rf"{item}(?:\s?,\s?{item}){{0,6}}\s?,?\sand\s{item}"


@cache
def _before() -> re.Pattern[str]:
    colours = _list(rf"(?:{wording.any_colour('en')})")
    return re.compile(
        rf"(?i)(?<!\bwith\s)(?<!\bin\s)(?<!\bof\s)\b(?:{_NUMBER}\s)?(?P<colours>{colours})\s"
        r"(?P<thing>(?:[a-z]{0,20}[a-rt-z]\s){0,2}[a-z]{1,20}s)\b"
    )


@cache
def _of_both() -> re.Pattern[str]:
    colours = _list(rf"an?\s(?:{wording.any_colour('en')})")
    return re.compile(rf"(?i)\b(?P<colours>{colours})\s(?P<thing>[a-z]{{1,20}})\b")


@cache
def _after() -> re.Pattern[str]:
    colours = _list(rf"(?:one\s(?:is\s)?)?(?:{wording.any_colour('en')})")
    return re.compile(
        rf"(?i)\b{_NUMBER}\s(?P<thing>[a-z][a-z ]{{0,30}}s)\s?[,:(-]\s?(?P<colours>{colours})\b"
        r"\s?\)?(?=\s?(?:[,.;]|$))"
    )


@cache
def _other_one() -> re.Pattern[str]:
    colour = rf"an?\s(?:{wording.any_colour('en')})"
    return re.compile(
        rf"(?i)\b(?P<first>{colour})\s(?P<thing>[a-z]{{1,20}})"
        rf"(?P<between>\s(?:[a-z]{{1,20}}\s){{1,4}})(?P<second>{colour})\sone\b"
    )


@cache
def _chinese_before() -> re.Pattern[str]:
    colour = rf"(?:{wording.any_colour('zh')})色"
    return re.compile(
        rf"(?P<colours>{colour}(?:[、，]{colour}){{0,6}}[和与跟、]{colour})的(?P<thing>[\u3400-\u9fff]{{1,8}})"
    )


@cache
def _chinese_after() -> re.Pattern[str]:
    colour = rf"(?:{wording.any_colour('zh')})色?"
    return re.compile(
        rf"[两二三四五六七八][{wording.MEASURES}](?P<thing>[\u3400-\u9fff]{{1,6}})[：:，,（(]"
        rf"(?P<colours>{colour}(?:[、，,和]{colour}){{1,7}})[)）]?(?=$|[。，,])"
    )
