"""Rendering sheets at any size, with anti-aliased edges where memberships cross.

The output is cut into tiles. Most have one area and are just filled; where several meet, their
memberships are enlarged by cubic B-splines and compared. Tiles are drawn row by row, which bounds
memory.
"""

from dataclasses import dataclass
from itertools import combinations
from math import ceil

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats
from limner.finish.colour_planes import CELL
from limner.finish.regions import continued
from limner.finish.sheets import Sheets

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the sheets

_TILE = 32  # output pixels
_EDGE_PX = 1.25  # width of an edge in output pixels
_SLOPE = 0.235  # of a membership across a straight edge, per pixel of the sheets
_MOST_REDUCED = 1.5  # pixels of the sheets for one; far beyond, no membership is whole
_ALIKE = 0.2  # distance of colours, premultiplied RGBA, at which they are alike by 1 / e
_ALONE = np.float32(1e-3)  # added to how alike a sheet is to two others that it is unlike
_SEEN = 0.02  # a membership below it in a whole tile is ignored


@dataclass(frozen=True)
class _Axis:
    """How tiles along one side map to source pixels."""

    starts: NDArray[np.int64]  # (n,) first source pixel of each tile, in padded coordinates
    weights: Floats  # (n, T, P)

    @property
    def n_source(self) -> int:
        return self.weights.shape[2]


def raster(sheets: Sheets, width: int, height: int, box: Box | None = None) -> NDArray[np.uint8]:
    """Render `box` of the sheets (default: all) as premultiplied pixels (height, width, 4).

    A picture much smaller than the sheets is rendered larger, and reduced by means of squares.
    """
    rows, columns = sheets.areas.shape
    left, top, right, bottom = whole = box or (0.0, 0.0, float(columns), float(rows))
    factor = ceil(max((bottom - top) / height, (right - left) / width) / _MOST_REDUCED)
    if factor <= 1:
        return _raster(sheets, width, height, whole)
    large = _raster(sheets, width * factor, height * factor, whole)
    squares = large.reshape(height, factor, width, factor, 4).sum((1, 3), dtype=np.uint32)
    return ((squares + factor**2 // 2) // factor**2).astype(np.uint8)


def _raster(sheets: Sheets, width: int, height: int, box: Box) -> NDArray[np.uint8]:
    rows, columns = sheets.areas.shape
    left, top, right, bottom = box
    ys, xs = _axis(top, bottom, height, rows, 4), _axis(left, right, width, columns, 4)
    yc = _axis(top / CELL, bottom / CELL, height, sheets.paint.grid.shape[1], 2)
    xc = _axis(left / CELL, right / CELL, width, sheets.paint.grid.shape[2], 2)
    members = continued(sheets.memberships, _PAD, axis=1)
    members = np.pad(members, ((0, 0), (0, ys.n_source), (0, xs.n_source)), "edge")
    grid = np.pad(
        sheets.paint.grid, ((0, 0), (_PAD, yc.n_source), (_PAD, xc.n_source), (0, 0)), "edge"
    )
    scale = max((bottom - top) / height, (right - left) / width)
    gain = np.float32(1 / (2 * _SLOPE * scale * _EDGE_PX))
    found = np.zeros((len(ys.starts), _TILE, len(xs.starts), _TILE, 4), np.uint8)
    for i in range(len(ys.starts)):
        band = _patches(members, ys.starts[i], ys.n_source, xs)
        colours = _patches(grid.transpose(0, 3, 1, 2), yc.starts[i], yc.n_source, xc)
        seen = band.max((2, 3)) > _SEEN
        seen[np.arange(len(band)), band.max((2, 3)).argmax(1)] = True
        n_seen = seen.sum(1)
        for n in np.unique(n_seen):
            tiles = np.flatnonzero(n_seen == n)
            which = np.nonzero(seen[tiles])[1].reshape(-1, n)
            if n == 1:  # most tiles of a drawing are clear, and stay as they are
                is_painted = colours[tiles, which[:, 0]].any((1, 2, 3))
                tiles, which = tiles[is_painted], which[is_painted]
                if not len(tiles):
                    continue
            painted = _enlarged(colours[tiles[:, None], which], yc.weights[i], xc.weights[tiles])
            if n == 1:
                mixed = painted[:, 0]
            else:
                large = _enlarged(band[tiles[:, None], which], ys.weights[i], xs.weights[tiles])
                shares = _shares(large, painted, gain)
                mixed = shares[:, 0, None] * painted[:, 0]
                for k in range(1, n):
                    mixed += shares[:, k, None] * painted[:, k]
            mixed *= 255
            mixed += 0.5
            found[i][:, tiles] = mixed.astype(np.uint8).transpose(2, 0, 3, 1)
    whole = found.reshape(len(ys.starts) * _TILE, -1, 4)
    return np.ascontiguousarray(whole[:height, :width])


_PAD = 3


def _axis(start: float, end: float, n: int, n_source: int, taps: int) -> _Axis:
    """Tiles of n output pixels that show `start` to `end` of a line of source pixels."""
    n_tiles = -(-n // _TILE)
    positions = start + (np.arange(n_tiles * _TILE) + 0.5) * ((end - start) / n) - 0.5
    positions = positions.clip(-1, n_source).reshape(n_tiles, _TILE)
    first = np.floor(positions).astype(np.int64) - (taps // 2 - 1)
    starts = first[:, 0]
    width = int((first[:, -1] - starts).max()) + taps
    distance = positions[..., None] - (starts[:, None, None] + np.arange(width))
    weights = _cubic(distance) if taps == 4 else np.maximum(0, 1 - np.abs(distance))
    return _Axis(starts + _PAD, weights.astype(np.float32))


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The uniform cubic B-spline."""
    x = np.abs(x)
    near = 2 / 3 - x**2 + x**3 / 2
    return np.where(x < 1, near, np.maximum(2 - x, 0) ** 3 / 6)


def _patches(planes: Floats, start: int, n_rows: int, xs: _Axis) -> Floats:
    """(tiles, …, n_rows, P) of planes (…, H, W)."""
    band = planes[..., start : start + n_rows, :]
    columns = xs.starts[:, None] + np.arange(xs.n_source)
    return np.moveaxis(band[..., columns], -2, 0)


def _enlarged(patches: Floats, down: Floats, across: Floats) -> Floats:
    """(N, …, T, T) of patches (N, …, P, Q), by weights (T, P) and (N, T, Q)."""
    n, *middle, _, q = patches.shape
    tall = np.matmul(down, patches).reshape(n, -1, q)
    return np.matmul(tall, across.transpose(0, 2, 1)).reshape(n, *middle, _TILE, _TILE)


def _shares(memberships: Floats, colours: Floats, gain: np.float32) -> Floats:
    """The share of each pixel that a sheet covers, (N, M, T, T), by colours (N, M, 4, T, T).

    Each is compared with every other one. The membership of a third goes to the one of the two that
    it is alike: where a red area meets two yellows, its edge is towards both, and does not bulge
    into the seam between them.
    """
    if memberships.shape[1] == 2:
        share = ((memberships[:, :1] - memberships[:, 1:]) * gain + np.float32(0.5)).clip(0, 1)
        return np.concatenate([share, 1 - share], 1)
    n = memberships.shape[1]
    own, alike = list(memberships.transpose(1, 0, 2, 3)), _alike(colours)
    share = np.ones_like(memberships)
    for k, j in combinations(range(n), 2):
        ahead = own[k] - own[j]
        for other in set(range(n)) - {k, j}:
            to_k, to_j = alike[k, other], alike[j, other]
            ahead += own[other] * ((to_k**2 - to_j**2) / (to_k + to_j + _ALONE))
        ahead = (ahead * gain + np.float32(0.5)).clip(0, 1)
        np.minimum(share[:, k], ahead, out=share[:, k])
        np.minimum(share[:, j], 1 - ahead, out=share[:, j])
    share += np.float32(1e-6) * memberships
    share /= share.sum(1, keepdims=True)
    return share


def _alike(colours: Floats) -> dict[tuple[int, int], Floats]:
    """For each two sheets how alike their colours are, (N, T, T) from 0 to 1."""
    found = {}
    for k, j in combinations(range(colours.shape[1]), 2):
        squares = ((colours[:, k] - colours[:, j]) ** 2).sum(1)
        found[k, j] = found[j, k] = np.exp(squares * np.float32(-1 / _ALIKE**2))
    return found
