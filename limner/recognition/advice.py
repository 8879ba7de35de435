"""Advice on what to try next, as values that a program can apply, and a description in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from limner.data import colours
from limner.planning.plan import Reading
from limner.recognition.areas import Subject
from limner.recognition.checks import Check
from limner.recognition.names import NameMatch

BEST_OF = 8
_NAMES_NOTHING = re.compile(  # what may be left when the noun is dropped
    rf"(?i)(?:\b(?:a|an|the|of|in|on|and|with|big|small|tiny|huge|{'|'.join(colours.NAMES)})\b|[\s,])*"
)
_LIKELY = 0.02  # margin below which the first name is only a guess


@dataclass(frozen=True)
class Advice:
    """One change to a request."""

    do: Literal["drop_words", "list_things", "best_of", "new_seed", "draw_apart"]
    text: str
    values: dict[str, Any] = field(default_factory=dict)  # parameters to send


def advise(
    asked: str, reading: Reading, found: Sequence[Check], unknown: Sequence[str]
) -> tuple[Advice, ...]:
    """Suggested changes, the most promising first."""
    tips = []
    if unknown and (prompt := without(asked, unknown)):
        dropped = ", ".join(f"'{word}'" for word in unknown)
        tips.append(Advice("drop_words", f"drop {dropped}", {"prompt": prompt}))
    if prompt := _listed(asked, reading, found):
        tips.append(Advice("list_things", f"say '{prompt}'", {"prompt": prompt}))
    tips.append(Advice("best_of", f"best_of {BEST_OF}", {"best_of": BEST_OF}))
    tips.append(Advice("new_seed", "another seed", {"seed": None}))
    missed = any(check.what == "count" and check.is_failed for check in found)
    if missed and len(reading.things) > 1:
        prompts = [thing.words for thing in reading.things]
        tips.append(Advice("draw_apart", "draw each thing alone", {"prompts": prompts}))
    return tuple(tips)


def _listed(asked: str, reading: Reading, found: Sequence[Check]) -> str:
    """The things of a sentence as a plain list, if one of them is missing; else empty.

    A relation or a background would be lost, so a prompt that has one stays as it is.
    """
    is_plain = len(reading.things) > 1 and not (reading.relations or reading.ground)
    if not is_plain or all(check.is_met for check in found):
        return ""
    is_chinese = any("\u3400" <= c <= "\u9fff" for c in asked)
    prompt = ("和" if is_chinese else " and ").join(thing.words for thing in reading.things)
    return "" if prompt == asked.lower().strip(" .") else prompt


def without(asked: str, unknown: Sequence[str]) -> str:
    """A prompt without some of its words; empty if nothing else remains."""
    for word in unknown:
        asked = re.sub(rf"(?i)(?<![a-z]){re.escape(word)}(?![a-z])", " ", asked)
    asked = re.sub(r"\s+([,.;])", r"\1", " ".join(asked.split()))
    asked = re.sub(r"(?i)\b(a)n?(?= [aeiou])", r"\1n", asked)
    asked = re.sub(r"(?i)\b(a)n(?= [^aeiou])", r"\1", asked)
    rest = asked.strip(" ,.;")
    return "" if _NAMES_NOTHING.fullmatch(rest) else rest


def alt(
    seen: Sequence[NameMatch], subject: Subject, surely: Sequence[tuple[str, str]] = ()
) -> tuple[str, str]:
    """A short description in English and Chinese, which marks guesses as such.

    `surely` are the subjects that are certain, each in both languages.
    """
    what, what_zh = _joined(surely) if surely else _guess(seen)
    n = len(subject.areas)
    if n > max(1, len(surely)):
        what, what_zh = f"{n} things: {what}", f"{n} 个物体:{what_zh}"
    ground, ground_zh = ("on a plain background", "纯色背景") if subject.has_ground else ("", "")
    return f"{what} {ground}".strip(), f"{what_zh},{ground_zh}".strip(",")


def _joined(names: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Several names as one: "a cat, a dog and a bird"."""
    english, chinese = zip(*names, strict=True)
    *before, last = english
    return f"{', '.join(before)} and {last}" if before else last, "和".join(chinese)


def _guess(seen: Sequence[NameMatch]) -> tuple[str, str]:
    if not seen:
        return "a picture", "图片"
    if seen[0].margin < _LIKELY:
        return f"perhaps {seen[0].label}", f"可能是{seen[0].chinese}"
    return f"probably {seen[0].label}", f"大概是{seen[0].chinese}"
