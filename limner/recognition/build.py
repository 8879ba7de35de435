"""Make the shipped table of names: `python -m limner.recognition.build DATA`, after new weights.

DATA is the folder that `limner data build` fills (LIMNER_HOME/data).
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from limner.data import colours
from limner.data.emoji import splits, words
from limner.data.emoji.art import TRAINING_ARTISTS
from limner.data.emoji.concepts import Concept
from limner.data.emoji.library import Library
from limner.data.sentences import grammar
from limner.recognition.look import Looker
from limner.recognition.names import digest_of
from limner.storage import files
from limner.storage.checkpoints.weights import find

_HERE = Path(__file__).parent
# Kinds of grammar.json that the planner reads and no caption of a picture says.
_ONLY_READ = frozenset({"compounds", "parts_of_things", "doings", "tails"})
_WORD = re.compile(r"[a-z]+(?:['’-][a-z]+)*")


def main(data: Path) -> None:
    """Write names.json and names.npz."""
    library = Library.open(data)
    concepts = {
        entry.concept.key: entry.concept
        for entry in library.entries
        if entry.drawing.artist in TRAINING_ARTISTS
        and not splits.is_held_out_concept(entry.concept)
    }
    rows = _rows(concepts)
    texts = [text for row in rows for text in row[:2]] + [*_captions(concepts)]
    table = {
        "about": "Names that the model was taught, from emojibase-data (MIT; labels derive from "
        "Unicode CLDR, Unicode License v3): name, phrase, Chinese name, family. Words and "
        "characters are those of its captions. Made by limner/recognition/build.py.",
        "names": rows,
        "words": sorted({word for text in texts for word in _WORD.findall(text.lower())}),
        "characters": "".join(
            sorted({c for text in [*texts, *(row[2] for row in rows)] for c in text if c > "⺀"})
        ),
    }
    files.write_whole(
        _HERE / "names.json",
        json.dumps(table, ensure_ascii=False, indent=0).encode(),
    )
    phrases = [row[1] for row in rows]
    looker = Looker.open(find("nano"))
    file = io.BytesIO()
    np.savez_compressed(
        file,
        vectors=looker.embed(phrases).astype(np.float16),
        digest=digest_of(phrases, looker.weights_digest),
    )
    files.write_whole(_HERE / "names.npz", file.getvalue())


def _rows(concepts: dict[str, Concept]) -> list[list[str]]:
    """Name, phrase, Chinese name and family; one row for each name."""
    found: dict[str, list[str]] = {}
    for concept in concepts.values():
        english = words.name(concept, "en") or concept.labels["en"]
        chinese = words.name(concept, "zh") or english
        row = [english, words.with_article(english), chinese, concept.family or concept.key]
        found.setdefault(english.lower(), row)
    return [found[name] for name in sorted(found)]


def _captions(concepts: dict[str, Concept]) -> Iterator[str]:
    """The other texts of captions, beside the names."""
    for lang in ("en", "zh"):
        said = grammar(lang).items()
        yield from _texts({kind: part for kind, part in said if kind not in _ONLY_READ})
        yield from _texts(words.table(lang))
        for tags in splits.synonyms(concepts.values(), lang).values():
            yield from (tag for tag in tags if not splits.is_held_out_synonym(tag, lang))
    for concept in concepts.values():
        for lang in ("en", "zh"):
            if noun := words.name(concept, lang):
                yield words.plural(noun) if lang == "en" else noun
    yield from colours.NAMES
    yield "a picture of, an image of, a drawing of, draw, please, style, on, background, gray"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield str(key)
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
