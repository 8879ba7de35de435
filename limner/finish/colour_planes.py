"""A smooth colour for each area: a plane through its colours, plus visible residuals.

Colours are premultiplied RGBA in 0..1. Mixed pixels have less weight, so nothing leaks across an
edge.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats, Ints

CELL = 4  # pixels along a cell of the coarse grid that colours are kept on

_EDGE = 5.0  # a pixel with this steepness has half the weight
_UNSEEN = 0.016  # smaller residuals are noise: 4 of 255
_CLEAR, _SOLID = 0.12, 0.9  # alpha of an area below and above is set to 0 and 1
_SMUDGE = 0.01  # area as a fraction of the picture
_RIDGE = 0.02  # regularisation of slopes
_MIN_GRADIENT = 0.02  # an area whose plane changes by less gets one colour


@dataclass(frozen=True, eq=False)
class Paint:
    """The colours of areas, by sheet and pixel."""

    planes: Floats  # (n_areas, 3, 4): colour = [1, x, y] @ plane, x and y in pixels
    grid: Floats  # (S, rows, columns, 4): colours at cell centres, extrapolated outwards

    def at(self, sheet: Ints, rows: Ints, columns: Ints) -> Floats:
        """The colours (N, 4) at pixels, interpolated between cell centres."""
        y, x = ((np.stack([rows, columns]) + 0.5) / CELL - 0.5).clip(0)
        last_y, last_x = self.grid.shape[1] - 1, self.grid.shape[2] - 1
        y0, x0 = np.minimum(y.astype(int), last_y), np.minimum(x.astype(int), last_x)
        y1, x1 = np.minimum(y0 + 1, last_y), np.minimum(x0 + 1, last_x)
        v, u = (y - y0)[:, None], (x - x0)[:, None]
        upper = self.grid[sheet, y0, x0] * (1 - u) + self.grid[sheet, y0, x1] * u
        lower = self.grid[sheet, y1, x0] * (1 - u) + self.grid[sheet, y1, x1] * u
        found: Floats = (upper * (1 - v) + lower * v).astype(np.float32)
        return found


def is_clear(planes: Floats) -> NDArray[np.bool_]:
    """Whether areas are invisible, (n,)."""
    return np.logical_not(planes[..., 3].any(1))


def is_opaque(planes: Floats) -> NDArray[np.bool_]:
    """Whether areas hide what is below them, (n,)."""
    opaque: NDArray[np.bool_] = (planes[:, 0, 3] == 1) & ~planes[:, 1:, 3].any(1)
    return opaque


def paint(areas: Ints, sheet: Ints, planes: Floats, picture: Floats, steep: Floats) -> Paint:
    """Colours of the areas (H, W) of a premultiplied picture (H, W, 4), on their sheets."""
    weight = _weight(steep)
    height, width = areas.shape
    rows, columns = -(-height // CELL), -(-width // CELL)
    y, x = np.divmod(np.arange(height * width), width)
    flat = areas.ravel()
    number = sheet[flat] * (rows * columns) + (y // CELL) * columns + x // CELL
    n = (int(sheet.max()) + 1) * rows * columns
    lacking = picture.reshape(-1, 4) - _at(planes, flat, x, y)
    n_areas = len(planes)
    alpha = np.bincount(flat, lacking[:, 3], n_areas) / np.bincount(flat, minlength=n_areas)
    lacking[(is_clear(planes) | (np.abs(alpha) > 1 - _SOLID))[flat]] = 0
    lacking[is_opaque(planes)[flat], 3] = 0
    w = weight.ravel()
    sums: Floats = np.stack(
        [np.bincount(number, w, n)] + [np.bincount(number, lacking[:, c] * w, n) for c in range(4)]
    )
    blurred = _tent(_tent(sums.reshape(5, -1, rows, columns)))
    rest = (blurred[1:] / np.maximum(blurred[0], 1e-6)).transpose(1, 2, 3, 0)
    length = np.sqrt((rest**2).sum(-1, keepdims=True))
    rest *= np.maximum(0, 1 - _UNSEEN / np.maximum(length, 1e-6))
    grid = _base(planes, areas, sheet, rows, columns) + rest
    alpha = grid[..., 3:].clip(0, 1)
    colours = np.concatenate([grid[..., :3].clip(0, alpha), alpha], -1)
    return Paint(planes, colours.astype(np.float32))


def _weight(steep: Floats) -> Floats:
    weight: Floats = (1 / (1 + (steep / _EDGE) ** 4)).astype(np.float32) + np.float32(1e-3)
    return weight


def planes_of(areas: Ints, picture: Floats, steep: Floats) -> Floats:
    """Least-squares planes (n_areas, 3, 4) of the colours of each area.

    Slopes are slightly regularised, and dropped if they would not be visible.
    """
    weight = _weight(steep)
    height, width = areas.shape
    y, x = np.mgrid[0:height, 0:width].reshape(2, -1).astype(np.float64)
    flat, w, values = areas.ravel(), weight.ravel().astype(np.float64), picture.reshape(-1, 4)
    n = int(flat.max()) + 1
    total = np.bincount(flat, w, n)
    middle = np.stack([np.bincount(flat, w * x, n), np.bincount(flat, w * y, n)]) / total
    dx, dy = x - middle[0][flat], y - middle[1][flat]
    mean = np.stack([np.bincount(flat, w * values[:, c], n) for c in range(4)], 1) / total[:, None]
    xx, xy, yy = (np.bincount(flat, w * a * b, n) for a, b in ((dx, dx), (dx, dy), (dy, dy)))
    ridge = _RIDGE * (xx + yy) + 1e-6 * total + 1e-9
    normal = np.stack([xx + ridge, xy, xy, yy + ridge], -1).reshape(n, 2, 2)
    right = np.stack(
        [
            np.stack([np.bincount(flat, w * d * values[:, c], n) for c in range(4)], 1)
            for d in (dx, dy)
        ],
        axis=1,
    )
    slope = np.linalg.solve(normal, right)
    deviation = np.sqrt(
        np.maximum((xx[:, None] * slope[:, 0] ** 2 + yy[:, None] * slope[:, 1] ** 2), 0)
        / total[:, None]
    )
    slope[np.sqrt((deviation**2).sum(1)) < _MIN_GRADIENT] = 0
    # A small half-transparent area is an artefact; make it clear or opaque.
    smudge = np.bincount(flat, minlength=n) < _SMUDGE * flat.size
    clear = mean[:, 3] < np.where(smudge, 0.5, _CLEAR)
    solid = mean[:, 3] > np.where(smudge, 0.5, _SOLID)
    for colour in (mean[:, :3], slope[:, 0, :3], slope[:, 1, :3]):
        colour[solid] /= mean[solid, 3:]
    slope[clear], mean[clear] = 0, 0
    slope[solid, :, 3], mean[solid, 3] = 0, 1
    start = mean - middle[0][:, None] * slope[:, 0] - middle[1][:, None] * slope[:, 1]
    return np.concatenate([start[:, None], slope], 1).astype(np.float32)


def squared_errors(planes: Floats, areas: Ints, picture: Floats) -> Floats:
    """Squared distance (H, W) of the picture from the planes of its areas."""
    y, x = np.divmod(np.arange(areas.size), areas.shape[1])
    lacking = picture.reshape(-1, 4) - _at(planes, areas.ravel(), x, y)
    error: Floats = np.einsum("nc,nc->n", lacking, lacking).reshape(areas.shape)
    return error


def _at(planes: Floats, area: Ints, x: Ints, y: Ints) -> Floats:
    found: Floats = planes[area, 0] + planes[area, 1] * x[:, None] + planes[area, 2] * y[:, None]
    return found


def _base(planes: Floats, areas: Ints, sheet: Ints, rows: int, columns: int) -> Floats:
    """Each sheet's planes at cell centres (S, rows, columns, 4), of the nearest area."""
    n_sheets = int(sheet.max()) + 1
    owner = np.full((n_sheets, rows, columns), -1)
    y, x = np.divmod(np.arange(areas.size), areas.shape[1])
    flat = areas.ravel()
    owner[sheet[flat], y // CELL, x // CELL] = flat
    for _ in range(3):
        owner = _grown(owner)
    first = np.zeros(n_sheets, int)
    first[sheet[::-1]] = np.arange(len(sheet))[::-1]
    owner = np.where(owner < 0, first[:, None, None], owner)
    middle_y = (np.arange(rows) + 0.5) * CELL - 0.5
    middle_x = (np.arange(columns) + 0.5) * CELL - 0.5
    found: Floats = (
        planes[owner, 0]
        + planes[owner, 1] * middle_x[:, None]
        + planes[owner, 2] * middle_y[:, None, None]
    )
    return found


def _grown(owner: Ints) -> Ints:
    padded = np.pad(owner, ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        seen = padded[:, down : down + owner.shape[1], right : right + owner.shape[2]]
        owner = np.where(owner < 0, seen, owner)
    return owner


def _tent(planes: Floats) -> Floats:
    """(…, H, W) blurred by [1, 2, 1] / 4 along both sides."""
    padded = np.pad(planes, ((0, 0), (0, 0), (1, 1), (0, 0)))
    planes = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 4
    padded = np.pad(planes, ((0, 0), (0, 0), (0, 0), (1, 1)))
    found: Floats = (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
    return found
