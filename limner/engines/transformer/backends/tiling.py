"""Large pictures through an upscaler band by band, so that memory does not grow with them.

An upscaler looks at a few pixels around each one. A band that is given as many beyond its edges
gives the very numbers that the whole picture would.
"""

from collections.abc import Callable

import numpy as np

from limner.arrays import Floats32

# Pixels that go through at once: the second pass of a square picture. Smaller bands are slower.
_MOST_PX = 384**2


def in_bands(
    enlarge: Callable[[Floats32], Floats32], pictures: Floats32, reach: int, most_px: int = _MOST_PX
) -> Floats32:
    """What `enlarge` makes of pictures (B, C, H, W) of any sides, at most `most_px` at a time.

    reach: how far from a pixel `enlarge` looks. Pictures are cut across their longer side.
    """
    rows, columns = pictures.shape[2:]
    if rows * columns <= most_px:
        return enlarge(pictures)
    axis, length, across = (2, rows, columns) if rows > columns else (3, columns, rows)
    band = max(1, 2 * reach, most_px // across)
    found = []
    for start in range(0, length, band):
        end = min(start + band, length)
        first, last = max(0, start - reach), min(length, end + reach)
        larger = enlarge(_cut(pictures, axis, first, last))
        factor = larger.shape[axis] // (last - first)
        found.append(_cut(larger, axis, (start - first) * factor, (end - first) * factor))
    return np.concatenate(found, axis)


def _cut(pictures: Floats32, axis: int, first: int, last: int) -> Floats32:
    return pictures[:, :, first:last] if axis == 2 else pictures[..., first:last]
