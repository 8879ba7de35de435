"""The table of other words comes from WordNet alone, and not from what is held out."""

import inspect
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from limner.data.thesaurus import build, propose, wordnet
from limner.data.thesaurus.build import Name, other_words
from limner.data.thesaurus.wordnet import KINDS, WordNet
from limner.errors import DataError

ANIMAL = frozenset({KINDS["animal"]})
NAMES = [Name("dog", "狗", ANIMAL), Name("blossom", "花朵", frozenset({KINDS["plant"]}))]
# Key, kind, words, what it is a kind of (keys), explanation.
SENSES = [
    ("00000001", "animal", ["dog", "hound_dog"], [], "a tame animal"),
    ("00000002", "person", ["dog"], [], "a dull man"),
    ("00000003", "animal", ["terrier"], ["00000001"], "a small dog"),
    ("00000004", "animal", ["Rex"], ["00000001"], "a certain dog"),
    ("00000005", "food", ["trout"], [], "the flesh"),
    ("00000006", "animal", ["trout", "sea_dog"], ["00000001"], "an animal"),
    ("00000007", "animal", ["bark"], ["00000001"], "an animal that is mostly a verb"),
]


def test_words_for_a_name_and_for_its_kinds_are_found(folder: Path) -> None:
    found = other_words(NAMES, WordNet(folder), _alike)
    assert found["hound dog"] == ("dog", False)
    assert found["terrier"] == ("dog", True)
    assert found["trout"] == ("dog", True)  # the animal and not its meat
    assert "rex" not in found  # written with a capital
    assert "bark" not in found


def test_an_encoder_that_disagrees_leaves_same_words_out(folder: Path) -> None:
    found = other_words(NAMES, WordNet(folder), _unlike)
    assert "hound dog" not in found
    assert found["terrier"] == ("dog", True)  # of animals WordNet is sure enough


def test_held_out_words_are_not_read() -> None:
    for module in (build, propose, wordnet):
        assert "splits" not in inspect.getsource(module)


def test_a_folder_without_wordnet_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no data\.noun"):
        WordNet(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A little WordNet."""
    rows, of_word = [], dict[str, list[str]]()
    for key, kind, words, above, gloss in SENSES:
        named = " ".join(f"{word} 0" for word in words)
        pointers = "".join(f"@ {up} n 0000 " for up in above)
        count = f"{len(words):02x} {named} {len(above):03d}"
        rows.append(f'{key} {KINDS[kind]:02d} n {count} {pointers}| {gloss}; "an example"')
        for word in words:
            of_word.setdefault(word.lower(), []).append(key)
    index = [
        f"{word} n {len(keys)} 0 {len(keys)} 0 {' '.join(keys)}" for word, keys in of_word.items()
    ]
    texts = {
        "data.noun": rows,
        "index.noun": index,
        "index.verb": ["bark v 1 0 1 0 00000009"],
        "index.adj": [],
        "cntlist.rev": ["bark%2:32:00:: 1 7", "dog%1:05:00:: 1 42"],
    }
    for name, lines in texts.items():
        (tmp_path / name).write_text("  1 a licence\n" + "".join(f"{line}\n" for line in lines))
    return tmp_path


def _alike(texts: Sequence[str]) -> np.ndarray:
    return np.ones((len(texts), 1))


def _unlike(texts: Sequence[str]) -> np.ndarray:
    return np.zeros((len(texts), 1))
