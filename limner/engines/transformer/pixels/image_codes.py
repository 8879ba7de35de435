"""A small picture to codes and back, on a canvas of any size; the networks know one square."""

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats32, Ints
from limner.engines.transformer.backend import Backend, cell_px
from limner.sampling.canvas import Canvas


def encoded(backend: Backend, picture: Floats32, canvas: Canvas) -> Ints:
    """Codes (n_cells, n_groups) of a canvas' picture (4, h, w), premultiplied in [0, 1].

    A cell has its code from the square that it lies farthest inside of.
    """
    shape = backend.shape
    px = cell_px(backend)
    corners = canvas.corners(shape.grid // 2)
    squares = np.stack(
        [
            picture[:, r * px : (r + shape.grid) * px, c * px : (c + shape.grid) * px]
            for r, c in corners
        ]
    )
    found = np.zeros((canvas.n_cells, shape.n_groups), np.int64)
    depth = np.full(canvas.n_cells, -1.0)
    own_depth = _depth(shape.grid)
    for corner, square in zip(corners, squares, strict=True):
        positions = canvas.square(corner)
        # One at a time: arrays of the same shape whatever the canvas.
        codes = backend.codes(square[None])[0]
        better = own_depth > depth[positions]
        found[positions[better]] = codes[better]
        depth[positions[better]] = own_depth[better]
    return found


def decoded(backend: Backend, codes: Ints, canvas: Canvas) -> Floats32:
    """The small picture (4, h, w), premultiplied in [0, 1], of a canvas' codes.

    Squares overlap by half, and blend from one's middle to the next one's.
    """
    shape = backend.shape
    px = cell_px(backend)
    corners = canvas.corners(shape.grid // 2)
    if len(corners) == 1:
        only: Floats32 = backend.pixels(codes[None])[0]
        return only
    side = shape.grid * px
    weight = _depth(side).reshape(side, side).astype(np.float32)
    total = np.zeros((4, canvas.rows * px, canvas.columns * px), np.float32)
    weights = np.zeros((canvas.rows * px, canvas.columns * px), np.float32)
    for corner in corners:
        where = tuple(slice(start * px, start * px + side) for start in corner)
        square = backend.pixels(codes[canvas.square(corner)][None])[0]
        total[:, *where] += square * weight
        weights[where] += weight
    blended: Floats32 = total / weights
    return blended


def _depth(side: int) -> NDArray[np.float64]:
    """How far each cell of a square lies from its nearest edge, (side * side,), above 0."""
    line = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
    return np.minimum(line[:, None], line[None]).ravel()
