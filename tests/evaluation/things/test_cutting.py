"""Things are cut from any plain ground; parts stay with their thing and specks are no things."""

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.evaluation.things.crops.cutting import count_specks, foreground, things_in
from limner.training.tasks.backbone import SOURCE_PX

PX = 128
Pixels = NDArray[np.uint8]


def nothing() -> Pixels:
    return np.zeros((PX, PX, 4), np.uint8)


def plain(red: int, green: int, blue: int) -> Pixels:
    return np.full((PX, PX, 4), (red, green, blue, 255), np.uint8)


def sky_over_grass() -> Pixels:
    ground = plain(120, 190, 250)
    ground[80:] = (90, 170, 60, 255)
    return ground


def gradient() -> Pixels:
    ground = plain(0, 0, 0)
    for row in range(PX):
        ground[row] = (60 + row, 120 + row, 250, 255)
    return ground


GROUNDS = [nothing(), plain(255, 255, 255), plain(30, 30, 34), sky_over_grass(), gradient()]


@pytest.mark.parametrize("ground", GROUNDS)
def test_two_things_are_cut_from_a_ground(ground: Pixels) -> None:
    picture = ground.copy()
    picture[20:60, 10:50] = (200, 30, 40, 255)
    picture[70:110, 70:120] = (230, 200, 20, 255)
    things = sorted(things_in(picture), key=lambda thing: thing.box)
    assert [thing.box for thing in things] == [(10, 20, 50, 60), (70, 70, 120, 110)]
    assert things[0].centre == (30 / PX, 40 / PX)
    crop = things[0].crop
    assert crop.shape == (SOURCE_PX, SOURCE_PX, 4)
    middle = crop[SOURCE_PX // 2, SOURCE_PX // 2].tolist()
    assert middle == [200, 30, 40, 255]
    assert crop[0, 0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("ground", GROUNDS)
def test_a_ground_alone_has_no_thing(ground: Pixels) -> None:
    assert things_in(ground) == []
    assert count_specks(ground) == 0


def test_what_looks_like_the_ground_within_a_thing_is_the_things() -> None:
    picture = plain(255, 255, 255)
    picture[30:100, 30:100] = (40, 80, 200, 255)
    picture[50:80, 50:80] = 255  # an eye, say
    assert foreground(picture)[60, 60]
    [thing] = things_in(picture)
    assert thing.mask.sum() == 70 * 70


def test_a_thing_may_reach_the_rim() -> None:
    picture = plain(90, 170, 60)
    picture[100:, 60:72] = (200, 30, 40, 255)
    [thing] = things_in(picture)
    assert thing.box == (60, 100, 72, PX)


def test_a_part_stays_with_its_thing_and_a_speck_is_none() -> None:
    picture = nothing()
    picture[40:100, 20:80] = 255
    picture[30:38, 46:54] = 255  # above the thing: the dot of an i
    picture[110:116, 110:118] = 255  # far away and small: 48 of 16,384 pixels
    [thing] = things_in(picture)
    assert thing.box == (20, 30, 80, 100)
    assert count_specks(picture) == 1
    picture[104:124, 100:124] = 255  # far away and large enough
    assert len(things_in(picture)) == 2
    assert count_specks(picture) == 0
