"""The width of an edge is that of the ramp it was made of, straight or slanted."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.evaluation.measures.edges import edge_width


def disc(width: float) -> NDArray[np.uint8]:
    """A black disc on white whose rim is a ramp of `width` pixels: edges in every direction."""
    y, x = np.mgrid[:200, :200] - 99.5
    depth = (60 - np.hypot(x, y)) / width + 0.5
    shade = np.rint(255 * (1 - depth.clip(0, 1))).astype(np.uint8)
    return np.dstack([shade, shade, shade, np.full_like(shade, 255)])


@pytest.mark.parametrize("width", [2.0, 4.0, 8.0, 12.0])
def test_ramps_have_their_width(width: float) -> None:
    assert edge_width(disc(width)) == pytest.approx(width, rel=0.1)


def test_a_sharp_step_is_a_pixel_wide() -> None:
    picture = np.full((40, 40, 4), 255, np.uint8)
    picture[:, 20:, :3] = 0
    assert edge_width(picture) == 1


def test_the_edge_of_what_is_clear_counts() -> None:
    picture = np.full((200, 200, 4), 255, np.uint8)
    picture[..., 3] = disc(6.0)[..., 0]
    assert edge_width(picture) == pytest.approx(6, rel=0.1)


def test_without_edges_there_is_no_width() -> None:
    assert math.isnan(edge_width(np.full((16, 16, 4), 200, np.uint8)))
    shade = np.tile(np.arange(16, dtype=np.uint8), (16, 1))  # too little to be an edge
    assert math.isnan(edge_width(np.dstack([shade, shade, shade, np.full_like(shade, 255)])))
