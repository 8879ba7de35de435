"""Concepts: what drawings show, their words in each language, and matching drawings to them.

The words come from the open emoji tables (labels and tags in thirty languages). A drawing joins a
concept by its code points, by its name, or by a hand-made table of names; one that joins none
becomes a concept of its own, keyed "name:…", with the words of its name.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from limner.data.emoji import further
from limner.data.emoji.art import FURTHER_ARTISTS, Drawing
from limner.errors import DataError

LANGUAGES = ("en", "zh")  # loaded by default; the package holds some thirty
# Emoji names of other makers, used by older sets; the first match in this order is used.
SHORTCODES = ("cldr", "emojibase", "github", "iamcal", "joypixels", "emojibase-legacy")
# Names here are not emoji names ("home", "music", "left"), so a shortcode would mislead.
NO_SHORTCODES = frozenset({"flat-color-icons"})

GROUP_FROM_NUMBER = (
    "smileys-emotion",
    "people-body",
    "component",
    "animals-nature",
    "food-drink",
    "travel-places",
    "activities",
    "objects",
    "symbols",
    "flags",
)

_JOINERS = frozenset({"FE0F", "200D"})
_TONES = frozenset({"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"})
_GENDER_SIGNS = frozenset({"2640", "2642"})
_PERSON_FROM_ADULT = {"1F468": "1F9D1", "1F469": "1F9D1"}  # man, woman -> person
_VARIANT = re.compile(r"-\d$")  # streamline draws some ideas several times: "pizza-1", "pizza-2"
_TONE_NAME = re.compile(r"(^|-)((medium-)?(light|dark)|medium)(-skin-tone)?$|-tone[1-5]$")
_COUNTRY_NAME = re.compile(r"^flag-for-|-?flag$")


@dataclass(frozen=True)
class Concept:
    """A thing that can be drawn, and its words."""

    key: str  # an emoji's code points, "1F34E", or "name:alarm-clock"
    labels: Mapping[str, str]  # language -> its one name
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group: str = ""  # "food-drink"
    subgroup: str = ""  # "food-fruit"
    emoji: str = ""  # the character itself
    tone: bool = False  # a skin tone variant
    gender: bool = False  # a man's or woman's variant of a person
    family: str = ""  # shared by variants of one idea, so that a split never separates them

    def label(self, lang: str) -> str | None:
        return self.labels.get(lang)


@cache
def hand_table() -> dict[str, Any]:
    """The hand-made names that ship with the package: joins, words and groups, what to skip."""
    table: dict[str, Any] = json.loads(
        Path(__file__).with_name("names.json").read_text(encoding="utf-8")
    )
    return table


def slug(text: str) -> str:
    """The file-name form of a label: "Mrs. Claus" -> "mrs-claus"."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower().replace("'", "").replace(".", "")).strip("-")


def bare_code(code: str) -> str:
    """Code points without the variation selector, which not all sets write."""
    return "-".join(part for part in code.upper().split("-") if part != "FE0F")


def family_of(code: str) -> str:
    """The family of an emoji: its code points without joiners, skin tone and gender."""
    every = [part for part in code.upper().split("-") if part not in _JOINERS]
    parts = [part for part in every if part not in _TONES | _GENDER_SIGNS] or every
    if len(parts) > 1:  # a man alone is not a person's variant, a man with a wrench is
        parts = [_PERSON_FROM_ADULT.get(part, part) for part in parts]
    return "-".join(parts)


def load_concepts(package: Path, languages: Iterable[str] = LANGUAGES) -> dict[str, Concept]:
    """Every concept of the emoji tables in `package` (emojibase-data), by key.

    Raises DataError if a language's table is missing or broken; English is always read.
    """
    tables = {
        lang: _read(package / lang / "data.json") for lang in dict.fromkeys(["en", *languages])
    }
    subgroup_names = _subgroup_names(_read(package / "en" / "messages.json"))
    words: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
        lang: {row["hexcode"]: (row["label"], tuple(row.get("tags", ()))) for row in _rows(table)}
        for lang, table in tables.items()
    }
    concepts = {}
    for row in _rows(tables["en"]):
        key = row["hexcode"]
        known = {lang: table[key] for lang, table in words.items() if key in table}
        concepts[key] = Concept(
            key=key,
            labels={lang: label for lang, (label, _) in known.items()},
            tags={lang: tags for lang, (_, tags) in known.items()},
            group=GROUP_FROM_NUMBER[row["group"]] if "group" in row else "component",
            subgroup=subgroup_names.get(row.get("subgroup", -1), ""),
            emoji=row["emoji"],
            tone="tone" in row,
            gender="gender" in row and family_of(key) != key,
            family=family_of(key),
        )
    return _with_colour_families(concepts)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"The emoji words cannot be read from {path}: {error}",
            hint="Run `limner data build`, which fetches them.",
        ) from error


def _rows(table: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in table:
        yield row
        for variant in row.get("skins", ()):
            yield {**row, **variant, "tags": row.get("tags", ())}


def _subgroup_names(messages: dict[str, Any]) -> dict[int, str]:
    names: dict[int, str] = {}
    for row in messages["subgroups"]:
        names.setdefault(row["order"], row["key"])
    return names


_COLOUR_WORD = re.compile(
    r"^(large |small |light |dark )?"
    r"(red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ea]y) "
)


def _with_colour_families(concepts: dict[str, Concept]) -> dict[str, Concept]:
    """Red apple and green apple, or the hearts of ten colours, are one family."""
    first: dict[str, str] = {}
    result = {}
    for key, concept in concepts.items():
        label = concept.labels["en"].lower()
        bare = _COLOUR_WORD.sub("", label)
        family = first.setdefault(bare, concept.family) if bare != label else concept.family
        result[key] = replace(concept, family=family)
    return result


class NameIndex:
    """Finds the concept behind an artist's name for a drawing."""

    def __init__(self, concepts: Mapping[str, Concept], package: Path | None = None) -> None:
        self._key_from_code = {
            bare_code(key): key for key in concepts if not key.startswith("name:")
        }
        self._key_from_name: dict[str, str] = {}
        for key, concept in concepts.items():
            self._key_from_name.setdefault(slug(concept.labels["en"]), key)
        self._key_from_shortcode: dict[str, str] = {}
        for maker in SHORTCODES if package is not None else ():
            self._add_shortcodes(_read(package / "en" / "shortcodes" / f"{maker}.json"))  # type: ignore[operator]
        self._joins: dict[str, str] = hand_table()["joins"]

    def _add_shortcodes(self, table: dict[str, str | list[str]]) -> None:
        for code, names in table.items():
            key = self._key_from_code.get(bare_code(code))
            for name in [names] if isinstance(names, str) else names:
                if key is not None:
                    self._key_from_shortcode.setdefault(slug(name), key)

    def learn(self, drawings: Iterable[Drawing]) -> None:
        """Learn the names of drawings that state their code points."""
        for drawing in drawings:
            key = self._key_from_code.get(bare_code(drawing.concept))
            if key is not None:
                self._key_from_name.setdefault(drawing.name, key)

    def key(self, drawing: Drawing) -> str:
        """The concept's key; "name:…" if none is known."""
        if drawing.artist in FURTHER_ARTISTS:
            name = slug(drawing.name)
            return self._by_name(name, drawing.artist) or f"name:{name}"
        found = self._key_from_code.get(bare_code(drawing.concept)) or self._by_hand(drawing)
        if found is None:
            base = _VARIANT.sub("", drawing.name)
            found = self._by_name(drawing.name, drawing.artist) or self._by_name(
                base, drawing.artist
            )
        return found or f"name:{_VARIANT.sub('', drawing.name)}"

    def _by_hand(self, drawing: Drawing) -> str | None:
        base = _VARIANT.sub("", drawing.name)
        joined = self._joins.get(f"{drawing.artist}/{drawing.name}") or self._joins.get(f"*/{base}")
        if joined is None:
            return None
        return self._key_from_name.get(joined) or f"name:{joined}"

    def _by_name(self, name: str, artist: str) -> str | None:
        key = self._key_from_name.get(name)
        if key is None and artist not in NO_SHORTCODES:
            key = self._key_from_shortcode.get(name)
        if key is None and artist == "fxemoji":  # writes names in one word: "artistpalette"
            key = self._run_together().get(name)
        return key

    def _run_together(self) -> dict[str, str]:
        if not hasattr(self, "_key_from_letters"):
            tables = (self._key_from_name, self._key_from_shortcode)
            self._key_from_letters: dict[str, str] = {}
            for table in tables:
                for name, key in table.items():
                    self._key_from_letters.setdefault(name.replace("-", ""), key)
        return self._key_from_letters


def join(
    drawings: Iterable[Drawing], concepts: Mapping[str, Concept], package: Path | None = None
) -> tuple[list[Drawing], dict[str, Concept]]:
    """Gives each drawing its concept's key; returns them with all concepts, named ones included."""
    rows = list(drawings)
    index = NameIndex(concepts, package)
    index.learn(rows)
    joined = [replace(drawing, concept=index.key(drawing)) for drawing in rows]
    everything = dict(concepts)
    for drawing in joined:
        if drawing.concept not in everything:
            made = further_concept if drawing.artist in FURTHER_ARTISTS else named_concept
            everything[drawing.concept] = made(drawing.concept.removeprefix("name:"), drawing.name)
    return joined, everything


def further_concept(name: str, thing: str) -> Concept:
    """A concept of a thing that is no emoji, in the words of the further artists' table."""
    key = f"name:{name}"
    return Concept(key=key, labels=further.labels(thing), group=further.group(thing), family=key)


def named_concept(name: str, _: str = "") -> Concept:
    """A concept made from an artist's own name; Chinese only where the hand-made table has it."""
    labels = {"en": name.replace("-", " "), **hand_table()["labels"].get(name, {})}
    groups = [group for group, names in hand_table()["groups"].items() if name in names]
    group = groups[0] if groups else "icons"
    return Concept(key=f"name:{name}", labels=labels, group=group, family=f"name:{name}")


def reason_to_skip(drawing: Drawing, concept: Concept) -> str | None:
    """The reason to exclude a drawing from training and evaluation, or None."""
    if concept.key.startswith("name:") and drawing.artist not in FURTHER_ARTISTS:
        if _TONE_NAME.search(drawing.name):
            return "skin tone variant"
        if _COUNTRY_NAME.search(drawing.name):
            return "flag of a country"
        if drawing.artist == "fxemoji" and drawing.name not in hand_table()["labels"]:
            return "no caption can be made from its name"
    if concept.tone:
        return "skin tone variant"
    if concept.group == "flags" and concept.subgroup != "flag":
        return "flag of a country or region"
    if concept.group == "component":
        return "component, not a picture"
    for reason, names in hand_table()["skip"].items():
        if drawing.id in names:
            return str(reason)
    return None


# How often a drawing is sampled, relative to 1. Near-duplicates would otherwise fill the training
# set: 24 clock faces, 25 families, a man and a woman for each of 60 activities.
# An icon's idea ("export", "org unit") is hard to recognise and rarely asked for.
_LOW_WEIGHTS = {"family": 0.25, "keycap": 0.3, "alphanum": 0.4, "icons": 0.5}


def weight(concept: Concept) -> float:
    """How often a concept's drawings are sampled: 1 for most, less for near-duplicates."""
    english = concept.labels["en"]
    if english.endswith("-thirty"):
        return 0.15
    if english.endswith("o’clock"):
        return 0.3
    factor = _LOW_WEIGHTS.get(concept.subgroup or concept.group, 1.0)
    return factor * (0.35 if concept.gender else 1.0) * (0.3 if "facing right" in english else 1.0)
