"""A small picture to codes and back, on a canvas of any size, with graphs that know one square."""

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Ints
from limner.engines.transformer.onnx_backend import OnnxNetwork
from limner.sampling.canvas import Canvas

Array = NDArray[np.float32]


def encoded(network: OnnxNetwork, picture: Array, canvas: Canvas) -> Ints:
    """Codes (n_cells, n_groups) of a canvas' picture (4, h, w), premultiplied in [0, 1].

    A cell has its code from the square that it lies farthest inside of.
    """
    shape = network.shape
    px = cell_px(network)
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
        places = canvas.square(corner)
        # One at a time: arrays of the same shape whatever the canvas.
        codes = network.codes(square[None])[0]
        better = own_depth > depth[places]
        found[places[better]] = codes[better]
        depth[places[better]] = own_depth[better]
    return found


def decoded(network: OnnxNetwork, codes: Ints, canvas: Canvas) -> Array:
    """The small picture (4, h, w), premultiplied in [0, 1], of a canvas' codes.

    Squares overlap by half, and blend from one's middle to the next one's.
    """
    shape = network.shape
    px = cell_px(network)
    corners = canvas.corners(shape.grid // 2)
    if len(corners) == 1:
        only: Array = network.pixels(codes[None])[0]
        return only
    side = shape.grid * px
    weight = _depth(side).reshape(side, side).astype(np.float32)
    total = np.zeros((4, canvas.rows * px, canvas.columns * px), np.float32)
    weights = np.zeros((canvas.rows * px, canvas.columns * px), np.float32)
    for corner in corners:
        where = tuple(slice(start * px, start * px + side) for start in corner)
        square = network.pixels(codes[canvas.square(corner)][None])[0]
        total[:, *where] += square * weight
        weights[where] += weight
    blended: Array = total / weights
    return blended


def cell_px(network: OnnxNetwork) -> int:
    """Pixels along a cell of the small picture."""
    config = network.config["model"]["image_tokenizer"]
    return int(config["image_px"]) // network.shape.grid


def _depth(side: int) -> NDArray[np.float64]:
    """How far each place of a square lies from its nearest edge, (side * side,), above 0."""
    line = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
    return np.minimum(line[:, None], line[None]).ravel()
