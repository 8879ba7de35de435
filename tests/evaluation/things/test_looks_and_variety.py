"""Looks are told by whose drawings a picture is like; variety is none where nothing differs."""

from collections.abc import Sequence

import numpy as np
import pytest

from limner.arrays import Pixels
from limner.data.emoji.library import Library
from limner.evaluation.baselines import TrainingIndex
from limner.evaluation.questions.wordings import LOOKS, ArtistClassifier
from limner.evaluation.things.measures import looks
from limner.evaluation.things.measures.variety import drawn_variety, true_variety
from limner.imaging import codec as px
from tests.evaluation.stand_ins import KEYS, SilhouetteEye, library_of_artists


@pytest.fixture(scope="module")
def library() -> Library:
    return library_of_artists()


class Told(ArtistClassifier):
    """Says the artists that it was given, in order."""

    def __init__(self, artists: Sequence[str]) -> None:
        self.artists = tuple(artists)

    def of(self, pictures: Pixels, among: Sequence[str] | None = None) -> list[str]:
        assert among is not None
        assert len(pictures) == len(self.artists)
        return list(self.artists)


def test_each_thing_is_asked_for_in_every_look(library: Library) -> None:
    questions = looks.ask(library, KEYS, 4, "report", 0)
    assert len(questions) == 4
    for question in questions:
        requests = question.requests("medium")
        for look, one in zip(LOOKS, requests, strict=True):
            assert look.lower() in one.prompt.lower()
        assert len({one.seed for one in requests}) == 1
        for look, entry in question.entries.items():
            assert entry.drawing.artist in LOOKS[look][0]


def test_a_thing_is_told_apart_if_all_its_looks_are_right() -> None:
    artists = {look: classifier[0] for look, (classifier, _) in LOOKS.items()}
    right = list(artists.values())
    flat = [artists["flat"]] * len(LOOKS)
    blank = [np.zeros((64, 64, 4), np.uint8)] * (2 * len(LOOKS))
    found = looks.check(blank, Told([*right, *flat]))
    assert (found.told_apart.right, found.told_apart.n) == (1, 2)
    assert found.by_look["flat"].mean == 1
    assert found.by_look["3D"].mean == 0.5


def test_hands_may_be_asked_among_some(library: Library) -> None:
    eye = SilhouetteEye()
    classifier = ArtistClassifier(TrainingIndex(library, eye), library, eye, set())
    pictures = np.stack([library.picture(row, 64) for row in range(8)])
    assert set(classifier.of(pictures, ("fluent-emoji",))) == {"fluent-emoji"}


def test_equal_pictures_have_no_variety_and_training_drawings_are_copies(library: Library) -> None:
    eye = SilhouetteEye()
    memory = TrainingIndex(library, eye)
    star, heart = (
        px.unpremultiply(library.picture(library.index_from_id[f"twemoji/{name}"], 64))
        for name in ("green-star", "blue-heart")
    )
    same = drawn_variety([[star] * 3], eye, memory)
    assert same.variety.mean == pytest.approx(0, abs=1e-6)
    memory.threshold = 0.999
    assert drawn_variety([[star, heart]], eye, memory).copies.mean == 1
    assert drawn_variety([[star, heart]], eye, memory).variety.mean > 0.05
    line = np.zeros((64, 64, 4), np.uint8)
    line[30:34] = 255
    assert drawn_variety([[line, line]], eye, memory).copies.mean == 0


def test_artists_who_draw_alike_have_little_variety(library: Library) -> None:
    found = true_variety(library, KEYS, SilhouetteEye())
    assert found.n == len(KEYS)
    assert 0 < found.mean < 0.1
