"""Outlines of where a field is positive (marching squares, Lorensen and Cline 1987 in 2-D)."""

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats

Points = NDArray[np.float64]  # (n, 2): x, y

# Corners of a cell clockwise from the upper left; edge e runs from corner e to the next.
_CORNERS = ((0, 0), (0, 1), (1, 1), (1, 0))


def _segments() -> list[list[tuple[int, int]]]:
    """The segments (from edge, to edge) of the outline in each of the 16 cell types.

    All segments have the same orientation, so that those of neighbouring cells join head to tail.
    """
    table = []
    for case in range(16):
        inside = [bool(case >> corner & 1) for corner in range(4)]
        enters = [not inside[edge] and inside[(edge + 1) % 4] for edge in range(4)]
        table.append(
            [
                (edge, next((edge + k) % 4 for k in (1, 2, 3) if enters[(edge + k) % 4]))
                for edge in range(4)
                if inside[edge] and not inside[(edge + 1) % 4]
            ]
        )
    return table


_TABLE = _segments()


def outlines(field: Floats) -> list[Points]:
    """Closed outlines of `field` (H, W) > 0, in sample coordinates; (0, 0) is the first sample.

    The field must be negative along its border. Crossings between samples are interpolated
    linearly.
    """
    height, width = field.shape
    inside = field > 0
    case = np.zeros((height - 1, width - 1), np.int64)
    for corner, (down, right) in enumerate(_CORNERS):
        case += inside[down : height - 1 + down, right : width - 1 + right] << corner
    following: dict[int, int] = {}
    for number in range(1, 15):
        rows, columns = np.nonzero(case == number)
        for start, end in _TABLE[number]:
            from_edge = _edge(start, rows, columns, field.shape).tolist()
            following.update(
                zip(from_edge, _edge(end, rows, columns, field.shape).tolist(), strict=True)
            )
    loops = []
    while following:
        edge = first = next(iter(following))
        loop = []
        while True:
            loop.append(edge)
            edge = following.pop(edge)
            if edge == first:
                break
        loops.append(_places(np.array(loop), field))
    return loops


def _edge(
    edge: int, rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """A unique number for an edge of each cell, equal for both cells that share it."""
    height, width = shape
    if edge in (0, 2):
        return (rows + (edge == 2)) * width + columns
    return height * width + rows * width + columns + (edge == 1)


def _places(edges: NDArray[np.int64], field: Floats) -> Points:
    is_down, number = np.divmod(edges, field.size)
    rows, columns = np.divmod(number, field.shape[1])
    a = field[rows, columns].astype(np.float64)
    b = field[rows + is_down, columns + 1 - is_down].astype(np.float64)
    share = a / (a - b)
    return np.stack([columns + share * (1 - is_down), rows + share * is_down], 1)
