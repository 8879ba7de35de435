"""Where the cells of a picture of any size lie, and in which squares they are drawn.

The network knows one square of cells. A longer picture has as many cells on its shorter side and
more on its longer one, each cell as high as wide, so nothing is stretched. It is drawn square by
square, each begun with the cells that it shares with the squares before. NumPy only.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from limner.arrays import Bools, Ints
from limner.request import Size
from limner.sampling.sampling import spread_order

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Canvas:
    """The cells of a picture of `size`: `grid` on its shorter side, as many as needed along it.

    The picture lies in the middle of the canvas; on its longer side the outer cells may reach
    beyond it.
    """

    size: Size
    grid: int

    @property
    def cell_px(self) -> float:
        """Pixels of the picture along one cell."""
        return min(self.size.width, self.size.height) / self.grid

    @property
    def rows(self) -> int:
        """Cells from top to bottom."""
        return -(-self.size.height * self.grid // min(self.size.width, self.size.height))

    @property
    def columns(self) -> int:
        """Cells from left to right."""
        return -(-self.size.width * self.grid // min(self.size.width, self.size.height))

    @property
    def left(self) -> float:
        """Cells, not whole ones, from the canvas' left edge to the picture's."""
        return (self.columns - self.size.width / self.cell_px) / 2

    @property
    def top(self) -> float:
        """Cells, not whole ones, from the canvas' upper edge to the picture's."""
        return (self.rows - self.size.height / self.cell_px) / 2

    @property
    def n_cells(self) -> int:
        """Cells of the canvas; their positions are counted row by row."""
        return self.rows * self.columns

    @cached_property
    def positions(self) -> Ints:
        """The position of every cell, (rows, columns)."""
        return np.arange(self.n_cells).reshape(self.rows, self.columns)

    def frame(self, px: int) -> Box:
        """The picture on the canvas, whose cells have `px` pixels a side."""
        left, top = self.left * px, self.top * px
        return left, top, self.columns * px - left, self.rows * px - top

    def corners(self, stride: int) -> list[tuple[int, int]]:
        """Upper left cells of squares that cover all, at most `stride` apart, in rising order."""
        last = max(self.rows, self.columns) - self.grid
        starts = [*range(0, last, stride), last]
        return [(start, 0) if self.rows > self.columns else (0, start) for start in starts]

    def square(self, corner: tuple[int, int]) -> Ints:
        """Positions of the square at `corner`, row-major (grid * grid,)."""
        row, column = corner
        return self.positions[row : row + self.grid, column : column + self.grid].ravel()


@dataclass(frozen=True)
class Window:
    """A square to draw in one go, once those before it are drawn."""

    positions: Ints  # (n_cells,) on the canvas, row-major
    hidden: Bools  # (n_cells,), True where a cell is still to be drawn


def plan(canvas: Canvas, hidden: Bools) -> list[Window]:
    """Squares that draw all `hidden` cells (n_cells of the canvas,), in order.

    The first lies around the middle of what is hidden, where the subject is to be; the others
    go from it to both ends, each by half a square at most.
    """
    squares = [canvas.square(corner) for corner in _from_the_middle(canvas, hidden)]
    left = hidden.copy()
    windows = []
    for positions in squares:
        if left[positions].any():
            windows.append(Window(positions, left[positions]))
            left[positions] = False
    return windows


def _from_the_middle(canvas: Canvas, hidden: Bools) -> list[tuple[int, int]]:
    is_tall = canvas.rows > canvas.columns
    rows, columns = np.divmod(np.flatnonzero(hidden), canvas.columns)
    span = rows if is_tall else columns
    if not len(span):
        return []
    last = max(canvas.rows, canvas.columns) - canvas.grid
    middle = int(span.min() + span.max() + 1) // 2
    first = min(max(middle - canvas.grid // 2, 0), last)
    stride = canvas.grid // 2
    after = [*range(first + stride, last, stride), last]
    before = [*range(first - stride, 0, -stride), 0]
    starts = dict.fromkeys([first, *after, *before])
    return [(start, 0) if is_tall else (0, start) for start in starts]


def kept(canvas: Canvas, share: float, seed: int, picture: int) -> Bools:
    """Cells to keep of a picture that is drawn anew, (n_cells,): `share` of every square.

    They are spread evenly, like the first ones of `spread_order`; which ones depends on (seed,
    picture).
    """
    n_kept = round(share * canvas.grid**2)
    rank = np.empty(canvas.grid**2, np.int64)
    rank[spread_order(canvas.grid)] = np.arange(canvas.grid**2)
    # The top bit but one keeps this draw apart from those of `uniforms` and `in_style`.
    key = (seed & (2**64 - 1)) | (picture << 64) | (1 << 126)
    down, right = np.random.Generator(np.random.Philox(key=key)).integers(canvas.grid, size=2)
    rows, columns = np.divmod(np.arange(canvas.n_cells), canvas.columns)
    where = (rows + down) % canvas.grid * canvas.grid + (columns + right) % canvas.grid
    chosen: Bools = rank[where] < n_kept
    return chosen
