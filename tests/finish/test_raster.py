"""Flat pictures drawn anew: crisp, true to place, clear or glossy where they were."""

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.evaluation.measures.edges import edge_width
from limner.finish.palette import lab_alpha, steepness
from limner.finish.raster import raster
from limner.finish.segment import segmented
from limner.finish.sheets import sheets
from tests.finish import pictures


def drawn(picture: NDArray[np.float32], px: int = 1024) -> NDArray[np.uint8]:
    return raster(segmented(picture).sheets(), px, px)


def on_white(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture[..., :3] + (255 - picture[..., 3:])


@pytest.mark.parametrize("px", [256, 512, 1024])
def test_edges_are_as_narrow_as_those_of_vector_art(px: int) -> None:
    found = on_white(drawn(pictures.decoded(pictures.face()), px))
    assert edge_width(found) < 1.8


def test_edges_lie_where_they_were() -> None:
    px = 1024
    found = drawn(pictures.decoded(pictures.face(), noise=0.0), px)
    rows, columns = (np.mgrid[0:px, 0:px] + 0.5) / px
    distance = (np.hypot(columns - 0.5, rows - 0.5) - 0.4) * px
    assert (found[distance < -4, 3] == 255).all()
    assert (found[distance > 4, 3] == 0).all()
    assert found[..., 3].sum() / 255 == pytest.approx(np.pi * (0.4 * px) ** 2, rel=0.004)


@pytest.mark.parametrize("px", [24, 48, 64, 100, 192])
def test_much_smaller_pictures_are_as_solid(px: int) -> None:
    found = drawn(pictures.decoded(pictures.face(), noise=0.0), px)
    rows, columns = (np.mgrid[0:px, 0:px] + 0.5) / px
    distance = (np.hypot(columns - 0.5, rows - 0.5) - 0.4) * px
    assert (found[distance < -2, 3] == 255).all()
    assert (found[distance > 2, 3] == 0).all()
    assert found[..., 3].sum() / 255 == pytest.approx(np.pi * (0.4 * px) ** 2, rel=0.02)
    assert (found[..., :3] <= found[..., 3:]).all()


def test_an_edge_beside_two_areas_that_are_alike_is_straight() -> None:
    whole = pictures.canvas(64, (*pictures.RED, 255))
    whole[:128, 122:] = np.array([*pictures.YELLOW, 255]) / 255
    whole[128:, 122:] = np.array([*pictures.YELLOW[:2], 80, 255]) / 255
    picture = pictures.shrunk(whole)
    rows, columns = np.mgrid[:64, :64]
    areas = np.where(columns < 30, 0, np.where(rows < 32, 1, 2))
    steep = steepness(lab_alpha(picture))
    found = raster(sheets(areas, picture, steep), 512, 512)
    edge = (found[..., 1] > 120).argmax(1)
    assert np.ptp(edge) <= 1


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_an_edge_meets_the_border_at_its_own_angle(slope: float) -> None:
    whole = pictures.canvas(96)
    rows, columns = np.mgrid[: len(whole), : len(whole)] + 0.5
    whole[rows > 80 + slope * columns] = np.array([*pictures.RED, 255]) / 255
    found = drawn(pictures.shrunk(whole), 768)[..., 3] > 128
    wanted = 160 + slope * (np.arange(64) + 0.5)
    assert np.abs((~found[:, :64]).sum(0) - wanted).max() < 5.5


def test_eyes_stay_and_specks_go() -> None:
    picture = pictures.face()
    picture[80:82, 90:92] = [0.9, 0.1, 0.1, 1]  # a speck of two pixels on the face
    picture[5:7, 5:7] = [0.2, 0.2, 0.2, 1]  # and one on the ground
    found = drawn(pictures.decoded(picture, noise=0))
    assert found[int(0.4 * 1024), int(0.35 * 1024), :3].max() < 70
    assert found[:64, :64].max() == 0
    face = found[420:445, 470:500, :3].astype(int)
    assert np.abs(face - pictures.YELLOW).max() < 12


def test_clear_stays_clear_and_solid_solid() -> None:
    found = drawn(pictures.decoded(pictures.face()))
    share = ((found[..., 3] > 0) & (found[..., 3] < 255)).mean()
    assert share < 0.01
    assert not found[found[..., 3] == 0].any()
    assert (found[..., :3] <= found[..., 3:]).all()


def test_a_gradient_stays_one() -> None:
    found = drawn(pictures.decoded(pictures.glossy(), noise=0.01))
    middle = found[150:870, 512, :3].astype(int)
    rows = (np.arange(150, 870) + 0.5)[:, None] / 1024
    true = np.array(pictures.YELLOW) * (1 - rows) + np.array(pictures.RED) * rows
    assert np.abs(middle - true).mean() < 4
    assert np.abs(np.diff(middle, axis=0)).max() <= 4  # no band shows


def test_one_colour_and_nothing_stay_what_they_are() -> None:
    plain = np.empty((192, 192, 4), np.float32)
    for colour in ((0.2, 0.4, 0.6, 1), (0, 0, 0, 0)):
        plain[:] = colour
        found = drawn(plain, 256)
        assert np.abs(found - np.array(colour) * 255).max() <= 1


def test_a_part_is_the_part_of_the_whole() -> None:
    sheets = segmented(pictures.decoded(pictures.face())).sheets()
    whole = raster(sheets, 768, 768)
    part = raster(sheets, 384, 192, (48.0, 24.0, 144.0, 72.0))
    cut = whole[96:288, 192:576]
    # Tiles begin elsewhere, so sums differ in their last bits.
    assert np.abs(part.astype(int) - cut).max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 3), (192, 64)])
def test_any_shape_and_noise_are_drawn(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).random((*shape, 4)).astype(np.float32)
    noise[..., :3] *= noise[..., 3:]
    found = raster(segmented(noise).sheets(), 160, 96)
    assert found.shape == (96, 160, 4)
    again = raster(segmented(noise).sheets(), 160, 96)
    assert np.array_equal(found, again)
