import numpy as np
import pytest

from limner.data import colours
from limner.data.colours import colour_grey, colour_name, is_greyish, recolour, tint_of


def _disc(rgb: tuple[int, int, int], alpha: int = 255) -> np.ndarray:
    y, x = np.mgrid[:48, :48]
    inside = (x - 24) ** 2 + (y - 24) ** 2 < 20**2
    picture = np.zeros((48, 48, 4), np.uint8)
    picture[inside] = (*(channel * alpha // 255 for channel in rgb), alpha)
    return picture


@pytest.mark.parametrize("name", [n for n in colours.NAMES if n != "white"])
def test_each_named_colour_is_recognised(name: str) -> None:
    assert tint_of(_disc(colours.RGB_FROM_NAME[name])).natural == name


@pytest.mark.parametrize("name", colours.NAMES)
@pytest.mark.parametrize("start", ["red", "yellow", "blue"])
def test_a_recoloured_disc_has_the_colour_it_was_given(start: str, name: str) -> None:
    disc = _disc(colours.RGB_FROM_NAME[start])
    painted = recolour(disc, tint_of(disc), name)
    assert tint_of(painted).natural == name
    np.testing.assert_array_equal(painted[..., 3], disc[..., 3])


def test_other_colours_and_the_argument_stay_as_they_are() -> None:
    disc = _disc(colours.RGB_FROM_NAME["red"])
    disc[4:10, 20:28] = (*colours.RGB_FROM_NAME["green"], 255)  # a leaf
    before = disc.copy()
    painted = recolour(disc, tint_of(disc), "blue")
    np.testing.assert_array_equal(disc, before)
    np.testing.assert_allclose(painted[4:10, 20:28].astype(int), before[4:10, 20:28], atol=1)
    assert tint_of(painted).natural == "blue"


def test_half_transparent_pictures_stay_premultiplied() -> None:
    disc = _disc((221, 46, 68), alpha=90)
    disc[..., 3] = np.where(disc[..., 3] > 0, 160, 0)
    painted = recolour(disc, tint_of(disc), "white")
    assert (painted[..., :3] <= painted[..., 3:]).all()


def test_shading_keeps_its_order() -> None:
    disc = _disc((221, 46, 68))
    disc[:20, :, :3] = disc[:20, :, :3] // 2
    painted = recolour(disc, tint_of(disc), "blue").astype(int)
    assert painted[10, 24, :3].sum() < painted[30, 24, :3].sum()


def test_many_colours_are_no_colour() -> None:
    y = np.arange(48)
    picture = np.full((48, 48, 4), 255, np.uint8)
    for row, rgb in zip(np.split(y, 4), ["red", "green", "blue", "yellow"], strict=True):
        picture[row, :, :3] = colours.RGB_FROM_NAME[rgb]
    tint = tint_of(picture)
    assert tint.natural is None
    assert not tint.can_change


def test_an_empty_picture_has_no_tint() -> None:
    tint = tint_of(np.zeros((8, 8, 4), np.uint8))
    assert tint.natural is None
    assert tint.share == 0


def test_between_two_names_there_is_none() -> None:
    assert colour_name(180, 0.8, 0.5) is None  # turquoise: green to some, blue to others
    assert colour_name(0, 0.8, 0.5) == "red"


def test_a_grey_drawing_is_coloured_and_its_eyes_stay() -> None:
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[4:28, 4:28] = (150, 155, 160, 255)
    picture[10:13, 10:13] = (20, 20, 20, 255)
    tint = tint_of(picture)
    assert is_greyish(tint)
    blue = colour_grey(picture, tint, "blue")
    assert tint_of(blue).natural == "blue"
    assert (blue[11, 11, :3] < 40).all()
    assert np.array_equal(blue[..., 3], picture[..., 3])
    assert (blue[0, 0] == 0).all()
