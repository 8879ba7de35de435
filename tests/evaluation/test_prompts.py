"""Questions: fixed, different from each other, and with captions that are nearly true."""

from dataclasses import replace

import pytest

from limner.data.emoji.library import Library
from limner.data.scenes import ObjectSpec, SceneSpec
from limner.evaluation.judge.scenes import describe, shown
from limner.evaluation.questions.prompts import N_HARD, ask, nearly
from tests.training.evaluation import library_of_shapes


@pytest.fixture(scope="module")
def library() -> Library:
    return library_of_shapes()


def test_the_same_seed_asks_the_same_and_few_are_the_first_of_many(library: Library) -> None:
    many = ask(library, "in_distribution", 30)
    assert ask(library, "in_distribution", 30) == many
    assert ask(library, "in_distribution", 8) == many[:8]
    assert ask(library, "in_distribution", 30, seed=1) != many
    assert ask(library, "compositional", 30) != many


def test_another_language_changes_nothing_else(library: Library) -> None:
    both, chinese = (
        ask(library, "in_distribution", 20),
        ask(library, "in_distribution", 20, languages=("zh",)),
    )
    for question, alone in zip(both, chinese, strict=True):
        assert alone == replace(question, prompts={"zh": question.prompts["zh"]})


@pytest.mark.parametrize("split", ["in_distribution", "compositional", "paraphrase"])
def test_no_two_questions_show_the_same(library: Library, split: str) -> None:
    questions = ask(library, split, 40)
    assert len({question.key for question in questions}) == len(questions) > 20


def test_prompts_are_in_their_language_and_captions_in_english(library: Library) -> None:
    for question in ask(library, "compositional", 30):
        assert question.prompts["en"].isascii()
        assert not question.prompts["zh"].isascii()
        assert question.caption == describe(question.spec, library)


@pytest.mark.parametrize("split", ["in_distribution", "compositional"])
def test_hard_captions_are_wrong_and_different(library: Library, split: str) -> None:
    for question in ask(library, split, 30):
        assert len(question.hard) == len(set(question.hard)) == N_HARD
        assert question.caption not in question.hard


def _related(relation: str) -> SceneSpec:
    red = ObjectSpec("noto/red-star", "shape:red-star", ((0.3, 0.5, 0.4),), "red")
    blue = ObjectSpec("noto/blue-ring", "shape:blue-ring", ((0.7, 0.5, 0.4),), "blue")
    return SceneSpec((red, blue), "yellow", relation)


def test_nearly_true_scenes_exchange_places_and_colours(library: Library) -> None:
    spec = _related("left of")
    found = [describe(other, library) for other in nearly(spec, library)]
    first, second = spec.objects
    exchanged = replace(spec, objects=(second, first))
    recoloured = replace(
        spec, objects=(replace(first, colour="blue"), replace(second, colour="red"))
    )
    for wrong in (exchanged, recoloured, replace(spec, relation="above")):
        assert describe(wrong, library) in found
    assert describe(replace(spec, background="pink"), library) in found


@pytest.mark.parametrize(
    ("relation", "also_true"), [("next to", "left of"), ("on", "above"), ("above", "on")]
)
def test_what_is_also_true_is_no_wrong_caption(
    library: Library, relation: str, also_true: str
) -> None:
    relations = {
        other.relation
        for other in nearly(_related(relation), library)
        if other.objects == _related(relation).objects
    }
    assert also_true not in relations
    assert relations - {relation}


def test_nothing_nearly_true_is_true(library: Library) -> None:
    for question in ask(library, "in_distribution", 40):
        keys = {shown(other) for other in nearly(question.spec, library)}
        assert question.key not in keys
