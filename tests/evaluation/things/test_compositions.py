"""True pictures answer every question; each thing that is wrong is seen in its own figure."""

from dataclasses import replace

import numpy as np
import pytest

from limner.data.emoji.library import Library
from limner.data.scenes import SceneSpec, render_scene
from limner.evaluation.things.crops.cutting import things_in
from limner.evaluation.things.crops.naming import Namer
from limner.evaluation.things.measures.compositions import (
    Answer,
    Question,
    ask,
    check,
    figures,
    purpose_of,
)
from limner.training.tasks.backbone import SOURCE_PX
from tests.evaluation.stand_ins import KEYS, SilhouetteEye, library_of_artists

PX = 128


@pytest.fixture(scope="module")
def library() -> Library:
    return library_of_artists()


@pytest.fixture(scope="module")
def namer(library: Library) -> Namer:
    return Namer(library, SilhouetteEye(), KEYS)


def answer(question: Question, drawn: SceneSpec, library: Library, namer: Namer) -> Answer:
    """What a picture of `drawn` is worth as an answer."""
    things = things_in(render_scene(drawn, library, PX))
    crops = np.array([thing.crop for thing in things]).reshape(-1, SOURCE_PX, SOURCE_PX, 4)
    return check(question, things, KEYS, namer.scores(crops))


def question_of(library: Library, relation: str = "none", coloured: bool = False) -> Question:
    """A question about two single things."""
    return next(
        question
        for question in ask(library, KEYS, 36, "report", 0)
        if question.spec.relation == relation
        and [item.count for item in question.spec.objects] == [1, 1]
        and all((item.colour is not None) == coloured for item in question.spec.objects)
    )


@pytest.mark.parametrize("purpose", ["report", "choose"])
def test_true_pictures_are_right(library: Library, namer: Namer, purpose: str) -> None:
    questions = ask(library, KEYS, 36, purpose, 0)
    found = figures(questions, [answer(q, q.spec, library, namer) for q in questions])
    # A thin ring on a colour or a heart in another size may be taken for a neighbour.
    assert found.things.mean >= 0.95
    assert found.all_right.mean >= 0.9
    for share in (found.number, found.colour, found.place):
        assert share.mean >= 0.95
        assert share.n >= 8
    assert found.both_ways.n == 6


def test_questions_to_choose_by_are_never_reported_on(library: Library) -> None:
    shown = {
        purpose: {
            frozenset((item.concept, item.count) for item in question.spec.objects)
            for seed in range(5)
            for question in ask(library, KEYS, 24, purpose, seed)
            if purpose_of(question.spec) == purpose
        }
        for purpose in ("choose", "report")
    }
    assert len(shown["choose"]) > 20
    assert shown["choose"].isdisjoint(shown["report"])


def test_the_same_seed_asks_the_same_and_many_begin_with_few(library: Library) -> None:
    questions = ask(library, KEYS, 24, "report", 1)
    assert len(questions) == 24
    assert ask(library, KEYS, 12, "report", 1) == questions[:12]
    assert ask(library, KEYS, 24, "report", 2) != questions


def test_relations_are_asked_both_ways_round(library: Library) -> None:
    questions = ask(library, KEYS, 24, "report", 0)
    for first, second in zip(questions[::6], questions[1::6], strict=True):
        assert first.pair == second.pair is not None
        assert first.spec.relation == second.spec.relation != "none"
        assert [item.concept for item in first.spec.objects] == [
            item.concept for item in reversed(second.spec.objects)
        ]
        assert first.prompt != second.prompt


@pytest.mark.parametrize("relation", ["left of", "above"])
def test_exchanged_places_are_wrong(library: Library, namer: Namer, relation: str) -> None:
    question = question_of(library, relation)
    first, second = question.spec.objects
    exchanged = (replace(first, places=second.places), replace(second, places=first.places))
    found = answer(question, replace(question.spec, objects=exchanged), library, namer)
    assert found.every_thing
    assert found.number
    assert found.place is False
    assert not found.is_right
    assert answer(question, question.spec, library, namer).place is True


def test_exchanged_colours_are_wrong(library: Library, namer: Namer) -> None:
    question = question_of(library, coloured=True)
    first, second = question.spec.objects
    exchanged = (replace(first, colour=second.colour), replace(second, colour=first.colour))
    found = answer(question, replace(question.spec, objects=exchanged), library, namer)
    assert found.every_thing
    assert found.colours == (False, False)
    assert not found.is_right


def test_what_is_missing_and_what_is_too_much_is_seen(library: Library, namer: Namer) -> None:
    question = question_of(library)
    first, second = question.spec.objects
    one = answer(question, replace(question.spec, objects=(first,)), library, namer)
    assert (one.found, one.n_asked, one.number) == (1, 2, False)
    assert not one.is_right
    twice = replace(second, places=(*second.places, (0.5, 0.9, 0.15)))
    three = answer(question, replace(question.spec, objects=(first, twice)), library, namer)
    assert three.every_thing
    assert three.n_extra == 1
    assert not three.number
    assert not three.is_right
    blank = answer(question, SceneSpec(()), library, namer)
    assert (blank.found, blank.number, blank.is_right) == (0, False, False)


def test_another_thing_is_not_found(library: Library, namer: Namer) -> None:
    question = question_of(library)
    first, second = question.spec.objects
    taken = {first.concept, second.concept}
    other = next(key for key in KEYS if key not in taken)
    drawing = f"twemoji/{other.removeprefix('shape:')}"
    objects = (first, replace(second, drawing=drawing, concept=other))
    found = answer(question, replace(question.spec, objects=objects), library, namer)
    assert (found.found, found.n_extra, found.number) == (1, 1, True)
    assert not found.is_right
