"""What is outside a mask stays bit for bit; what is under it can never be seen again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from limner.arrays import Pixels
from limner.imaging.codec import premultiply, resize
from limner.request import Edit, Size, Variation
from limner.sampling import inpainting
from limner.sampling.canvas import Canvas
from limner.sampling.inpainting import (
    Placed,
    hidden_cells,
    laid_over,
    place,
    set_in,
    small,
    spread,
)

Bools = NDArray[np.bool_]


def random_picture(seed: int, height: int = 40, width: int = 56) -> Pixels:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 4)).astype(np.uint8)


@st.composite
def masks(draw: st.DrawFn, height: int = 40, width: int = 56) -> Bools:
    """A few rectangles, each set or cleared; any mask is some number of these."""
    mask = np.zeros((height, width), bool)
    for _ in range(draw(st.integers(1, 4))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        tall, wide = draw(st.integers(1, height)), draw(st.integers(1, width))
        mask[top : top + tall, left : left + wide] = draw(st.booleans())
    return mask


SIZES = st.sampled_from([Size(56, 40), Size(112, 80), Size(28, 20), Size(64, 64), Size(90, 61)])


@given(masks(), SIZES)
def test_nothing_under_the_mask_reaches_what_the_network_or_the_eye_sees(
    mask: Bools, size: Size
) -> None:
    one, other = random_picture(1), random_picture(1)
    other[mask] = random_picture(2)[mask]
    canvas = Canvas(size, grid=4)
    seen = []
    for picture in (one, other):
        placed = place(picture, mask, size)
        drawn = premultiply(random_picture(3, size.height, size.width))
        seen.append(
            (
                small(placed, canvas, 32).tobytes(),
                set_in(drawn, placed, canvas.cell_px).tobytes(),
                placed.pixels[~placed.masked].tobytes(),
                inpainting.backdrop(placed) is None,
            )
        )
    assert seen[0] == seen[1]


@given(masks(), st.booleans())
def test_outside_the_mask_every_bit_stays(mask: Bools, is_opaque: bool) -> None:
    picture = random_picture(4)
    if is_opaque:
        picture[..., 3] = 255
    placed = place(picture, mask, Size(56, 40))
    assert np.array_equal(placed.masked, mask)
    drawn = premultiply(random_picture(5))
    result = set_in(drawn, placed, cell_px=5.0, behind=inpainting.backdrop(placed))
    assert np.array_equal(result[~mask], picture[~mask])
    if is_opaque and not mask.all():
        assert (result[..., 3] == 255).all()


def test_a_picture_laid_over_keeps_its_solid_pixels_and_shows_what_is_behind() -> None:
    picture, drawn = random_picture(8), np.full((40, 56, 4), 255, np.uint8)
    drawn[..., :3] = (0, 0, 200)
    picture[:10, :, 3], picture[10:20, :, 3], picture[20:30, :, 3] = 255, 0, 51
    result = laid_over(drawn, Placed(picture, picture[..., 3] == 0))
    assert np.array_equal(result[:10], picture[:10])
    assert (result[10:20] == (0, 0, 200, 255)).all()
    assert (result[..., 3] == 255).all()
    mixed = picture[20:30, :, :3] * 0.2 + np.array([0, 0, 200]) * 0.8
    assert result[20:30, :, :3] == pytest.approx(mixed, abs=1.5)


def test_a_larger_or_smaller_picture_is_resized_outside_the_mask() -> None:
    picture, mask = random_picture(6), np.zeros((40, 56), bool)
    mask[10:20, 8:24] = True
    halved = place(picture, mask, Size(28, 20))
    assert np.array_equal(halved.masked, mask[::2, ::2])
    expected = resize(picture, 28, 20, "area")
    assert np.array_equal(halved.pixels[~halved.masked], expected[~halved.masked])
    doubled = place(picture, mask, Size(112, 80))
    assert np.array_equal(doubled.masked, mask.repeat(2, 0).repeat(2, 1))
    far = np.ones(doubled.masked.shape, bool)  # from the mask, as the enlargement's kernel reaches
    far[16:44, 12:52] = False
    assert np.array_equal(doubled.pixels[far], resize(picture, 112, 80, "bicubic")[far])


def test_what_is_clear_in_a_picture_is_clear_when_it_is_larger() -> None:
    picture = np.full((40, 56, 4), 255, np.uint8)
    picture[10:30, 10:40] = 0
    placed = place(picture, picture[..., 3] == 0, Size(112, 80))
    assert not placed.pixels[24:56, 24:76, 3].any()
    drawn = premultiply(random_picture(3, 80, 112))
    assert len(np.unique(laid_over(drawn, placed)[24:56, 24:76])) > 100


def test_a_picture_of_another_shape_is_fitted_and_what_is_free_stays_clear() -> None:
    picture = np.full((20, 40, 4), 200, np.uint8)
    mask = np.zeros((20, 40), bool)
    mask[:, :10] = True
    placed = place(picture, mask, Size(80, 80))
    assert (placed.pixels[20:60] == 200).all()
    assert not placed.pixels[:20].any()
    assert not placed.pixels[60:].any()
    expected = np.zeros((80, 80), bool)
    expected[20:60, :20] = True
    assert np.array_equal(placed.masked, expected)


@given(masks(), st.sampled_from([Size(56, 40), Size(40, 56), Size(50, 50)]))
def test_a_cell_is_hidden_if_a_masked_pixel_touches_it(mask: Bools, size: Size) -> None:
    mask = np.resize(mask, (size.height, size.width))
    canvas = Canvas(size, grid=4)
    expected = np.zeros((canvas.rows, canvas.columns), bool)
    for y, x in np.argwhere(mask):
        for row in range(canvas.rows):
            for column in range(canvas.columns):
                above = (row - canvas.top) * canvas.cell_px
                before = (column - canvas.left) * canvas.cell_px
                expected[row, column] |= (
                    above - 1 + 1e-6 < y < above + canvas.cell_px - 1e-6
                    and before - 1 + 1e-6 < x < before + canvas.cell_px - 1e-6
                )
    assert np.array_equal(hidden_cells(mask, canvas), expected.ravel())


@settings(max_examples=20)
@given(masks(), st.floats(0, 1))
def test_spread_continues_a_plain_colour_and_keeps_what_is_known(mask: Bools, value: float) -> None:
    values = np.full((*mask.shape, 2), value, np.float32)
    noise = np.random.default_rng(0).random((*mask.shape, 2), np.float32)
    known = ~mask
    plain = spread(np.where(known[..., None], values, 9), known)
    if known.any():
        assert plain == pytest.approx(values, abs=1e-5)
        mixed = spread(np.where(known[..., None], noise, 9), known)
        assert np.array_equal(mixed[known], noise[known])
        assert mixed.max() <= noise[known].max() + 1e-5


def test_no_seam_shows_between_two_tones() -> None:
    picture = np.full((64, 64, 4), 255, np.uint8)
    picture[..., :3] = 120
    mask = np.zeros((64, 64), bool)
    mask[:, 32:] = True
    drawn = np.full_like(picture, 255)
    drawn[..., :3] = 140
    result = set_in(drawn, Placed(picture, mask), cell_px=8)
    steps = np.diff(result[..., :3].astype(np.int64), axis=1)
    assert max(steps.max(), -steps.min()) <= 5  # of the 20 that a hard edge would have
    assert (result[:, 48:, :3] == 140).all()


def test_a_backdrop_continues_the_edges_of_an_opaque_picture_only() -> None:
    picture = np.full((40, 40, 4), 255, np.uint8)
    picture[:20, :, :3] = (0, 0, 200)
    picture[20:, :, :3] = (0, 200, 0)
    picture[10:30, 10:30, :3] = (250, 0, 0)  # the subject, which must not come through
    nowhere = np.zeros((40, 40), bool)
    behind = inpainting.backdrop(Placed(picture, nowhere))
    assert behind is not None
    assert behind[..., 0].max() < 20
    assert behind[5, 20, 2] > 150 > behind[35, 20, 2]
    picture[3, 3, 3] = 254
    assert inpainting.backdrop(Placed(picture, nowhere)) is None
    assert inpainting.backdrop(Placed(picture, ~nowhere)) is None


@pytest.mark.parametrize("kind", ["mask", "own", "plain", "variation"])
@pytest.mark.parametrize("size", [Size(64, 64), Size(96, 64), Size(64, 160), Size(640, 640)])
def test_reduced_picture_is_placed_as_the_whole_one(kind: str, size: Size) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (211, 307, 4), np.uint8)
    pixels[..., 3] = np.maximum(pixels[..., 3], 1)
    mask = None
    if kind == "own":
        pixels[20:90, 31:77, 3] = 0
    if kind == "mask":
        mask = np.full((211, 307), 255, np.uint8)
        mask[100:103, 50:200] = 0
    whole: Edit | Variation = Variation(pixels) if kind == "variation" else Edit(pixels, mask)
    small = inpainting.reduced(whole, size)
    placed = []
    for source in (whole, small):
        masked = np.zeros(source.pixels.shape[:2], bool)
        if isinstance(source, Edit):
            masked = inpainting.mask_of(source)
        placed.append(inpainting.place(source.pixels, masked, size))
    assert (small.pixels.shape[0] < 211) == (size.width < 307)
    assert np.array_equal(placed[0].pixels, placed[1].pixels)
    assert np.array_equal(placed[0].masked, placed[1].masked)
    if isinstance(whole, Edit) and isinstance(small, Edit):
        assert (whole.given_mask is None) == (small.given_mask is None)
