"""Placing: boxes for things with relations, on a canvas of any shape.

Things that touch (on, inside, in front of) form a block. Blocks are arranged in rows. Every order
of the blocks and number of rows is scored by fulfilled relations, fulfilled places and the size of
the things; the best one is used. NumPy only, some milliseconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise, permutations
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats
from limner.planning.layout import Box

RELATIONS = ("left of", "above", "on", "inside", "in front of", "next to", "between")
PLACES = {  # centres as fractions of the canvas
    "left": (0.2, 0.5), "right": (0.8, 0.5), "top": (0.5, 0.2), "bottom": (0.5, 0.8),
    "middle": (0.5, 0.5), "top left": (0.2, 0.2), "top right": (0.8, 0.2),
    "bottom left": (0.2, 0.8), "bottom right": (0.8, 0.8),
}  # fmt: skip
SIZES = (0.66, 0.8, 0.92, 1.06, 1.22)  # drawn size by natural size
_TOUCHING = ("on", "inside", "in front of")
_LARGEST = 13 / 24  # of the canvas's shorter side, for a thing of size 1
_SMALLEST = 3  # cells
_MOST_ORDERS = 360

Relation = tuple[int, str, int]  # (first thing, relation, second thing)


@dataclass(frozen=True)
class Item:
    """A thing to place."""

    size: int = 2  # 0 (a bee) to 4 (a house)
    place: str = ""  # a key of PLACES, or empty


@dataclass
class _Block:
    """Things that touch, with squares (x, y, side) relative to the block's upper left corner."""

    squares: dict[int, tuple[float, float, float]] = field(default_factory=dict)

    @property
    def width(self) -> float:
        return max(x + side for x, _, side in self.squares.values())

    @property
    def height(self) -> float:
        return max(y + side for _, y, side in self.squares.values())

    def centred(self) -> None:
        """Move the squares so that the upper left corner is (0, 0)."""
        left = min(x for x, _, _ in self.squares.values())
        top = min(y for _, y, _ in self.squares.values())
        self.squares = {i: (x - left, y - top, s) for i, (x, y, s) in self.squares.items()}


def place(
    items: Sequence[Item],
    relations: Sequence[Relation],
    columns: int,
    rows: int,
    rng: np.random.Generator,
) -> tuple[list[Box], list[int]]:
    """A square box for each item, and the painting order.

    Contradictory relations are fulfilled as far as possible. The same state of `rng` gives the same
    boxes. Raises ValueError if there are no items.
    """
    if not items:
        raise ValueError("there is nothing to place")
    blocks, paint = _blocks(items, relations, rng)
    best = _arrangement(blocks, items, relations, columns, rows, rng)
    boxes = _boxes(blocks, best, items, columns, rows, rng)
    return [boxes[i] for i in range(len(items))], paint


# --- blocks --------------------------------------------------------------------------------------


def _blocks(
    items: Sequence[Item], relations: Sequence[Relation], rng: np.random.Generator
) -> tuple[list[_Block], list[int]]:
    """The blocks, and all things in painting order, back to front."""
    riders: dict[int, list[tuple[int, str]]] = {}
    parent: dict[int, int] = {}
    for first, name, second in relations:
        if name in _TOUCHING and first not in parent and not _is_under(second, first, parent):
            parent[first] = second
            riders.setdefault(second, []).append((first, name))
    blocks: list[_Block] = []
    paint: list[int] = []
    for root in (i for i in range(len(items)) if i not in parent):
        block = _Block()
        _put(block, root, 0.0, 0.0, SIZES[items[root].size], items, riders, rng, paint)
        block.centred()
        blocks.append(block)
    return blocks, paint


def _is_under(thing: int, other: int, parent: dict[int, int]) -> bool:
    """Whether `thing` is `other` or is on it, directly or not; used to avoid cycles."""
    while thing != other:
        if thing not in parent:
            return False
        thing = parent[thing]
    return True


def _put(
    block: _Block,
    thing: int,
    x: float,
    y: float,
    side: float,
    items: Sequence[Item],
    riders: dict[int, list[tuple[int, str]]],
    rng: np.random.Generator,
    paint: list[int],
) -> None:
    """Put a square at (x, y) into the block, with the things on, in or in front of it."""
    block.squares[thing] = (x, y, side)
    paint.append(thing)
    on = [i for i, name in riders.get(thing, ()) if name == "on"]
    within = [i for i, name in riders.get(thing, ()) if name == "inside"]
    before = [i for i, name in riders.get(thing, ()) if name == "in front of"]
    total = sum(SIZES[items[i].size] for i in on)
    fit = min(1.0, 1.3 * side / total) if len(on) > 1 else 1.0
    at = x + (side - total * fit) / 2
    for i in on:  # side by side, their feet a little below the upper edge
        own = SIZES[items[i].size] * fit
        _put(block, i, at, y + 0.14 * side - own, own, items, riders, rng, paint)
        at += own
    share = 0.56 / max(1.0, len(within) * 0.75)
    for n, i in enumerate(within):
        own = side * share
        left = x + side / 2 + (n - len(within) / 2) * own
        _put(block, i, left, y + 0.52 * side - own / 2, own, items, riders, rng, paint)
    turn = 1 if rng.random() < 0.5 else -1
    for n, i in enumerate(before):  # lower and to one side, covering a quarter of the thing behind
        own = min(SIZES[items[i].size], 0.85 * side)
        centre = x + side / 2 + turn * (-1) ** n * 0.55 * side
        _put(block, i, centre - own / 2, y + 1.08 * side - own, own, items, riders, rng, paint)


# --- arranging the blocks ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Arrangement:
    """Blocks in rows, in reading order; `scale` is cells for a side of 1."""

    rows: tuple[tuple[int, ...], ...]
    scale: float


def _arrangement(
    blocks: Sequence[_Block],
    items: Sequence[Item],
    relations: Sequence[Relation],
    columns: int,
    rows: int,
    rng: np.random.Generator,
) -> _Arrangement:
    n = len(blocks)
    orders = np.array(list(permutations(range(n))))
    if len(orders) > _MOST_ORDERS:
        orders = orders[rng.permutation(len(orders))[:_MOST_ORDERS]]
    sizes = np.array([(block.width, block.height) for block in blocks])
    best: tuple[float, _Arrangement] | None = None
    for cut in _cuts(n):
        scales, centres = _measured(orders, cut, sizes, columns, rows)
        score = _score(blocks, items, relations, centres, scales, columns, rows)
        # Fewer, fuller rows look calmer; some randomness makes seeds differ.
        lonely = sum(end - start == 1 for start, end in cut) if len(cut) > 2 else 0
        score = score + rng.random(len(orders)) * 0.35 - 0.3 * lonely
        i = int(np.argmax(score))
        if best is None or score[i] > best[0]:
            order = tuple(int(b) for b in orders[i])
            best = (
                float(score[i]),
                _Arrangement(tuple(order[a:b] for a, b in cut), float(scales[i])),
            )
    assert best is not None
    return best[1]


def _cuts(n: int) -> list[list[tuple[int, int]]]:
    """The ways to cut n blocks into rows: all for up to 3 blocks, else into nearly equal ones."""
    found = []
    for n_rows in range(1, min(n, 4) + 1):
        for inner in combinations(range(1, n), n_rows - 1):
            ends = [0, *inner, n]
            cut = list(pairwise(ends))
            lengths = [b - a for a, b in cut]
            if n <= 3 or max(lengths) - min(lengths) <= 1:
                found.append(cut)
    return found


def _measured(
    orders: NDArray[np.int64],
    cut: list[tuple[int, int]],
    sizes: Floats,
    columns: int,
    rows: int,
) -> tuple[Floats, Floats]:
    """Scale (P,) and centres (P, n_blocks, 2), in cells, of each order of the blocks."""
    widths, heights = sizes[orders, 0], sizes[orders, 1]
    row_widths = np.stack([widths[:, a:b].sum(1) for a, b in cut], 1)
    row_heights = np.stack([heights[:, a:b].max(1) for a, b in cut], 1)
    gaps = max(b - a for a, b in cut) + 1
    scales = np.minimum(
        (columns - 0.5 * gaps) / row_widths.max(1),
        (rows - 0.5 * (len(cut) + 1)) / row_heights.sum(1),
    )
    scales = np.minimum(scales, _LARGEST * min(columns, rows))
    centres = np.empty((len(orders), sizes.shape[0], 2))
    free = (rows - scales * row_heights.sum(1)) / (len(cut) + 1)
    bottom = np.zeros(len(orders))
    each = np.arange(len(orders))
    for r, (a, b) in enumerate(cut):
        bottom = bottom + free + scales * row_heights[:, r]
        inner, outer = _gaps(columns - scales * row_widths[:, r], b - a, columns, rows)
        at = outer
        for slot in range(a, b):
            centres[each, orders[:, slot], 0] = at + scales * widths[:, slot] / 2
            centres[each, orders[:, slot], 1] = bottom - scales * heights[:, slot] / 2
            at = at + scales * widths[:, slot] + inner
    return scales, centres


def _gaps(free: Floats, n: int, columns: int, rows: int) -> tuple[Floats, Floats]:
    """The gap between n blocks of a row and the one at its ends; blocks stay close together."""
    inner = np.minimum(free / (n + 1), min(columns, rows) / 8)
    return inner, (free - inner * (n - 1)) / 2


def _score(
    blocks: Sequence[_Block],
    items: Sequence[Item],
    relations: Sequence[Relation],
    centres: Floats,
    scales: Floats,
    columns: int,
    rows: int,
) -> Floats:
    """The score of each order (P,): relations first, then places, then size."""
    of = {i: b for b, block in enumerate(blocks) for i in block.squares}
    middle = np.empty((len(scales), len(items), 2))  # of each thing, in cells
    for i in range(len(items)):
        block = blocks[of[i]]
        x, y, side = block.squares[i]
        offset = np.array([x + side / 2 - block.width / 2, y + side / 2 - block.height / 2])
        middle[:, i] = centres[:, of[i]] + offset * scales[:, None]
    score = 2.5 * scales / (_LARGEST * min(columns, rows))
    near = 0.62 * _LARGEST * min(columns, rows) * 2
    for first, name, second in relations:
        apart = middle[:, second] - middle[:, first]
        dx, dy = apart[:, 0], apart[:, 1]
        if name in ("left of", "above"):
            along, across = (dx, dy) if name == "left of" else (dy, dx)
            score = score + 6.0 * (along > 0.2 * near) - 1.5 * np.abs(across) / near
        elif name == "next to" and of[first] != of[second]:
            score = score - 4.0 * np.maximum(0, np.hypot(dx, dy) / near - 0.9) - np.abs(dy) / near
    for ends in _betweens(relations).items():
        score = score + _between(middle, *ends)
    for i, item in enumerate(items):
        if item.place:
            wanted = np.array(PLACES[item.place]) * (columns, rows)
            score = score - 6.0 * np.hypot(*((middle[:, i] - wanted) / (columns, rows)).T)
    return score


def _betweens(relations: Sequence[Relation]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for first, name, second in relations:
        if name == "between":
            found.setdefault(first, []).append(second)
    return found


def _between(middle: Floats, thing: int, ends: list[int]) -> Floats:
    """How well a thing is between two others (P,): between their centres, on one line."""
    if len(ends) < 2:
        return np.zeros(len(middle))
    a, b, c = middle[:, ends[0]], middle[:, ends[1]], middle[:, thing]
    apart = b - a
    along = ((c - a) * apart).sum(1) / np.maximum((apart**2).sum(1), 1e-6)
    off = np.hypot(*(c - a - along[:, None] * apart).T) / np.hypot(*apart.T).clip(1e-3)
    return 8.0 * ((along > 0.2) & (along < 0.8)) - 4.0 * off


# --- into cells ----------------------------------------------------------------------------------


def _boxes(
    blocks: Sequence[_Block],
    found: _Arrangement,
    items: Sequence[Item],
    columns: int,
    rows: int,
    rng: np.random.Generator,
) -> dict[int, Box]:
    """Boxes in whole cells; the free space is between the blocks, with some randomness."""
    scale = found.scale
    heights = [max(blocks[b].height for b in row) * scale for row in found.rows]
    free = rows - sum(heights)
    y = free / (len(heights) + 1)
    boxes: dict[int, Box] = {}
    for row, height in zip(found.rows, heights, strict=True):
        spare = np.array(columns - sum(blocks[b].width for b in row) * scale)
        inner, outer = (float(gap) for gap in _gaps(spare, len(row), columns, rows))
        x = outer
        for b in row:
            block = blocks[b]
            shift = (rng.random() - 0.5) * min(outer if len(row) == 1 else inner, 4.0) * 0.8
            drop = -rng.random() * min(free / (len(heights) + 1), 2.0) * 0.6
            wanted = [PLACES[items[i].place] for i in block.squares if items[i].place]
            if wanted:  # as far as the free space goes
                shift = (wanted[0][0] - 0.5) / 0.3 * outer * 0.9
                drop = (wanted[0][1] - 0.5) / 0.3 * free / (len(heights) + 1) * 0.9
            top = y + height - block.height * scale + drop
            boxes |= _rounded(block, x + shift, top, scale, columns, rows)
            x += block.width * scale + inner
        y += height + free / (len(heights) + 1)
    return boxes


def _rounded(
    block: _Block, left: float, top: float, scale: float, columns: int, rows: int
) -> dict[int, Box]:
    boxes = {}
    for i, (x, y, side) in block.squares.items():
        cells = round(side * scale)
        cells = max(min(_SMALLEST, columns, rows), min(cells, columns, rows))
        # The centre and the lower edge are kept: feet are on one line.
        at = round(left + (x + side / 2) * scale - cells / 2)
        bottom = round(top + (y + side) * scale)
        boxes[i] = Box(
            min(max(at, 0), columns - cells),
            min(max(bottom - cells, 0), rows - cells),
            cells,
            cells,
        )
    return boxes


def holds(first: Box, name: str, second: Box) -> bool:
    """Whether a relation holds between two boxes, by their centres. Raises ValueError."""
    x, y = first.x + first.width / 2, first.y + first.height / 2
    other_x, other_y = second.x + second.width / 2, second.y + second.height / 2
    apart = sqrt((x - other_x) ** 2 + (y - other_y) ** 2)
    reach = (max(first.width, first.height) + max(second.width, second.height)) / 2
    if name == "left of":
        return x < other_x and other_x - x >= abs(other_y - y)
    if name == "above":
        return y < other_y and other_y - y >= abs(other_x - x)
    if name == "on":
        touches = abs(first.y + first.height - second.y) <= 0.35 * second.height
        return y < other_y and touches and abs(x - other_x) < reach
    if name == "inside":
        return (
            second.x <= first.x and second.y <= first.y
            and first.x + first.width <= second.x + second.width
            and first.y + first.height <= second.y + second.height
        )  # fmt: skip
    if name == "in front of":
        return y + first.height / 2 >= other_y and apart < reach
    if name == "next to":
        return 0 < apart < 1.75 * reach
    raise ValueError(f"{name!r} is not a relation of two boxes")
