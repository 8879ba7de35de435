"""The five evaluation splits, fixed by hash before any training.

- unseen_concept: concepts that no artist shows in training
- unseen_artist: an artist whose drawings are not in training
- compositional: pairs of colour and object, pairs of objects and counts that training never shows
- paraphrase: synonyms and turns of phrase that no training caption uses
- in_distribution: everything seen in training, with new seeds

splits.json is the record: its entries stay held out, whatever later word tables contain.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from limner.data.emoji.art import FURTHER_ARTISTS, JUDGE_ARTISTS, TRAINING_ARTISTS
from limner.data.emoji.concepts import Concept

CODES = {
    "train": "train",
    "unseen_concept": "S1",
    "unseen_artist": "S2",
    "compositional": "S3",
    "paraphrase": "S4",
    "in_distribution": "S5",
}
"""Splits, and the names they had before: still read, and part of the seed of their questions."""
SPLITS = tuple(CODES)
HELD_OUT_ARTIST = "emojione"
_TAUGHT = TRAINING_ARTISTS + FURTHER_ARTISTS  # a library holds the latter only where asked for
_SPECIFIC = 2  # a tag of more concepts than this is not a synonym: "animal", "food"


def named(text: str) -> str:
    """The split of a name or of a former name ("S1" to "S5"); other texts are returned as given."""
    return next((name for name, code in CODES.items() if code == text), text)


@cache
def table() -> dict[str, Any]:
    """splits.json: salt, rates, and the held-out concepts and synonyms by name."""
    record: dict[str, Any] = json.loads(
        Path(__file__).with_name("splits.json").read_text(encoding="utf-8")
    )
    return record


def fraction(kind: str, text: str) -> float:
    """A fixed number in [0, 1) for a text: SHA-256 of salt, kind and text."""
    digest = hashlib.sha256(f"{table()['salt']}|{kind}|{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _by_hash(kind: str, text: str) -> bool:
    return fraction(kind, text) < float(table()["rates"][kind])


@cache
def _held_out_families() -> frozenset[str]:
    return frozenset(table()["unseen_concept"])


@cache
def _held_out_words(lang: str) -> re.Pattern[str] | None:
    """Finds any held-out synonym in a text: as whole words, or anywhere where none are spaced."""
    known = sorted(table()["paraphrase"].get(lang, ()), key=len, reverse=True)
    if not known:
        return None
    either = "|".join(re.escape(text) for text in known)
    return re.compile(either if lang == "zh" else rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)


def is_held_out_concept(concept: Concept) -> bool:
    """Whether no training picture may show this concept or a variant of it."""
    if concept.family.startswith(
        "name:"
    ):  # an artist's own idea: by hash, as it is not in the record
        return _by_hash("concepts", concept.family)
    return concept.family in _held_out_families()


def held_out_names(concepts: Iterable[Concept]) -> re.Pattern[str]:
    """Finds the English name of a held-out concept within that of another thing."""
    labels = {
        concept.labels["en"].lower()
        for concept in concepts
        if not concept.key.startswith("name:") and is_held_out_concept(concept)
    }
    either = "|".join(re.escape(label) for label in sorted(labels)) or "(?!)"
    return re.compile(rf"(?<!\w)(?:{either})(?:e?s)?(?!\w)", re.IGNORECASE)


@lru_cache(maxsize=1 << 16)
def is_held_out_colour(noun: str, colour: str) -> bool:
    """Whether this colour of this object (its English noun without a colour) is held out."""
    return _by_hash("colours", f"{colour}|{noun.lower()}")


@lru_cache(maxsize=1 << 18)
def _is_held_out_pair(first: str, second: str) -> bool:
    return _by_hash("pairs", "|".join(sorted((first, second))))


def is_held_out_pair(first: Concept, second: Concept) -> bool:
    """Whether these two objects are never together in a training picture."""
    return _is_held_out_pair(first.family, second.family)


@lru_cache(maxsize=1 << 16)
def is_held_out_count(family: str, count: int) -> bool:
    """Whether this many (2 or more) of this object are held out."""
    return count > 1 and _by_hash("counts", f"{count}|{family}")


@lru_cache(maxsize=1 << 16)
def is_held_out_synonym(text: str, lang: str) -> bool:
    """Whether a text is or contains a held-out synonym, which no training caption may use."""
    found = _held_out_words(lang)
    return found is not None and found.search(text) is not None


def artists_of(split: str) -> tuple[str, ...]:
    """The artists whose drawings a split shows; only unseen_artist shows another artist."""
    return (HELD_OUT_ARTIST,) if split == "unseen_artist" else _TAUGHT


def may_train_on(artist: str, concept: Concept) -> bool:
    """Whether a drawing may be shown to the tokenizer and the generator."""
    return artist in _TAUGHT and not is_held_out_concept(concept)


def belongs(split: str, artist: str, concept: Concept) -> bool:
    """Whether a drawing may appear in a split's scenes."""
    if artist not in artists_of(split):
        return (
            artist not in _TAUGHT + JUDGE_ARTISTS and split != "unseen_artist"
        )  # drawn shapes: no artist
    return is_held_out_concept(concept) == (split == "unseen_concept")


def synonyms(concepts: Iterable[Concept], lang: str) -> dict[str, tuple[str, ...]]:
    """For each concept, its synonyms: tags of at most two concepts."""
    rows = [concept for concept in concepts if not concept.tone]
    often = Counter(tag for concept in rows for tag in set(concept.tags.get(lang, ())))
    return {
        concept.key: tuple(
            tag
            for tag in concept.tags.get(lang, ())
            if often[tag] <= _SPECIFIC and tag != concept.label(lang) and len(tag) > 1
        )
        for concept in rows
    }


def make_table(
    concepts: Mapping[str, Concept], salt: str, rates: dict[str, float], own_words: str = ""
) -> dict[str, Any]:
    """The record that splits.json holds, made once from the word tables.

    A synonym is only held out if its concept keeps another and if neither a label nor `own_words`
    (what captions say beside labels and tags) contains it, for those are said in training.
    """

    def share(kind: str, text: str) -> float:
        return (
            int.from_bytes(hashlib.sha256(f"{salt}|{kind}|{text}".encode()).digest()[:8], "big")
            / 2**64
        )

    families = sorted(
        {concept.family for concept in concepts.values() if concept.group != "component"}
    )
    held_out_synonyms = {}
    for lang in ("en", "zh"):
        labels = [
            concept.labels.get(lang, "").lower()
            for concept in concepts.values()
            if not concept.tone
        ]
        written = "\n".join([*labels, own_words.lower()])
        known = synonyms(concepts.values(), lang)
        free = {
            tag
            for tags in known.values()
            if len(tags) > 1
            for tag in tags
            if tag.lower() not in written
        }
        held_out_synonyms[lang] = sorted(
            tag for tag in free if share("synonyms", tag) < rates["synonyms"]
        )
    return {
        "format": 1,
        "salt": salt,
        "rates": rates,
        "unseen_concept": [
            family for family in families if share("concepts", family) < rates["concepts"]
        ],
        "unseen_artist": HELD_OUT_ARTIST,
        "judge": list(JUDGE_ARTISTS),
        "paraphrase": held_out_synonyms,
    }
