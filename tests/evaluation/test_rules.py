"""The rules are right on scenes that are known, and wrong on the wrong ones."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.data import colours
from limner.data.emoji.library import Library
from limner.data.scenes import (
    Mix,
    ObjectSpec,
    SceneSpec,
    random_spec,
    render_scene,
)
from limner.evaluation.measures import rules
from limner.evaluation.measures.rules import RULES, check
from limner.training.tasks.backbone import SOURCE_PX
from tests.training.evaluation import Oracle, library_of_shapes


class ColourEye(Oracle):
    """Tells things by their colour: "a red star" is what is reddest."""

    def embed_pictures(self, premultiplied: NDArray[np.uint8]) -> NDArray[np.float32]:
        shares = []
        for picture in premultiplied:
            lab = rules.lab_of(rules._on_white(picture))[rules.foreground(picture)]
            found = rules.nearest_colours(lab) if len(lab) else np.zeros(0, int)
            counts = np.bincount(found, minlength=len(colours.NAMES))
            shares.append(counts / max(1, counts.sum()))
        return np.array(shares, np.float32)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[name in text for name in colours.NAMES] for text in texts], np.float32)


@pytest.fixture(scope="module")
def library() -> Library:
    return library_of_shapes()


@pytest.fixture(scope="module")
def judge(library: Library) -> ColourEye:
    return ColourEye([], library)


def drawn(specs: list[SceneSpec], library: Library) -> NDArray[np.uint8]:
    return np.stack([render_scene(spec, library, SOURCE_PX) for spec in specs])


def shape(name: str, *places: tuple[float, float, float], colour: str | None = None) -> ObjectSpec:
    return ObjectSpec(f"noto/{name}", f"shape:{name}", places or ((0.5, 0.5, 0.9),), colour)


def test_the_rules_hold_on_true_scenes(library: Library, judge: ColourEye) -> None:
    rng = np.random.default_rng(0)
    mix = Mix(plain=0, painted=0.4, counted=0.3, related=0.3, listed=0)
    specs = [random_spec(rng, library, "train", mix) for _ in range(48)]
    verdicts = check(drawn(specs, library), specs, library, judge)
    # Squares that touch along a whole side are taken for one thing; the art has few such.
    for rule, least in (("count", 0.8), ("colour", 0.95), ("background", 0.95)):
        asked = [getattr(verdict, rule) for verdict in verdicts]
        known = [answer for answer in asked if answer is not None]
        assert len(known) >= 10, rule
        assert np.mean(known) >= least, rule


@pytest.mark.parametrize("n_there", [1, 2, 3, 4])
def test_objects_are_counted(library: Library, n_there: int) -> None:
    corners = [(0.27, 0.27), (0.73, 0.73), (0.73, 0.27), (0.27, 0.73)][:n_there]
    there = shape("red-star", *[(x, y, 0.42) for x, y in corners])
    [picture] = drawn([SceneSpec((there,), background="blue")], library)
    assert rules.count_objects(picture) == n_there


def test_parts_of_one_object_are_one_object() -> None:
    picture = np.zeros((SOURCE_PX, SOURCE_PX, 4), np.uint8)
    picture[20:30, 20:28] = picture[20:30, 32:40] = 255  # a pair of eyes, say
    assert rules.count_objects(picture) == 1
    picture[20:30, 54:62] = 255
    assert rules.count_objects(picture) == 2
    assert rules.count_objects(picture * 0) == 0


def test_another_count_colour_or_background_fails(library: Library, judge: ColourEye) -> None:
    true = SceneSpec(
        (shape("red-square", (0.27, 0.5, 0.42), (0.73, 0.5, 0.42), colour="red"),),
        background="green",
    )
    wrong = [
        replace(true, objects=(shape("red-square", (0.5, 0.5, 0.42), colour="red"),)),
        replace(true, objects=(replace(true.objects[0], colour="blue"),)),
        replace(true, background="transparent"),
    ]
    pictures = drawn([true, *wrong], library)
    verdicts = check(pictures, [true] * 4, library, judge)
    found = [(verdict.count, verdict.colour, verdict.background) for verdict in verdicts]
    assert found == [
        (True, True, True),
        (False, True, True),
        (True, False, True),
        (True, True, False),
    ]
    assert all(verdict.position is None for verdict in verdicts)


@pytest.mark.parametrize(
    ("relation", "first", "second"),
    [
        ("left of", (0.27, 0.5), (0.73, 0.5)),
        ("right of", (0.73, 0.5), (0.27, 0.5)),
        ("above", (0.5, 0.27), (0.5, 0.73)),
        ("below", (0.5, 0.73), (0.5, 0.27)),
        ("on", (0.5, 0.3), (0.5, 0.7)),
        ("next to", (0.73, 0.5), (0.27, 0.5)),
    ],
)
def test_who_stands_where_is_seen(
    library: Library,
    judge: ColourEye,
    relation: str,
    first: tuple[float, float],
    second: tuple[float, float],
) -> None:
    red, blue = shape("red-star", (*first, 0.42)), shape("blue-square", (*second, 0.42))
    spec = SceneSpec((red, blue), relation=relation)
    [right] = check(drawn([spec], library), [spec], library, judge)
    assert right.position is True
    turned = np.rot90(drawn([spec], library), axes=(1, 2)).copy()
    [wrong] = check(turned, [spec], library, judge)
    assert wrong.position is False
    assert right.count is None


def test_colours_of_two_objects_are_not_exchanged(library: Library, judge: ColourEye) -> None:
    red = shape("red-star", (0.27, 0.5, 0.42), colour="red")
    blue = shape("blue-square", (0.73, 0.5, 0.42), colour="blue")
    spec = SceneSpec((red, blue), relation="left of")
    swapped = (replace(red, colour="blue"), replace(blue, colour="red"))
    pictures = drawn([spec, replace(spec, objects=swapped)], library)
    assert [v.colour for v in check(pictures, [spec] * 2, library, judge)] == [True, False]


def test_an_empty_picture_shows_nothing_but_itself(library: Library, judge: ColourEye) -> None:
    spec = SceneSpec((shape("red-star", (0.3, 0.5, 0.4), (0.7, 0.5, 0.4), colour="red"),))
    [verdict] = check(np.zeros((1, 64, 64, 4), np.uint8), [spec], library, judge)
    assert {rule: getattr(verdict, rule) for rule in RULES} == {
        "count": False,
        "position": None,
        "colour": False,
        "background": True,
    }


def test_lab_of_known_colours() -> None:
    # Values of the CIE definition, as any colour calculator gives them.
    found = rules.lab_of(np.array([[255, 255, 255], [255, 0, 0], [0, 0, 0]]))
    expected = np.array([[100, 0, 0], [53.24, 80.09, 67.20], [0, 0, 0]])
    assert np.allclose(found, expected, atol=0.1)
