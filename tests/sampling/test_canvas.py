"""Where cells lie on pictures of any size, and in which squares they are drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.request import Size
from limner.sampling.canvas import Canvas, kept, plan

STEPS = st.integers(4, 24)
SIZES = st.builds(lambda w, h: Size(w * 16, h * 16), STEPS, STEPS).filter(
    lambda size: max(size.width, size.height) <= 3 * min(size.width, size.height)
)


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        (Size(1024, 1024), 8, 8),
        (Size(256, 256), 8, 8),
        (Size(1536, 1024), 8, 12),
        (Size(1024, 1792), 14, 8),
        (Size(768, 256), 8, 24),
        (Size(1344, 1024), 8, 11),  # ten and a half cells
        (Size(1000, 1000), 8, 8),
        (Size(1001, 1000), 8, 9),
    ],
    ids=str,
)
def test_as_many_cells_as_the_longer_side_needs(size: Size, rows: int, columns: int) -> None:
    canvas = Canvas(size, grid=8)
    assert (canvas.rows, canvas.columns) == (rows, columns)
    assert canvas.n_cells == rows * columns


@given(SIZES, st.sampled_from([4, 8]))
def test_the_picture_lies_in_the_middle_and_keeps_its_shape(size: Size, grid: int) -> None:
    canvas = Canvas(size, grid)
    left, top, right, bottom = canvas.frame(px=32)
    assert (right - left) / (bottom - top) == pytest.approx(size.width / size.height)
    assert min(right - left, bottom - top) == pytest.approx(grid * 32)
    assert left == pytest.approx(canvas.columns * 32 - right)
    assert top == pytest.approx(canvas.rows * 32 - bottom)
    assert 0 <= left < 32
    assert 0 <= top < 32


@given(SIZES, st.sampled_from([4, 8]), st.data())
def test_a_plan_draws_every_hidden_cell_once_and_no_other(
    size: Size, grid: int, data: st.DataObject
) -> None:
    canvas = Canvas(size, grid)
    seed = data.draw(st.integers(0, 99))
    hidden = np.random.default_rng(seed).random(canvas.n_cells) < data.draw(st.floats(0, 1))
    times = np.zeros(canvas.n_cells, int)
    for window in plan(canvas, hidden):
        assert window.hidden.any()
        rows, columns = np.divmod(window.positions, canvas.columns)
        assert (rows[-1] - rows[0], columns[-1] - columns[0]) == (grid - 1, grid - 1)
        times[window.positions[window.hidden]] += 1
    assert np.array_equal(times, hidden.astype(int))


def test_a_long_picture_begins_in_its_middle_and_every_square_knows_a_half() -> None:
    canvas = Canvas(Size(768, 256), grid=8)
    windows = plan(canvas, np.ones(canvas.n_cells, bool))
    assert [int(window.positions[0]) for window in windows] == [8, 12, 16, 4, 0]
    assert [int(window.hidden.sum()) for window in windows] == [64, 32, 32, 32, 32]
    tall = plan(Canvas(Size(256, 448), 8), np.ones(14 * 8, bool))
    assert [int(window.positions[0]) for window in tall] == [3 * 8, 6 * 8, 0]


def test_an_edit_begins_where_its_mask_is() -> None:
    canvas = Canvas(Size(768, 256), grid=8)
    hidden = np.zeros((8, 24), bool)
    hidden[2:4, 18:22] = True
    [window] = plan(canvas, hidden.ravel())
    assert window.positions[0] == 16
    assert window.hidden.sum() == 8
    assert plan(canvas, np.zeros(canvas.n_cells, bool)) == []


@given(st.floats(0, 1), st.integers(0, 2**63 - 1), st.integers(0, 9))
def test_a_share_of_cells_is_kept_in_every_square(share: float, seed: int, picture: int) -> None:
    canvas = Canvas(Size(768, 256), grid=8)
    chosen = kept(canvas, share, seed, picture)
    for corner in canvas.corners(3):
        assert chosen[canvas.square(corner)].sum() == round(share * 64)
    assert np.array_equal(chosen, kept(canvas, share, seed, picture))


def test_kept_cells_are_spread_and_differ_by_seed_and_picture() -> None:
    canvas = Canvas(Size(256, 256), grid=8)
    found = set()
    for seed in range(4):
        for picture in range(4):
            chosen = kept(canvas, 0.2, seed, picture)
            quarters = chosen.reshape(2, 4, 2, 4).sum(axis=(1, 3))
            assert quarters.min() >= 1
            found.add(chosen.tobytes())
    assert len(found) > 8
