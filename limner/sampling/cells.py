"""The cells of a layout as arrays: their owners, positions and drawing order.

NumPy only, shared by training and every engine. A sequence of the decoder has elements: first one
[BEGIN] for each owner (the things in order, then the ground if any cell is ground), then the cells.
An element has two positions, within its owner's box and on the canvas, both as a blend of four rows
of a table for side × side cells. A box of side × side cells has exactly that table's rows.
"""

from dataclasses import dataclass, fields

import numpy as np

from limner.arrays import Floats, Floats32, Ints
from limner.planning.layout import (
    GROUND,
    Box,
    Layout,
    owner,
)
from limner.sampling.sampling import spread_order


@dataclass(frozen=True)
class Positions:
    """Positions of n elements, (n,) or (n, ...) each; batches have leading dimensions."""

    owner: Ints  # (n,) index of the thing; the ground's is the number of things
    corners: Ints  # (n, 4) rows of the table of positions within the owner's box
    shares: Floats32  # (n, 4) their shares, which sum to 1
    canvas_corners: Ints  # (n, 4) rows of the table of positions on the canvas
    canvas_shares: Floats32  # (n, 4)
    size: Floats32  # (n, 2) log2 of the box's width and height, of `side` cells
    position: Ints  # (n, 2) row and column on the canvas; for a [BEGIN] those of its box

    def take(self, index: Ints) -> "Positions":
        """The elements at `index` (m,)."""
        return Positions(*(getattr(self, f.name)[index] for f in fields(self)))


def n_owners(layout: Layout) -> int:
    """Number of [BEGIN] elements: the things, and the ground if any cell is ground."""
    return len(layout.things) + (GROUND in owner(layout))


def positions(layout: Layout, side: int) -> Positions:
    """All elements of a layout, [BEGIN] first, for tables of side × side positions.

    A [BEGIN] has no position within its box: it uses row side * side of the table.
    """
    owners = np.array(owner(layout))
    owners[owners == GROUND] = len(layout.things)
    canvas = Box(0, 0, layout.columns, layout.rows)
    boxes = [thing.box for thing in layout.things]
    boxes += [canvas] * (n_owners(layout) - len(boxes))
    of_owner = np.array([(b.x, b.y, b.width, b.height) for b in boxes])
    whose = np.concatenate([np.arange(len(boxes)), owners])
    left, top, width, height = of_owner[whose].T
    rows, columns = np.divmod(np.arange(layout.rows * layout.columns), layout.columns)
    n = len(boxes)
    row, column = np.concatenate([top[:n], rows]), np.concatenate([left[:n], columns])
    corners, shares = _blend((row - top + 0.5) / height, (column - left + 0.5) / width, side)
    corners[:n], shares[:n] = side * side, (1, 0, 0, 0)
    middle_row, middle_column = row + 0.5, column + 0.5
    middle_row[:n], middle_column[:n] = (top + height / 2)[:n], (left + width / 2)[:n]
    on_canvas = _blend(middle_row / layout.rows, middle_column / layout.columns, side)
    size = np.log2(np.stack([width, height], axis=-1) / side).astype(np.float32)
    return Positions(whose, corners, shares, *on_canvas, size, np.stack([row, column], axis=-1))


def _blend(down: Floats, right: Floats, side: int) -> tuple[Ints, Floats32]:
    """Rows (n, 4) of a side × side table and shares (n, 4) for points in 0..1: bilinear."""
    y, x = (np.clip(part * side - 0.5, 0, side - 1) for part in (down, right))
    top, left = (np.floor(part + 1e-6).astype(np.int64) for part in (y, x))
    below, beside = np.minimum(top + 1, side - 1), np.minimum(left + 1, side - 1)
    dy, dx = np.maximum(y - top, 0), np.maximum(x - left, 0)
    corners = np.stack([top, top, below, below]) * side + np.stack([left, beside, left, beside])
    shares = np.stack([(1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx])
    return corners.T.copy(), shares.T.astype(np.float32)


def drawing_order(layout: Layout) -> Ints:
    """All cells, (rows * columns,), in drawing order.

    The cells of each thing are in `spread_order` of its box, and the things advance in parallel.
    The ground comes after all things, in `spread_order` of the canvas.
    """
    owners = np.array(owner(layout))
    pace = np.empty(len(owners))
    whole = Box(0, 0, layout.columns, layout.rows)
    for index, box in [(GROUND, whole), *((i, t.box) for i, t in enumerate(layout.things))]:
        order = spread_order(box.width, box.height)
        rank = np.empty(len(order))
        rank[order] = (np.arange(len(order)) + 0.5) / len(order)
        rows, columns = np.divmod(np.arange(len(order)), box.width)
        cells = (rows + box.y) * layout.columns + columns + box.x
        own = owners[cells] == index
        pace[cells[own]] = rank[own] + (index == GROUND)
    by_pace: Ints = np.argsort(pace, kind="stable")
    return by_pace
