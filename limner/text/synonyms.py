"""Common names of things as training captions say them: "a red car" becomes "a red automobile".

A small model draws the words that its captions say much better than other words for the same
thing. The table was written by hand from everyday words; it does not come from the training data.
"""

import json
import re
from functools import cache
from pathlib import Path

from limner.text.known_names import TaughtNames
from limner.text.phrases import singular

_HAN = re.compile(r"[\u3400-\u9fff]")
_HEAD_ENDS = re.compile(
    r"[,;:.!?、。，；：！？]|\s(?:with|without|of|in|on|over|under|by|near|beside|from|at|for|to|and|"
    r"wearing|holding)\s"
)


_PORTION = re.compile(
    r"^(?:\w+ )*(?:cup|mug|glass|pint|slice|piece|bowl|loaf|bunch|stack|pile|jar|bag|bolt|bottle)"
    r" of \w+$"
)


def as_taught(words: str) -> str:
    """The words for one thing with the name that captions say, if they say another than `words`.

    Only the name at the end of the phrase changes: "a toy car with wings" -> "a toy automobile
    with wings", 红色的小车 -> 红色的汽车. A name that captions say stays: "a police car".
    """
    if match := _PORTION.search(words):  # "a cup of tea" is one name
        return words if (said := _named_anew(match[0])) is None else said
    end = _HEAD_ENDS.search(words)
    head = words[: end.start()] if end else words
    said = _named_anew(head)
    return words if said is None else said + words[len(head) :]


def _named_anew(words: str) -> str | None:
    """Words with their longest last part that is a name replaced; None if nothing is."""
    lang = "zh" if _HAN.search(words[-1:]) else "en"  # 蓝色的 car has an English name
    known, names = TaughtNames(), _names(lang)
    joint = " " if lang == "en" else ""
    parts = words.split(" ") if lang == "en" else list(words)
    for start in range(len(parts)):
        name = joint.join(parts[start:])
        single = singular(name) if lang == "en" else name
        if found := names.get(name) or names.get(single):
            return joint.join([*_agreeing(parts[:start], found), found])
        if name in known or single in known:
            return None
    return None


def _agreeing(before: list[str], name: str) -> list[str]:
    """The words before a name, with the article that goes with it."""
    if not before or before[-1] not in ("a", "an"):
        return before
    return [*before[:-1], "an" if name[:1].lower() in "aeio" else "a"]


@cache
def _names(lang: str) -> dict[str, str]:
    table = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return {said: name for name, others in table[lang].items() for said in others}
