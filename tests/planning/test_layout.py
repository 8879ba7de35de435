"""Layouts, and their cells as arrays."""

import numpy as np
import pytest

from limner.planning.layout import (
    GROUND,
    MAX_THINGS,
    Box,
    Layout,
    Thing,
    owner,
)
from limner.sampling import cells
from limner.sampling.sampling import spread_order


def _layout(*boxes: Box, columns: int = 24, rows: int = 24) -> Layout:
    return Layout(columns, rows, tuple(Thing(f"thing {i}", box) for i, box in enumerate(boxes)))


def test_later_things_own_the_cells_that_overlap() -> None:
    layout = _layout(Box(0, 0, 2, 2), Box(1, 1, 2, 1), columns=4, rows=2)
    assert owner(layout) == (0, 0, GROUND, GROUND, 0, 1, 1, GROUND)


@pytest.mark.parametrize(
    "box", [Box(-1, 0, 4, 4), Box(22, 0, 4, 4), Box(0, 21, 4, 4), Box(0, 0, 0, 4)]
)
def test_a_box_beyond_the_canvas_is_refused(box: Box) -> None:
    with pytest.raises(ValueError, match="does not lie within a canvas of 24 x 24 cells"):
        _layout(box)


def test_more_things_than_there_are_marks_for_are_refused() -> None:
    with pytest.raises(ValueError, match=f"holds at most {MAX_THINGS}"):
        _layout(*[Box(0, 0, 4, 4)] * (MAX_THINGS + 1))


def test_the_spread_order_of_a_rectangle_is_every_cell_once() -> None:
    for columns, rows in ((12, 12), (24, 42), (7, 3), (1, 5)):
        assert sorted(spread_order(columns, rows)) == list(range(columns * rows))
    assert (spread_order(12) == spread_order(12, 12)).all()


def test_a_box_as_large_as_the_table_has_its_very_rows() -> None:
    layout = _layout(Box(5, 9, 12, 12))
    places = cells.places(layout, side=12)
    own = cells.n_owners(layout) + np.flatnonzero(np.array(owner(layout)) == 0)
    blend = np.zeros((144, 144))
    np.add.at(blend, (np.arange(144)[:, None], places.corners[own]), places.shares[own])
    np.testing.assert_array_equal(blend, np.eye(144))


def test_places_of_other_boxes_are_blends_of_neighbours() -> None:
    places = cells.places(_layout(Box(0, 0, 24, 24)), side=12).take(np.arange(1, 577))
    rows, columns = np.divmod(places.corners, 12)
    down, right = (rows * places.shares).sum(1), (columns * places.shares).sum(1)
    wanted = np.clip((np.arange(24) + 0.5) / 2 - 0.5, 0, 11)
    np.testing.assert_allclose(down.reshape(24, 24), np.repeat(wanted[:, None], 24, 1), atol=1e-6)
    np.testing.assert_allclose(right.reshape(24, 24), np.repeat(wanted[None], 24, 0), atol=1e-6)
    np.testing.assert_allclose(places.shares.sum(1), 1, atol=1e-6)


def test_every_owner_begins_at_its_box_and_nowhere_within_it() -> None:
    layout = _layout(Box(2, 3, 12, 8), Box(10, 11, 4, 4))
    begins = cells.places(layout, side=12).take(np.arange(3))
    assert begins.owner.tolist() == [0, 1, 2]  # the ground is the last
    assert begins.position.tolist() == [[3, 2], [11, 10], [0, 0]]
    assert (begins.corners == 144).all()
    np.testing.assert_allclose(begins.size[0], np.log2([1, 8 / 12]), atol=1e-6)


def test_without_ground_only_things_begin() -> None:
    assert cells.n_owners(_layout(Box(0, 0, 24, 24))) == 1
    assert cells.n_owners(_layout(Box(0, 0, 24, 23))) == 2


def test_each_box_is_drawn_in_its_own_spread_order_and_all_at_one_pace() -> None:
    layout = _layout(Box(0, 0, 12, 12), Box(12, 4, 12, 12))
    order = cells.drawing_order(layout)
    assert sorted(order) == list(range(576))
    owners = np.array(owner(layout))[order]
    for index, box in enumerate(thing.box for thing in layout.things):
        rows, columns = np.divmod(order[owners == index], 24)
        local = (rows - box.y) * 12 + columns - box.x
        assert (local == spread_order(12)).all()
    halfway = owners[:144]
    assert abs((halfway == 0).sum() - 72) <= 1
    assert (owners[288:] == GROUND).all()  # the ground comes last
