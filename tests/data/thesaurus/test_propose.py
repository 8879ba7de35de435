"""Pairs of a Chinese word and a name are proposed where both languages agree."""

from collections.abc import Sequence

import numpy as np

from limner.data.thesaurus.build import Name, kept_pairs
from limner.data.thesaurus.propose import pairs
from tests.text.test_thesaurus import TABLE

NAMES = [Name("hotel", "酒店", frozenset()), Name("magnet", "磁铁", frozenset())]
VECTORS = {"hotel": (1, 0), "酒店": (1, 0), "magnet": (0, 1), "磁铁": (0, 1), "宾馆": (0.9, 0.1)}


def test_a_word_between_two_names_is_not_proposed() -> None:
    assert list(pairs(["宾馆", "磁场"], NAMES, _encode)) == [("宾馆", "酒店")]


def test_the_pairs_that_were_kept_are_in_the_table() -> None:
    kept = kept_pairs()
    assert all(TABLE[part][name] == words for part in kept for name, words in kept[part].items())


def _encode(texts: Sequence[str]) -> np.ndarray:
    return np.array([VECTORS.get(text, (0.7, 0.7)) for text in texts])
