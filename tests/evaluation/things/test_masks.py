"""A mask hides one half, in which the true picture has its thing; the largest area is named."""

import numpy as np
import pytest

from limner.data.emoji.library import Library
from limner.evaluation.things.crops.naming import Namer
from limner.evaluation.things.measures.masks import (
    HALVES,
    ask,
    half_of,
    right_things,
)
from limner.request import Edit
from tests.evaluation.stand_ins import KEYS, SilhouetteEye, library_of_artists


@pytest.fixture(scope="module")
def library() -> Library:
    return library_of_artists()


@pytest.fixture(scope="module")
def namer(library: Library) -> Namer:
    return Namer(library, SilhouetteEye(), KEYS)


def test_every_thing_is_asked_for_once_before_any_comes_again(library: Library) -> None:
    questions = ask(library, KEYS, 16, "report", 0, "twemoji")
    assert {q.entry.concept.key for q in questions[:8]} == set(KEYS)
    assert {q.entry.concept.key for q in questions[8:]} == set(KEYS)
    assert {q.half for q in questions} == set(HALVES)
    assert ask(library, KEYS, 8, "report", 0, "twemoji") == questions[:8]
    assert ask(library, KEYS, 8, "choose", 0, "twemoji") != questions[:8]


def test_the_mask_hides_the_half_that_holds_the_true_thing(library: Library) -> None:
    for question in ask(library, KEYS, 8, "report", 0, "twemoji"):
        source = question.into_half("medium").source
        assert isinstance(source, Edit)
        assert source.mask is not None
        assert (source.pixels == 255).all()
        assert (half_of(source.mask, question.half) == 0).all()
        assert (source.mask == 0).mean() == 0.5
        true = question.true_half(library)
        drawn = (true != true[0, 0]).any(-1)
        assert drawn.any()
        assert half_of(drawn, question.half).sum() == drawn.sum()


def test_true_things_are_right_and_others_are_not(library: Library, namer: Namer) -> None:
    questions = ask(library, KEYS, 8, "report", 0, "twemoji")
    keys = [question.entry.concept.key for question in questions]
    halves = [half_of(q.true_half(library), q.half) for q in questions]
    alone = [question.true_alone(library) for question in questions]
    assert right_things(halves, keys, namer).right == 8
    assert right_things(alone, keys, namer).right == 8
    assert right_things(halves, keys[1:] + keys[:1], namer).right == 0
    blank = np.full((256, 128, 4), 255, np.uint8)
    assert right_things([blank], keys[:1], namer).right == 0
