"""The width of edges, on edges of known width."""

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.evaluation.measures.edges import edge_width


def ramp(width: float, degrees: float = 0.0, height: float = 255) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:300, 0:300]
    angle = np.radians(degrees)
    across = (columns - 150) * np.cos(angle) + (rows - 150) * np.sin(angle)
    plane = (height * (across / width + 0.5).clip(0, 1)).astype(np.uint8)
    return np.repeat(plane[..., None], 3, 2)


@pytest.mark.parametrize("degrees", [0, 17, 40, 73, 90])
@pytest.mark.parametrize("width", [2, 4, 9])
def test_a_ramp_is_as_wide_as_it_is(width: float, degrees: float) -> None:
    assert edge_width(ramp(width, degrees)) == pytest.approx(width, rel=0.05)


def test_a_step_is_one_pixel_wide_and_a_plain_picture_has_no_edge() -> None:
    step = np.zeros((50, 50, 3), np.uint8)
    step[:, 25:] = 200
    assert edge_width(step) == 1
    assert np.isnan(edge_width(np.full((50, 50, 3), 90, np.uint8)))
    assert np.isnan(edge_width(ramp(4, height=20)))
