"""Lines around a thing and between its areas; nothing where nothing is drawn."""

import numpy as np

from limner.arrays import Floats
from limner.finish.outline import MARGIN, SCALE, outlined


def _disc(radius: float = 20.0, px: int = 64) -> Floats:
    """A yellow disc, its right half blue, (4, px, px) premultiplied."""
    rows, columns = np.mgrid[:px, :px] + 0.5
    inside = np.hypot(rows - px / 2, columns - px / 2) < radius
    picture = np.zeros((4, px, px), np.float32)
    picture[:, inside] = np.array([1.0, 0.8, 0.2, 1.0], np.float32)[:, None]
    picture[:, inside & (columns > px / 2)] = np.array([0.1, 0.3, 0.9, 1.0], np.float32)[:, None]
    return picture


def test_a_dark_line_runs_around_a_thing_and_between_its_areas() -> None:
    drawn = outlined(_disc())
    assert drawn.shape == (4, 64 * SCALE, 64 * SCALE)
    middle = drawn[:, 64]  # a row through the centre
    is_dark = (middle[:3].max(0) < 0.35) & (middle[3] > 0.9)
    edges = np.flatnonzero(np.diff(is_dark.astype(int)) == 1)
    assert len(edges) == 3  # the left edge, the border of the two colours, the right edge
    assert middle[3, 0] == middle[3, -1] == 0
    reach = np.flatnonzero(middle[3] > 0.5)
    assert (64 - 20 * SCALE) - MARGIN * SCALE < reach[0] < 64 - 20 * SCALE


def test_the_colours_of_areas_stay() -> None:
    drawn = outlined(_disc())
    np.testing.assert_allclose(drawn[:, 64, 45], [1.0, 0.8, 0.2, 1.0], atol=0.02)
    np.testing.assert_allclose(drawn[:, 64, 83], [0.1, 0.3, 0.9, 1.0], atol=0.02)


def test_nothing_stays_nothing() -> None:
    assert not outlined(np.zeros((4, 24, 24), np.float32)).any()
