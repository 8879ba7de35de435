import numpy as np
import pytest

from limner.model.layout import GROUND, Box, Layout, Thing, owner, single


def test_a_cell_belongs_to_the_topmost_box_that_holds_it() -> None:
    things = (Thing("a box", Box(0, 0, 3, 2)), Thing("a cat", Box(1, 1, 2, 2)))
    cells = owner(Layout(4, 3, things)).reshape(3, 4)
    assert cells.tolist() == [[0, 0, 0, GROUND], [0, 1, 1, GROUND], [GROUND, 1, 1, GROUND]]


def test_a_single_thing_has_the_canvas() -> None:
    layout = single("a cat", 36, 24)
    assert layout.things[0].box == Box(0, 0, 36, 24)
    assert np.array_equal(owner(layout), np.zeros(36 * 24))


@pytest.mark.parametrize("box", [(-1, 0, 2, 2), (3, 0, 2, 1), (0, 2, 1, 2)])
def test_a_box_outside_the_canvas_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="not inside a canvas of 4x3"):
        Layout(4, 3, (Thing("a cat", Box(*box)),))


def test_an_empty_box_is_refused() -> None:
    with pytest.raises(ValueError, match="0x2"):
        Box(0, 0, 0, 2)
