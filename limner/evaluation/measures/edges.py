"""The width of edges in a picture, in pixels. NumPy only."""

import numpy as np
from numpy.typing import NDArray

_LUMA = np.array([0.299, 0.587, 0.114])
_HIGH = 32.0  # of 255; a lower step is no edge
_STILL = 1.0  # of 255 from a pixel to the next; less is not part of an edge


def edge_widths(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The widths in pixels of the edges that rows and columns of RGB (H, W, 3) cross, (n,).

    An edge is a run of pixels along which luma only rises or only falls, by 32 or more in all.
    Its width is that height over its steepest step, times the cosine of the angle at which it is
    crossed: 1 where a pixel differs from the next and nothing lies between. Edges are counted
    along the line that crosses them more squarely.
    """
    luma = picture @ _LUMA
    down, right = np.gradient(luma)
    return np.concatenate([_along_rows(luma, right, down), _along_rows(luma.T, down.T, right.T)])


def edge_width(picture: NDArray[np.uint8]) -> float:
    """The median of `edge_widths`; NaN where a picture has no edge."""
    widths = edge_widths(picture)
    return float(np.median(widths)) if len(widths) else float("nan")


def _along_rows(
    luma: NDArray[np.float64], along: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Widths of the edges that rows cross; `along` and `across` are luma's gradient."""
    steps = np.diff(luma, axis=1)
    sign = np.where(np.abs(steps) < _STILL, 0, np.sign(steps))
    fresh = np.ones(sign.shape, bool)
    fresh[:, 1:] = sign[:, 1:] != sign[:, :-1]
    starts = np.flatnonzero(fresh.ravel())
    if not len(starts):
        return np.zeros(0)
    size = np.abs(steps).ravel()
    height = np.add.reduceat(size, starts)
    steepest = np.maximum.reduceat(size, starts)
    # The direction is that of the sums over the run: one pixel's is rough.
    a = np.add.reduceat(np.abs(along[:, 1:]).ravel(), starts)
    b = np.add.reduceat(np.abs(across[:, 1:]).ravel(), starts)
    counted = (height >= _HIGH) & (sign.ravel()[starts] != 0) & (a >= b)
    length = np.hypot(a, b)[counted]  # 0 on a line one pixel wide, which has no direction
    cosine = np.divide(a[counted], length, out=np.ones_like(length), where=length > 0)
    widths: NDArray[np.float64] = height[counted] / steepest[counted] * cosine
    return widths
