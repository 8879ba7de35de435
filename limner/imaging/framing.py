"""A part of a picture in the middle of a clear square."""

import numpy as np

from limner.arrays import Bools, Pixels

_MARGIN = 0.04  # around the part, of its longer side


def framed(pixels: Pixels, visible: Bools) -> Pixels:
    """The part of a picture (h, w, 4) around `visible` (h, w), in the middle of a clear square."""
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    part = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = part.shape[:2]
    side = max(height, width)
    side += 2 * round(_MARGIN * side)
    square = np.zeros((side, side, 4), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = part
    return square
