"""Words for the medium and the style of a picture, which its thing is drawn without.

"A watercolour painting of a bird" asks for a bird, not for a painting as well, and "a cat in the
style of Monet" for a cat. Captions of illustrations have no such words.
"""

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from limner.text import wording
from limner.text.known_names import TaughtNames

_ARTICLE = r"(?:(?:an?|the|some|one)\s+)?"
_REQUEST = (
    r"(?:(?:please\s+)?(?:draw|paint|make|create|generate|design|show|give|produce|render)\s+"
    r"(?:me\s+|us\s+)?)?"
)
_OF = r"\s+(?:of|showing|depicting)\s+"
# What is said of a style, up to the next stop or the end. Blanks are counted, so that a prompt of
# blanks is read in linear time.
_DONE = r"(?:\s?,)?\s(?:(?:painted|drawn|rendered|made|done)\s)?"
_END = r"(?=\s?(?:[,.;]|$))"
_STYLE_OF = re.compile(rf"(?i){_DONE}(?:in|after) the (?:art )?(?:style|manner) of [^,.;]+")
_IN_STYLE = re.compile(
    rf"(?i)(?:{_DONE}in (?:an? |the )?|\s?,\s?)(?:[^\s,.;]{{1,30}} ){{1,3}}style{_END}"
)
_LENS = re.compile(rf"(?i)\s?,\s?\d{{1,4}}\s?mm(?: (?:lens|film|photo|photography))?{_END}")
_HAN = r"[\u3400-\u9fff]"
_CHINESE_STYLE = re.compile(
    r"[，,、]\s?[\u3400-\u9fffA-Za-z]{1,8}风格的?(?=$|[，,、。])"
    rf"|(?<=[{wording.MEASURES}]){_HAN}{{1,6}}风格的(?=.)|^(?!一){_HAN}{{1,6}}风格的(?=.)"
)


def without_medium(prompt: str) -> tuple[str, str]:
    """The prompt without the words for a medium, and those that no illustration is; "" if none.

    "an oil painting of a dog" gives "a dog" and "oil painting", "a drawing of a dog" the dog alone.
    """
    if match := _english().match(prompt):
        words = match["medium"]
        left = match["request"] + prompt[match.end() :]
        return left, words if _others().search(words) else ""
    match = _chinese().fullmatch(prompt)
    if match and prompt not in TaughtNames():
        medium = match["medium"]
        return match["thing"], medium if medium in _table()["zh"]["others"] else ""
    return prompt, ""


def without_style(prompt: str) -> tuple[str, str]:
    """The prompt without the words for a style, and these; for prompts that name none of a model's.

    "a cat in the style of Monet", "a fox, Pixar style", 梵高风格的猫.
    """
    left, words = prompt, ""
    for pattern in (_STYLE_OF, _IN_STYLE, _LENS, _CHINESE_STYLE):
        match = pattern.search(left)
        rest = "" if match is None else (left[: match.start()] + left[match.end() :]).strip()
        if match is not None and rest:
            left, words = rest, words or match[0].strip(" ,，、的")
    return left, words


@cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        Path(__file__).with_name("mediums.json").read_text(encoding="utf-8")
    )
    return found


def _any(words: Iterable[str]) -> str:
    """A pattern of any of the words, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


@cache
def _english() -> re.Pattern[str]:
    drawn, others = _table()["drawn"], _table()["others"]
    before = _any([*drawn["before"], *others["before"]])
    kinds = _any([*drawn["kinds"], *others["kinds"]])
    return re.compile(
        rf"(?i)(?P<request>{_REQUEST}){_ARTICLE}"
        rf"(?P<medium>(?:(?:{before}),?\s+){{0,6}}(?:{kinds})s?){_OF}(?=\S)"
    )


@cache
def _others() -> re.Pattern[str]:
    others = _table()["others"]
    return re.compile(rf"(?i)\b(?:{_any([*others['before'], *others['kinds']])})")


@cache
def _chinese() -> re.Pattern[str]:
    table = _table()["zh"]
    kinds = _any([*table["drawn"], *table["others"]])
    return re.compile(rf"(?:一?[张幅副])?(?P<thing>{_HAN}+?)的(?P<medium>{kinds})")
