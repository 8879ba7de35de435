"""Grammar for captions: articles, plurals and measure words.

English labels are noun phrases such as "slice of pizza" or "french fries"; the head noun decides
the article and the plural. A Chinese count needs a measure word: one cat is 一只猫.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from limner.data.emoji.concepts import Concept


@cache
def table(lang: str) -> dict[str, Any]:
    """The word tables of one language, from words.json beside this file."""
    tables: dict[str, dict[str, Any]] = json.loads(
        Path(__file__).with_name("words.json").read_text(encoding="utf-8")
    )
    return tables[lang]


_AFTER_HEAD = re.compile(
    r" (with|without|from|of|on|in|and|behind|over|at|under|for|to|facing|showing|pointing|pointed|"
    r"fluttering|feeding|holding|wearing|getting|blowing|running|walking|exhaling|savoring|lifting|playing|"
    r"shaking|increasing|decreasing)(?= |$)"
)

# Spelt with a vowel and pronounced with a consonant, or vice versa.
_SPOKEN_CONSONANT = re.compile(
    r"^(uni|eu|ewe|one\b|one-|once|use|usb|ufo|uk|utensil|ukulele|u-)", re.I
)
_SPOKEN_VOWEL = re.compile(
    r"^(hour|honest|heir|x-ray|sos\b|ng\b|m\b|nfc\b|sms\b|mms\b|slr\b|faq\b)", re.I
)

_COUNTABLE_GROUPS = frozenset(
    {"animals-nature", "food-drink", "travel-places", "activities", "objects", "shapes"}
)
_COUNTABLE_SUBGROUPS = frozenset(
    {"face-costume", "cat-face", "monkey-face", "heart", "geometric", "person", "person-role"}
    | {"person-fantasy", "face-smiling", "body-parts"}
)
# In these a label names weather or an hour rather than a thing one could put next to another.
_PHENOMENA = frozenset({"time", "place-map"})


@cache
def clean_english(label: str) -> str:
    """A label as one would write it in a prompt: "man: red hair" -> "man with red hair"."""
    if label in table("en")["labels"]:
        return str(table("en")["labels"][label])
    text = label.replace("’", "'").replace("“", '"').replace("”", '"')
    head, colon, rest = text.partition(": ")
    if not colon:
        return text
    if head == "keycap" or rest.startswith("facing"):
        return f"{head} {rest}"
    members = rest.split(", ")
    joined = ", ".join(members[:-1]) + " and " + members[-1] if len(members) > 1 else rest
    return f"{head} {'of' if head in ('family', 'kiss') else 'with'} {joined}"


@cache
def clean_chinese(label: str) -> str:
    """A label without its colon: "男人: 红发" -> "红发男人"."""
    if label in table("zh")["labels"]:
        return str(table("zh")["labels"][label])
    head, colon, rest = label.replace("：", ": ").partition(": ")
    if not colon:
        return label
    if head == "按键":
        return f"{head}{rest}"
    return f"{rest}{'的' if rest.startswith('面向') else ''}{head}"


def name(concept: Concept, lang: str) -> str | None:
    """The concept's name as a prompt would write it, or None if the language lacks one."""
    label = concept.label(lang)
    if label is None:
        return None
    return {"en": clean_english, "zh": clean_chinese}.get(lang, str)(label)


def _head(noun: str) -> str:
    return _AFTER_HEAD.split(noun, maxsplit=1)[0]


@cache
def is_plural(noun: str) -> bool:
    """Whether an English noun phrase is a plural already, as "grapes" or "french fries" are."""
    last = _head(noun).lower().rsplit(" ", 1)[-1]
    if last in ("people", "men", "women", "children", "teeth", "feet", "dice"):
        return True
    is_s = last.endswith("s") and not last.endswith(("ss", "us", "is", "'s"))
    return is_s and last not in table("en")["singular_in_s"]


@cache
def has_article(noun: str) -> bool:
    """Whether "a" or "an" may stand before an English noun phrase."""
    lower = noun.lower()
    last = _head(lower).rsplit(" ", 1)[-1]
    if lower in table("en")["no_article"] or last in table("en")["uncountable"]:
        return False
    if is_plural(noun) or lower.endswith(("-thirty", "o'clock")):
        return False
    is_act = last.endswith("ing") and " " not in _head(lower)  # "cooking"
    return not is_act or last in table("en")["countable_in_ing"]


def with_article(noun: str) -> str:
    """ "apple" -> "an apple"; unchanged where English has no article, as for "grapes"."""
    if not has_article(noun):
        return noun
    return f"{article(noun)} {noun}"


@cache
def article(phrase: str) -> str:
    """The indefinite article by sound: "an hourglass", "a unicorn", "an SOS button"."""
    if _SPOKEN_VOWEL.match(phrase):
        return "an"
    if _SPOKEN_CONSONANT.match(phrase):
        return "a"
    return "an" if phrase[:1].lower() in "aeiou" else "a"


@cache
def plural(noun: str) -> str:
    """The plural of an English noun phrase; its head noun changes: "pots of food"."""
    head = _head(noun)
    before, _, last = head.rpartition(" ")
    first, space, rest = before.partition(" ")
    if first in ("man", "woman"):  # "women judges"
        before = f"{_plural_word(first)}{space}{rest}"
    changed = _plural_word(last)
    return f"{before} {changed}{noun[len(head) :]}" if before else f"{changed}{noun[len(head) :]}"


def _plural_word(word: str) -> str:
    lower, irregular = word.lower(), table("en")["plurals"]
    for singular in (lower, lower.rsplit("-", 1)[-1]):
        if singular in irregular:
            return word[: len(word) - len(singular)] + str(irregular[singular])
    for tail in ("man", "fish", "person"):  # "fireman", "starfish", "merperson"
        if lower.endswith(tail) and lower != "human":
            return word[: len(word) - len(tail)] + str(irregular[tail])
    if lower.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if lower.endswith("y") and lower[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


@cache
def _is_countable(label_en: str, label_zh: str | None, group: str, subgroup: str) -> bool:
    noun = clean_english(label_en)
    placed = (
        group in _COUNTABLE_GROUPS or subgroup in _COUNTABLE_SUBGROUPS
    ) and subgroup not in _PHENOMENA
    chinese = clean_chinese(label_zh or ":")
    no_chinese = ":" in chinese or chinese in table("zh")["actions"]
    return (
        placed and not no_chinese and has_article(noun) and len(noun) <= 24 and " and " not in noun
    )


def is_countable(concept: Concept) -> bool:
    """Whether it is countable in English and in Chinese."""
    return _is_countable(concept.labels["en"], concept.label("zh"), concept.group, concept.subgroup)


@cache
def measure_word(label: str, subgroup: str) -> str:
    """The Chinese measure word for a noun: 只 for a cat, 辆 for a car, 个 for want of a better."""
    tables = table("zh")
    if label in tables["measure_by_name"]:
        return str(tables["measure_by_name"][label])
    for start in range(len(label)):  # the longest ending decides: 蜡笔 before 笔
        for end in (label[start:], label[start:].removesuffix("子")):
            if end in tables["measure_by_ending"] and end:
                return str(tables["measure_by_ending"][end])
    return str(tables["measure_by_subgroup"].get(subgroup, "个"))


_ENGLISH_COLOUR = re.compile(
    r"^(red|orange|yellow|green|blue|purple|pink|brown|black|white|grey|gray) ", re.I
)
_ANY_ENGLISH_COLOUR = re.compile(
    r"\b(red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ea]y)\b", re.I
)
_ANY_CHINESE_COLOUR = re.compile(r"[红橙黄绿青蓝紫粉棕褐黑白灰金银]")


@cache
def _without_colour(label_en: str, label_zh: str | None, lang: str) -> str | None:
    english = clean_english(label_en)
    match = _ENGLISH_COLOUR.match(english)
    if lang == "en":
        bare = english[match.end() :] if match else english
        return None if _ANY_ENGLISH_COLOUR.search(bare) else bare
    if label_zh is None:
        return None
    chinese = clean_chinese(label_zh)
    if match:
        characters = table("zh")["colour_characters"][
            match.group(1).lower().replace("gray", "grey")
        ]
        chinese, n_changes = re.subn(f"^[{characters}]色?的?", "", chinese)
        if not n_changes or not chinese:
            return None
    told = chinese
    for name_with_colour in table("zh")["colours_in_names"]:  # a carrot 胡萝卜 is not green 绿
        told = told.replace(name_with_colour, "")
    return None if _ANY_CHINESE_COLOUR.search(told) else chinese


def noun_without_colour(concept: Concept, lang: str) -> str | None:
    """ "red apple" -> "apple", so that it can be a blue one; None where the colour is the name."""
    return _without_colour(concept.labels["en"], concept.label("zh"), lang)
