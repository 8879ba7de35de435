import pytest

from limner.planning.layout import (
    GROUND,
    MAX_THINGS,
    Box,
    Layout,
    Thing,
    owner,
)


def test_a_cell_belongs_to_the_topmost_box_that_holds_it() -> None:
    things = (Thing("a box", Box(0, 0, 3, 2)), Thing("a cat", Box(1, 1, 2, 2)))
    cells = owner(Layout(4, 3, things))
    assert cells == (0, 0, 0, GROUND, 0, 1, 1, GROUND, GROUND, 1, 1, GROUND)


def test_a_single_thing_has_the_canvas() -> None:
    layout = Layout.single("a cat", 36, 24)
    assert layout.things[0].box == Box(0, 0, 36, 24)
    assert owner(layout) == (0,) * (36 * 24)


@pytest.mark.parametrize("box", [(-1, 0, 2, 2), (3, 0, 2, 1), (0, 2, 1, 2), (0, 0, 0, 2)])
def test_a_box_that_does_not_fit_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="within a canvas of 4 x 3"):
        Layout(4, 3, (Thing("a cat", Box(*box)),))


def test_too_many_things_are_refused() -> None:
    things = (Thing("a cat", Box(0, 0, 1, 1)),) * (MAX_THINGS + 1)
    with pytest.raises(ValueError, match="at most 6"):
        Layout(4, 3, things)
