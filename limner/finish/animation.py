"""Animating a drawing: the line boil of hand-drawn film.

In hand-drawn film every line is redrawn for each frame, slightly displaced. Here each frame is the
picture with its pixels shifted by a smooth random field. Content, colours and details are kept.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.arrays import Floats, Pixels

# The shift is the sum of random fields: nodes along the shorter side, and the standard deviation as
# a fraction of it. The first moves parts against each other, the second bends lines.
_FIELDS = ((4, 0.005), (11, 0.0022))
_FARTHEST = 0.02  # largest shift, as a fraction of the shorter side
_QUADS = 24  # along the shorter side; within each the shift is bilinear


def frames(pixels: Pixels, n: int, seed: int, index: int = 0) -> Iterator[Pixels]:
    """Yield n frames of straight RGBA pixels (H, W, 4), of the same shape.

    The same pixels, seed and index give the same frames. The first is the picture itself.
    """
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    margin = int(np.ceil(_FARTHEST * shorter)) + 1  # the edge is extended
    padded = Image.fromarray(np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), "edge"))
    ys, xs = (_lines(side, shorter) for side in (height, width))
    for number in range(n):
        if number == 0:
            yield pixels
            continue
        shift = _shift((index, number), seed, len(ys), len(xs), shorter)
        mesh = _mesh(ys, xs, shift + margin)
        moved = padded.transform(
            (width, height), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR
        )
        yield np.asarray(moved)


def _lines(side: int, shorter: int) -> NDArray[np.int64]:
    """The borders of quads along a side, in whole pixels, without repetition."""
    n = max(1, round(_QUADS * side / shorter))
    return np.unique(np.rint(np.linspace(0, side, n + 1)).astype(np.int64))


def _shift(key: tuple[int, int], seed: int, rows: int, columns: int, shorter: int) -> Floats:
    """A smooth random shift (2, rows, columns) of the corners of quads: down and right, in px."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    total = np.zeros((2, rows, columns), np.float32)
    for n_nodes, deviation in _FIELDS:
        shape = [max(2, round(n_nodes * n / min(rows, columns))) for n in (rows, columns)]
        nodes = rng.standard_normal((2, *shape)).astype(np.float32)
        for axis in (0, 1):
            smooth = Image.fromarray(nodes[axis]).resize((columns, rows), Image.Resampling.BICUBIC)
            total[axis] += np.asarray(smooth) * np.float32(deviation * shorter)
    farthest = _FARTHEST * shorter
    return total.clip(-farthest, farthest)


def _mesh(
    ys: NDArray[np.int64], xs: NDArray[np.int64], shift: Floats
) -> Sequence[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Quads for Pillow: a box of the result, and the corners of its source,
    counter-clockwise from the upper left."""
    y, x = ys[:, None] + shift[0], xs + shift[1]
    mesh = []
    for i in range(len(ys) - 1):
        for j in range(len(xs) - 1):
            around = ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1))
            corners = tuple(float(v) for at in around for v in (x[at], y[at]))
            mesh.append(((int(xs[j]), int(ys[i]), int(xs[j + 1]), int(ys[i + 1])), corners))
    return mesh
