"""Distributing areas over few sheets, and each sheet's soft membership.

Areas that are close to each other are on different sheets, so that a few planes hold any number of
areas (a greedy colouring of the graph of neighbours).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats, Ints
from limner.finish import colour_planes
from limner.finish.colour_planes import Paint
from limner.finish.regions import blurred, continued

APART_PX = 8  # areas nearer than this are on different sheets

_OFFSETS = [(0, 1), (1, 0), (0, 4), (4, 0), (0, 8), (8, 0), (6, 6), (6, -6), (3, 3), (3, -3)]
_SOFT_SIGMA = 1.6  # of the last blur, in pixels
_SHARPENING = 2.5  # of the decoder's soft edges
_REACH_SIGMA, _REACH_LEVEL = 1.6, 0.02  # a pixel uses sheets with this blurred membership
_ALIKE = 0.01  # squared difference of colours comparable to noise


@dataclass(frozen=True, eq=False)
class Sheets:
    """Areas on their sheets."""

    areas: Ints  # (H, W) numbers of areas
    sheet: Ints  # (n_areas,) the sheet of each
    memberships: Floats  # (S, H, W), the largest wins; soft, for enlargement
    paint: Paint


def sheets(areas: Ints, picture: Floats, steep: Floats, *, clear_below: bool = False) -> Sheets:
    """Distribute the areas (H, W) of a premultiplied picture (H, W, 4) over sheets.

    clear_below: clear areas get sheet 0, other areas that are not opaque the lowest sheets, and of
    the opaque ones the largest are the lowest. So sheets can be painted one over the other.
    """
    planes = colour_planes.planes_of(areas, picture, steep)
    near = _near(areas)
    if clear_below:
        rank = np.where(colour_planes.is_opaque(planes), 2, 1)
        rank[colour_planes.is_clear(planes)] = 0
        sheet = _stacked(near, rank, np.bincount(areas.ravel()))
    else:
        sheet = _colouring(near, near.sum(1))
    paint = colour_planes.paint(areas, sheet, planes, picture, steep)
    soft = _unmixed(sheet[areas], int(sheet.max()) + 1, paint, picture)
    return Sheets(areas, sheet, _gaussian(soft, _SOFT_SIGMA), paint)


def _near(areas: Ints) -> NDArray[np.bool_]:
    """Whether areas are within `APART_PX` of each other, (n, n)."""
    n = int(areas.max()) + 1
    near = np.zeros((n, n), bool)
    height, width = areas.shape
    for down, right in _OFFSETS:
        left, gap = max(0, -right), abs(right)
        if down >= height or gap >= width:
            continue
        a = areas[: height - down, left : width - gap + left]
        b = areas[down:, left + right : width - gap + left + right]
        near[a, b] = True
    near |= near.T
    np.fill_diagonal(near, False)
    return near


def _colouring(near: NDArray[np.bool_], weight: Ints) -> Ints:
    """A sheet for each area, different from those near it; by decreasing weight."""
    sheet = np.full(len(near), -1)
    for i in np.argsort(-weight, kind="stable"):
        taken = set(sheet[near[i]].tolist())
        sheet[i] = next(number for number in range(len(near) + 1) if number not in taken)
    return sheet


def _stacked(near: NDArray[np.bool_], rank: Ints, size: Ints) -> Ints:
    """Sheets of areas of equal rank, lowest rank first; rank 0 is a single sheet."""
    sheet = np.zeros(len(near), np.int64)
    lowest = 1
    for number in (1, 2):
        mine = np.flatnonzero(rank == number)
        if len(mine):
            sheet[mine] = lowest + _colouring(near[np.ix_(mine, mine)], size[mine])
            lowest = int(sheet[mine].max()) + 1
    return sheet


def _unmixed(labels: Ints, n: int, paint: Paint, picture: Floats) -> Floats:
    """Memberships (n, H, W) of sheets (H, W), with sub-pixel positions of edges.

    On an edge between colours A and B a pixel p is a mixture, and its share of B is
    (p - A).(B - A) / |B - A|^2. If the two are similar, the hard border is used.
    """
    around = blurred(labels, n, _REACH_SIGMA)
    soft = np.zeros_like(around)
    np.put_along_axis(soft, labels[None], 1, 0)
    np.put_along_axis(around, labels[None], -1, 0)
    rows, columns = np.nonzero(around.max(0) > _REACH_LEVEL)
    a, b = labels[rows, columns], around[:, rows, columns].argmax(0)
    colour = paint.at(a, rows, columns)
    step = paint.at(b, rows, columns) - colour
    squared = np.einsum("nc,nc->n", step, step)
    share = np.einsum("nc,nc->n", picture[rows, columns] - colour, step) / (squared + 1e-9)
    share = ((share - 0.5) * _SHARPENING + 0.5).clip(0, 1) * (squared / (squared + _ALIKE))
    soft[a, rows, columns] = 1 - share
    soft[b, rows, columns] = share
    return soft


def _gaussian(planes: Floats, sigma: float) -> Floats:
    reach = int(3 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    planes = continued(planes, reach, axis=1)
    for axis in (1, 2):
        n = planes.shape[axis] - 2 * reach
        shape = (*planes.shape[:axis], n, *planes.shape[axis + 1 :])
        total = np.zeros(shape, np.float32)
        for i, weight in enumerate(kernel):
            total += weight * (planes[:, i : i + n] if axis == 1 else planes[..., i : i + n])
        planes = total
    return planes
