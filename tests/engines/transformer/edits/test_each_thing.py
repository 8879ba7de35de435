"""Variations of pictures of several things: each thing stays in its place."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from limner.arrays import Pixels
from limner.engines.base import ImageTask, Picture, Preview, Progress
from limner.engines.transformer.edits.each_thing import each_thing, masks_of
from limner.engines.transformer.engine import TransformerEngine
from limner.request import Edit, ImageRequest, Size, Variation

TWO = ((20, 30, 110, 120), (140, 130, 230, 220))  # left, top, right, bottom
SIZE = Size(256, 256)


@pytest.fixture(scope="module")
def engine(tiny_weights: Path) -> TransformerEngine:
    return TransformerEngine.load(tiny_weights, threads=1)


def discs(*boxes: tuple[int, int, int, int], ground: tuple[int, int, int, int]) -> Pixels:
    image = Image.new("RGBA", (256, 256), ground)
    for box in boxes:
        ImageDraw.Draw(image).ellipse(box, (220, 30, 30, 255))
    return np.array(image)


def varied(pixels: Pixels, seed: int = 1) -> ImageRequest:
    return ImageRequest("", size=SIZE, source=Variation(pixels), seed=seed, quality="low")


CLEAR, BLUE = (0, 0, 0, 0), (40, 90, 220, 255)


@pytest.mark.parametrize("ground", [CLEAR, BLUE])
def test_things_of_a_plain_ground_are_told_apart(ground: tuple[int, int, int, int]) -> None:
    found = each_thing(varied(discs(*TWO, ground=ground)))
    assert found is not None
    assert len(found.crops) == 2
    for crop, (left, top), box in zip(found.crops, found.corners, TWO, strict=True):
        assert crop.shape[0] == crop.shape[1]
        assert left <= box[0]
        assert top <= box[1]
        assert left + crop.shape[1] >= box[2]
        assert crop[0, 0, 3] == 0
        assert tuple(crop[crop.shape[0] // 2, crop.shape[1] // 2]) == (220, 30, 30, 255)
    assert (np.abs(found.behind.astype(int) - ground) <= 2).all()


@pytest.mark.parametrize(
    "pixels",
    [
        discs(TWO[0], ground=CLEAR),
        discs(ground=CLEAR),
        discs(ground=BLUE),
        np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8),
        np.full((1, 1, 4), 255, np.uint8),
    ],
)
def test_one_thing_and_pictures_without_a_plain_ground_are_varied_whole(pixels: Pixels) -> None:
    assert each_thing(varied(pixels)) is None


def test_a_small_area_belongs_to_the_thing_it_is_nearest_to() -> None:
    found = each_thing(varied(discs(*TWO, (116, 60, 124, 68), ground=CLEAR)))
    assert found is not None
    assert len(found.crops) == 2
    for crop, (left, top), is_its in zip(found.crops, found.corners, (True, False), strict=True):
        inside = left <= 120 < left + len(crop) and top <= 64 < top + len(crop)
        assert (inside and crop[64 - top, 120 - left, 3] == 255) == is_its


def test_an_edit_is_no_variation() -> None:
    pixels = discs(*TWO, ground=CLEAR)
    assert each_thing(ImageRequest("a cat", size=SIZE, source=Edit(pixels))) is None


def test_nothing_is_drawn_between_the_things(engine: TransformerEngine) -> None:
    request = varied(discs(*TWO, ground=BLUE))
    [*steps, picture] = list(engine.generate(request))
    assert isinstance(picture, Picture)
    assert picture.pixels.shape == (256, 256, 4)
    found = each_thing(request)
    assert found is not None
    outside = np.ones((256, 256), bool)
    for crop, (left, top) in zip(found.crops, found.corners, strict=True):
        outside[top : top + len(crop), left : left + len(crop)] = False
    assert (np.abs(picture.pixels[outside].astype(int) - BLUE) <= 2).all()
    told = [step for step in steps if isinstance(step, Progress)]
    assert [(step.done, step.total) for step in told] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("n", "told"), [(2, 2), (8, 8), (9, 0), (49, 0)])
def test_many_things_are_not_told_apart(n: int, told: int) -> None:
    boxes = [(x, y, x + 24, y + 24) for x in range(4, 230, 35) for y in range(4, 230, 35)][:n]
    assert len(masks_of(discs(*boxes, ground=CLEAR))) == told


def test_previews_show_the_things_that_are_drawn(engine: TransformerEngine) -> None:
    request = replace(varied(discs(*TWO, ground=CLEAR)), previews=1)
    events = list(engine.generate(request))
    [preview] = [event for event in events if isinstance(event, Preview)]
    [picture] = [event for event in events if isinstance(event, Picture)]
    found = each_thing(request)
    assert found is not None
    (first, second), side = found.corners, [len(crop) for crop in found.crops]
    done = np.s_[first[1] : first[1] + side[0], first[0] : first[0] + side[0]]
    left = np.s_[second[1] : second[1] + side[1], second[0] : second[0] + side[1]]
    assert np.array_equal(preview.pixels[done], picture.pixels[done])
    assert np.array_equal(preview.pixels[left], found.crops[1])


def test_a_seed_gives_the_same_variation_again(engine: TransformerEngine) -> None:
    def drawn(seed: int) -> Pixels:
        events = engine.generate(varied(discs(*TWO, ground=CLEAR), seed))
        return next(event.pixels for event in events if isinstance(event, Picture))

    assert np.array_equal(drawn(1), drawn(1))
    assert not np.array_equal(drawn(1), drawn(2))


def test_a_variation_of_several_things_shares_with_none(engine: TransformerEngine) -> None:
    assert engine.batch_key(ImageTask(varied(discs(*TWO, ground=CLEAR)), 0)).most == 1
