"""Forms of prompts that no caption has, said as captions say them.

"“a red apple”" -> "a red apple", "a cat (black)" -> "a black cat", 太阳（黄色） -> 黄色的太阳,
"蓝色的 car" -> "a blue car". A prompt without such a form stays as it is, to the letter.
"""

import re
from functools import cache

from limner.text import wording
from limner.text.colour_lists import one_thing_a_colour

_MARKS = re.compile(r"[“”„«»「」『』《》【】*_`~#]|(?<![\w])[\"']|[\"'](?![\w])|[\[\]{}]")
_ENDS = re.compile(r"[\s?？]+$")
_EITHER = re.compile(r"(?<=[A-Za-z])\s*/\s*(?=[A-Za-z])")
_BETWEEN = re.compile(r"(\s+(?:and|with|next to|beside)\s+|\s*[;；。]\s*|[和与跟])", re.I)
# "A woman in red" wears red; "a car in red" is red.
_WEARER_IN = re.compile(
    r"(?i)(?:men|man|person|people|boys?|girls?|child|children|kids?|lady|ladies|guys?|bride|groom|"
    r"couple|dancers?)\s+in\s+\w+$"
)
_OF = re.compile(r"(?<=[A-Za-z])\s*的\s*(?=[A-Za-z])")
_AND = re.compile(r"(?<=[A-Za-z])\s*[和与跟]\s*(?=[A-Za-z])")
_NUMBERS = {"一": "a", "两": "two", "二": "two", "三": "three", "四": "four", "五": "five"}


def reworded(prompt: str) -> str:
    """The prompt in the words of captions."""
    said = _ENDS.sub("", _MARKS.sub("", prompt).strip())
    if not said:
        return prompt
    said = one_thing_a_colour(said)
    said = _two_colours().sub(r"\1 ", _EITHER.sub(" and ", said))
    said = _in_english(said)
    parts = _BETWEEN.split(said)
    said = "".join(_colour_first(part) if i % 2 == 0 else part for i, part in enumerate(parts))
    return said if said != prompt.strip() else prompt


def _colour_first(part: str) -> str:
    """The words for a thing whose colour comes after it: "a cat, black", 苹果（红色）."""
    for pattern, lang in ((_english_after(), "en"), (_chinese_after(), "zh")):
        match = pattern.fullmatch(part)
        if match and not _WEARER_IN.search(part):
            return wording.in_colour(match["thing"], wording.colour_named(match["colour"], lang))
    return part


def _in_english(prompt: str) -> str:
    """Chinese numbers and colours before English words, in English: 一只 cute 的 cat."""

    def number(match: re.Match[str]) -> str:
        return f"{_NUMBERS[match['number']]} "

    def colour(match: re.Match[str]) -> str:
        name = wording.colour_named(match["colour"], "zh")
        article = (match["article"] or "a").strip()
        if article.lower() in ("a", "an"):
            article = wording.article_of(name)
        return f"{article} {name} "

    said = _number_before_english().sub(number, prompt)
    said = _colour_before_english().sub(colour, said)
    said = _OF.sub(" ", said)
    return _AND.sub(" and ", said)


@cache
def _two_colours() -> re.Pattern[str]:
    """Colours of one thing, of which one can be painted: "a black and white cat"."""
    colours = wording.any_colour("en")
    others = rf"(?:\s?,\s?(?:{colours})){{0,6}}\s?,?"
    return re.compile(rf"(?i)\b({colours}){others}\s+and\s+(?:{colours})\s+(?=[a-z])")


@cache
def _english_after() -> re.Pattern[str]:
    colours = wording.any_colour("en")
    return re.compile(
        r"(?i)(?P<thing>[a-z][a-z' -]*[a-z])"
        rf"(?:\s*,\s*|\s*\(\s*|\s*:\s*|\s+-\s+|\s+in\s+)(?P<colour>{colours})(?:\s+colou?r)?\s*\)?"
    )


@cache
def _chinese_after() -> re.Pattern[str]:
    colours = wording.any_colour("zh")
    return re.compile(
        rf"(?P<thing>[\u3400-\u9fff]+)\s*(?:[,，、:：]|[(（])\s*(?P<colour>{colours})色?的?\s*[)）]?"
    )


@cache
def _number_before_english() -> re.Pattern[str]:
    return re.compile(rf"(?P<number>[{''.join(_NUMBERS)}])[{wording.MEASURES}]\s*(?=[A-Za-z])")


@cache
def _colour_before_english() -> re.Pattern[str]:
    colours = wording.any_colour("zh")
    articles = r"(?P<article>\b(?:an?|the|one|two|three|four|five)\s+)?"
    return re.compile(rf"(?i){articles}(?P<colour>{colours})色?的?\s*(?=[a-z])")
