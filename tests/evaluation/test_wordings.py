"""Words of style, look and background: asked evenly, and checked by what is drawn."""

from collections.abc import Sequence

import numpy as np
import pytest

from limner.arrays import Pixels
from limner.data.captions import STYLES
from limner.data.emoji.library import Library
from limner.data.scenes import render_scene
from limner.errors import DataError
from limner.evaluation.baselines import TrainingIndex
from limner.evaluation.questions.wordings import (
    LOOKS,
    WITHOUT,
    WORD_RULES,
    ArtistClassifier,
    ask_words,
    word_rows,
)
from limner.evaluation.report import EvaluationReport
from limner.evaluation.samples import TRUE, Scores
from limner.imaging import codec
from limner.training.tasks.backbone import SOURCE_PX
from tests.training.evaluation import HandEye, Oracle, library_of_hands, library_of_shapes

N = 24


@pytest.fixture(scope="module")
def library() -> Library:
    return library_of_hands()


@pytest.fixture(scope="module")
def judge(library: Library) -> Oracle:
    judge = Oracle([], library)
    judge.backbone = HandEye()
    return judge


@pytest.fixture(scope="module")
def memory(library: Library, judge: Oracle) -> TrainingIndex:
    return TrainingIndex(library, judge.backbone)


def test_every_word_is_asked_for_in_both_languages(library: Library) -> None:
    questions = ask_words(library, 48)
    assert {question.rule for question in questions} == {*WORD_RULES} - {"3D"}  # nobody drew that
    assert ask_words(library, 8) == questions[:8]
    for question in questions:
        assert question.prompts["en"] != question.bare
        assert not question.prompts["zh"].isascii()
        if question.rule == "style":
            assert STYLES[question.asked]["en"][0] in question.prompts["en"]
            assert library[question.spec.objects[0].drawing].drawing.artist == question.asked
        elif question.rule in LOOKS:
            assert (
                library[question.spec.objects[0].drawing].drawing.artist in LOOKS[question.rule][0]
            )


def test_hands_are_told_apart_on_things_never_looked_at(
    library: Library, judge: Oracle, memory: TrainingIndex
) -> None:
    held_out = {entry.concept.key for entry in library.entries if "star" in entry.concept.key}
    classifier = ArtistClassifier(memory, library, judge.backbone, held_out)
    shown = [i for i, e in enumerate(library.entries) if e.concept.key in held_out]
    found = classifier.of(np.stack([library.picture(index, SOURCE_PX) for index in shown]))
    true = [library.entries[index].drawing.artist for index in shown]
    assert np.mean([a == b for a, b in zip(found, true, strict=True)]) == 1


def test_one_hand_cannot_be_told_from_others(judge: Oracle) -> None:
    library = library_of_shapes()
    with pytest.raises(DataError, match="drawings of fewer than two"):
        ArtistClassifier(TrainingIndex(library, judge.backbone), library, judge.backbone, set())


def test_words_that_act_are_seen_to_act(
    library: Library, judge: Oracle, memory: TrainingIndex
) -> None:
    true = {q.prompts["en"]: q.spec for q in ask_words(library, N)}

    def draw(prompts: Sequence[str], seeds: Sequence[int]) -> tuple[Pixels, Scores]:
        pictures = np.zeros((len(prompts), SOURCE_PX, SOURCE_PX, 4), np.uint8)
        for place, prompt in enumerate(prompts):
            if prompt in true:
                pictures[place] = codec.unpremultiply(
                    render_scene(true[prompt], library, SOURCE_PX)
                )
        return pictures, None

    rows = word_rows(
        draw, library, judge, memory, N, ("en", "zh"), 0, "painter", None, lambda *_: None
    )
    by_source = {(row.source, row.lang): row.by_rule for row in rows}
    assert set(by_source) == {
        (TRUE, ""), ("painter", "en"), ("painter", "zh"), (f"painter, {WITHOUT}", "en"),
    }  # fmt: skip
    assert by_source["painter", "en"]["background"].mean == 1
    assert by_source["painter", "zh"]["background"].mean == 0
    assert by_source["painter", "zh"]["transparent"].mean == 1  # what is empty is clear
    assert by_source["painter", "en"]["style"].mean == by_source[TRUE, ""]["style"].mean == 1
    assert by_source[f"painter, {WITHOUT}", "en"]["style"].mean < 0.6
    text = EvaluationReport("painter", "0" * 64, N, words=rows).markdown()
    assert "| style | outlined | flat | 3D | background | transparent |" in text
