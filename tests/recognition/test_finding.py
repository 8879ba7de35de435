"""Masks by words: pictures whose things are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import limner
from limner.errors import InvalidRequest
from limner.recognition import finding
from limner.recognition.things import things_in
from limner.settings import load
from limner.studio import Studio, edit_of

Pixels = NDArray[np.uint8]
RED, BLUE = (221, 46, 68), (62, 132, 226)
GROUNDS = [(0, 0, 0, 0), (255, 255, 255, 255)]


def two_things(ground: tuple[int, int, int, int]) -> Pixels:
    """A red circle to the left of a blue square."""
    image = Image.new("RGBA", (400, 300), ground)
    draw = ImageDraw.Draw(image)
    draw.ellipse((40, 80, 160, 200), fill=RED)
    draw.rectangle((240, 80, 360, 200), fill=BLUE)
    return np.array(image)


@pytest.fixture(scope="module")
def studio() -> Studio:
    """A studio that finds."""
    return Studio(load())


def overlap(area: NDArray[np.bool_], left: int) -> float:
    """Of an area and the box of the thing that begins at x = left."""
    true = np.zeros(area.shape, bool)
    true[80:201, left : left + 121] = True
    return float((area & true).sum() / (area | true).sum())


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize(
    ("words", "left"),
    [("the red circle", 40), ("the blue square", 240), ("红色的圆形", 40)],
)
def test_thing_is_found(
    studio: Studio, ground: tuple[int, int, int, int], words: str, left: int
) -> None:
    found = studio.find(two_things(ground), words)
    assert found.area.shape == found.mask.shape == (300, 400)
    assert overlap(found.area, left) > 0.7
    assert found.mask[found.area].mean() > 0.99
    other = np.s_[85:195, 245:355] if left == 40 else np.s_[100:180, 60:140]
    assert not found.mask[other].any()


def test_place_tells_equal_things_apart(studio: Studio) -> None:
    image = Image.new("RGBA", (400, 300))
    draw = ImageDraw.Draw(image)
    for left in (40, 240):
        draw.ellipse((left, 80, left + 120, 200), fill=RED)
    for words, left in [("the left red circle", 40), ("the red circle on the right", 240)]:
        assert overlap(studio.find(np.array(image), words).area, left) > 0.7


def test_what_is_not_there_is_said_not_to_be(studio: Studio) -> None:
    with pytest.raises(InvalidRequest, match="which shows perhaps") as caught:
        studio.find(two_things(GROUNDS[0]), "the bicycle")
    assert caught.value.param == "where"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
    noise[..., 3] = 255
    with pytest.raises(InvalidRequest, match="background"):
        studio.find(noise, "the bicycle")
    for nothing in ("", "the", "on the left"):
        with pytest.raises(InvalidRequest, match="names no thing"):
            studio.find(two_things(GROUNDS[0]), nothing)


def test_small_parts_belong_to_their_thing() -> None:
    picture = two_things(GROUNDS[0])
    picture[208:216, 90:110] = (0, 0, 0, 255)  # below the circle
    boxes = [thing.box for thing in things_in(picture)]
    assert len(boxes) == 2
    assert max(bottom for left, _, _, bottom in boxes if left < 192) > 200


@pytest.mark.parametrize(
    ("words", "phrase", "place"),
    [
        ("the apple", "an apple", None),
        ("The red apple.", "a red apple", None),
        ("the left cat", "a cat", "left"),
        ("the cat on the right side", "a cat", "right"),
        ("the top hat", "a hat", "top"),
        ("左边的猫", "猫", "left"),
    ],
)
def test_reading_words(words: str, phrase: str, place: str | None) -> None:
    want = finding.wanted(words)
    assert (want.phrase, want.place) == (phrase, place)


def test_edit_takes_words_or_a_mask() -> None:
    picture = two_things(GROUNDS[0])
    source = edit_of(picture, where="the red circle")
    assert source.given_mask is not None
    assert (source.given_mask == 0)[140, 100]
    assert not (source.given_mask == 0)[140, 300]
    with pytest.raises(InvalidRequest, match="one of them"):
        limner.edit(picture, "a pear", mask=picture, where="the red circle")
