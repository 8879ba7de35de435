"""Outlines of fields, and curves through them."""

import numpy as np

from limner.finish.vector.contours import outlines
from limner.finish.vector.curves import fit


def _along(curves: np.ndarray) -> np.ndarray:
    t = np.linspace(0, 1, 20)[:, None]
    s = 1 - t
    return np.concatenate(
        [s**3 * a + 3 * s**2 * t * b + 3 * s * t**2 * c + t**3 * d for a, b, c, d in curves]
    )


def test_a_circle_is_few_curves_that_stay_on_it() -> None:
    rows, columns = np.mgrid[0:64, 0:64]
    [loop] = outlines(20.3 - np.hypot(columns - 31, rows - 30))
    assert np.abs(np.hypot(*(loop - [31, 30]).T) - 20.3).max() < 0.02
    curves = fit(loop, 0.15)
    assert len(curves) <= 8
    assert np.abs(np.hypot(*(_along(curves) - [31, 30]).T) - 20.3).max() < 0.2
    assert np.allclose(curves[:-1, 3], curves[1:, 0])
    assert np.allclose(curves[-1, 3], curves[0, 0])


def test_corners_stay_corners() -> None:
    rows, columns = np.mgrid[0:64, 0:64]
    field = np.minimum(20 - np.abs(columns - 31.5), 12.3 - np.abs(rows - 31.5))
    [loop] = outlines(field)
    points = _along(fit(loop, 0.15))
    for x in (11.5, 51.5):
        for y in (19.2, 43.8):
            assert np.hypot(*(points - [x, y]).T).min() < 0.8


def test_each_hole_and_island_has_an_outline_of_its_own() -> None:
    rows, columns = np.mgrid[0:64, 0:64]
    distance = np.hypot(columns - 31, rows - 31)
    rings = np.where(distance < 6, 1, np.where(distance < 14, -1, np.where(distance < 24, 1, -1)))
    assert len(outlines(rings.astype(np.float64))) == 3
    touching = -np.ones((6, 6))
    touching[2, 2] = touching[3, 3] = 1  # by a corner alone
    assert len(outlines(touching)) in (1, 2)
