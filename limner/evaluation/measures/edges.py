"""How wide the edges of a picture are. NumPy only."""

import numpy as np
from numpy.typing import NDArray

_LEAST = 24.0  # of 255: what changes by less is a shade, not an edge
_GREY = 127.5  # under what is clear: white and black both stand out

Floats = NDArray[np.float64]


def edge_width(pixels: NDArray[np.uint8]) -> float:
    """The median width in pixels of the edges of a straight RGBA picture (H, W, 4).

    Along each row and column a stretch on which luma only rises or only falls, by at least
    24 of 255, is an edge. Its width is the change divided by the steepest gradient on it, so that
    a sharp step has 1 and a slanted edge is no wider than a straight one. NaN without edges.
    """
    alpha = pixels[..., 3] / 255.0
    luma = (pixels[..., :3] @ np.array([0.299, 0.587, 0.114])) * alpha + _GREY * (1 - alpha)
    across, down = np.zeros_like(luma), np.zeros_like(luma)
    across[:, :-1] = np.diff(luma, axis=1)
    down[:-1] = np.diff(luma, axis=0)
    steepness = np.hypot(across, down)
    widths = np.concatenate([_widths(across, steepness), _widths(down.T, steepness.T)])
    return float(np.median(widths)) if len(widths) else float("nan")


def _widths(steps: Floats, steepness: Floats) -> Floats:
    """Widths of the edges along the rows of `steps` (H, W), the changes from pixel to pixel.

    The last column is 0, so that a stretch ends with its row.
    """
    flat, steep = steps.ravel(), steepness.ravel()
    sign = np.sign(flat)
    starts = np.flatnonzero(np.append(True, sign[1:] != sign[:-1]))
    change = np.abs(np.add.reduceat(flat, starts))
    steepest = np.maximum.reduceat(steep, starts)
    is_edge = change >= _LEAST
    # Where an edge runs along the row, what is steep there is another edge.
    lies_across = change * 1.5 >= steepest
    found: Floats = change[is_edge & lies_across] / steepest[is_edge & lies_across]
    return found
