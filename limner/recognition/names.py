"""The things that the model has names for, and the vectors of these names.

The shipped table has the vectors for the shipped weights. For other weights they are computed once
and cached in LIMNER_HOME.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from limner.arrays import Floats
from limner.storage import files

Embed = Callable[[Sequence[str]], Floats]

_FOLDER = "limner.recognition"
_TABLE, _VECTORS = "names.json", "names.npz"
_WORD = re.compile(r"[a-z]+(?:['’-][a-z]+)*")


@dataclass(frozen=True)
class NameMatch:
    """A name that fits a picture."""

    label: str
    chinese: str
    score: float  # cosine of the vectors, -1 to 1
    margin: float  # over the next name of another family


@dataclass(frozen=True)
class Name:
    """A thing that the model was trained on."""

    english: str  # without article: "red apple"
    phrase: str  # with its article, if it takes one
    chinese: str
    family: str  # variants of one thing share it


@dataclass(frozen=True, eq=False)
class Names:
    """All names, their unit vectors, and the words of the training captions."""

    names: tuple[Name, ...]
    vectors: Floats  # (N, E)
    words: frozenset[str]  # lower-case English words
    characters: frozenset[str]  # Chinese characters

    @cached_property
    def chinese(self) -> dict[str, str]:
        """The Chinese names by the English ones in lower case."""
        return {name.english.lower(): name.chinese for name in self.names}

    def unknown_words(self, prompt: str) -> list[str]:
        """Words and characters of `prompt` that are in no caption, in order, without repetition."""
        found = [word for word in _WORD.findall(prompt.lower()) if not self._knows(word)]
        found += [c for c in prompt if "一" <= c <= "鿿" and c not in self.characters]
        return list(dict.fromkeys(found))

    def _knows(self, word: str) -> bool:
        if word in self.words or len(word) == 1:
            return True
        return "-" in word and all(part in self.words for part in word.split("-"))


def load(embed: Embed, weights_digest: str, home: Path, styles: Sequence[str] = ()) -> Names:
    """Load the names with vectors for the weights of `embed`, identified by `weights_digest`.

    `styles` are further words that these weights know.
    """
    table = json.loads(_read(_TABLE))
    names = tuple(Name(*row) for row in table["names"])
    return Names(
        names,
        _vectors(names, embed, weights_digest, home),
        frozenset(table["words"]) | {word for text in styles for word in _WORD.findall(text)},
        frozenset(table["characters"]),
    )


def _vectors(names: Sequence[Name], embed: Embed, weights_digest: str, home: Path) -> Floats:
    phrases = [name.phrase for name in names]
    digest = digest_of(phrases, weights_digest)
    shipped = np.load(io.BytesIO(_read(_VECTORS)))
    if str(shipped["digest"]) == digest:
        vectors: Floats = shipped["vectors"].astype(np.float32)
        return vectors
    path = home / "recognition" / f"{digest[:16]}.npy"
    if path.exists():
        kept: Floats = np.load(path)
        return kept
    computed = embed(phrases)
    file = io.BytesIO()
    np.save(file, computed)
    files.make_private_folder(path.parent)
    files.write_whole(path, file.getvalue())
    return computed


def digest_of(phrases: Sequence[str], weights_digest: str) -> str:
    """A hash of all that the vectors of `phrases` depend on, in hexadecimal."""
    text = json.dumps([weights_digest, *phrases])
    return hashlib.sha256(text.encode()).hexdigest()


def _read(name: str) -> bytes:
    data: Any = (resources.files(_FOLDER) / name).read_bytes()
    return bytes(data)
