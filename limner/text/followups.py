"""Follow-ups: messages such as "make it blue", which change a picture and lack its subject."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from limner.text import shades, wording

_PLEASE = r"(?:(?:now|and|but|then|please|can you|could you|would you|ok)[, ]+)*"
_IT = (
    r"(?:it|this|that|them|they|these|those|him|her|everything|the (?:picture|image|drawing|thing))"
)
_GROUND = re.compile(r"(?i)\b(?:back(?:ground|drop)|behind|ground|sky)\b|背景|后面")
_END = r"(?:[,\s]+(?:instead|now|please|all over))*\s*[.!。！]*"
_CHANGES = re.compile(
    rf"(?i)^\s*{_PLEASE}(?:make|turn|change|paint|colou?r|tint|dye|draw)\s+{_IT}\b"
    r"|\binstead\s*[.!]*$|^\s*请?(?:再)?(?:把|将)(?:它|他|她|这|那)|[变改换](?:成|为)"
)
_OTHER_THING = re.compile(
    rf"(?i)^\s*{_PLEASE}(?:make|turn|change)\s+{_IT}\s+(?:in)?(?:to\s+)?(?P<thing>an?\s+.+?){_END}$"
)


@dataclass(frozen=True)
class Recolouring:
    """A prompt that ends with the wish for another colour."""

    before: str  # what comes before that: the subject; may be empty
    colour: str  # one of the eleven basic colours
    exact: shades.Rgb | None = None  # the colour itself, if it is not the usual one of that name
    said: str = ""  # the words for it


def recolouring(prompt: str) -> Recolouring | None:
    """What a prompt such as "a red apple, make it blue" asks for; None if it is no such prompt."""
    for pattern, lang in ((_english(), "en"), (_chinese(), "zh")):
        if match := pattern.fullmatch(prompt.strip()):
            colour, exact = shades.colour_of(match["colour"], lang)
            said = colour if exact is None or lang == "zh" else match["colour"]
            return Recolouring((match["before"] or "").strip(" ,，;"), colour, exact, said)
    return None


def joined(earlier: str | None, message: str) -> str:
    """The prompt of a follow-up: the earlier one with the change; `message` if there is none.

    "turn it into a pear" names its subject, and replaces the earlier prompt.
    """
    if not earlier or earlier == message:
        return message
    return other_thing(message) or f"{earlier.rstrip(' .,;')}, {message}"


def applied(prompt: str) -> str:
    """A prompt with its wishes for another colour applied: "a blue apple"; others as they are.

    Empty if there is nothing but the wish.
    """
    found = recolouring(prompt)
    if found is None:
        return prompt
    before, _ = shades.in_basic_colours(applied(found.before))
    if not before:
        return ""
    changed = wording.in_colour(before, found.colour)
    return changed.replace(found.colour, found.said, 1)


def changes_subject(message: str) -> bool:
    """Whether a follow-up is about the subject of a picture, and not about what is around it."""
    return _CHANGES.search(message) is not None and _GROUND.search(message) is None


def other_thing(message: str) -> str | None:
    """The thing that a follow-up such as "turn it into a pear" wants instead: "a pear"."""
    match = _OTHER_THING.fullmatch(message.strip())
    if match is None or _GROUND.search(message) or recolouring(message):
        return None
    return match["thing"]


@cache
def _english() -> re.Pattern[str]:
    colours = shades.any_colour("en")
    verb = r"(?:make|turn|paint|colou?r|tint|dye|change)"
    return re.compile(
        rf"(?is)(?:(?P<before>.*?)[,.;，]\s*|^){_PLEASE}"
        rf"{verb}\s+{_IT}(?:\s+(?:in|to|into))?\s+(?:(?:a|the)\s+)?"
        rf"(?P<colour>{colours})(?:\s+colou?r)?{_END}"
    )


@cache
def _chinese() -> re.Pattern[str]:
    colours = shades.any_colour("zh")
    return re.compile(
        rf"(?s)(?:(?P<before>.*?)[,，。;；]\s*|^)请?(?:再)?(?:把|将)?(?:它|它们|这个|那个|整个)?"
        rf"(?:变|改|换|涂|画|染)(?:成|为)?(?P<colour>{colours})色?的?[.。！!]*"
    )
