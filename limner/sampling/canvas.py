"""The cells of a picture of any size, and the squares in which they are drawn.

The network draws one square of cells. A longer picture has the same number of cells on its shorter
side and more on its longer one. Cells are square, so nothing is stretched. It is drawn in
overlapping squares; each starts with the cells it shares with earlier ones. NumPy only.
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
    """The cells of a picture of `size`: `grid` on its shorter side, as many as needed on the other.

    The picture is centred on the canvas; on its longer side the outer cells may extend beyond it.
    """

    size: Size
    grid: int

    @property
    def cell_px(self) -> float:
        """The side of a cell in pixels of the picture."""
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
        """Distance from the canvas's left edge to the picture's, in cells (a fraction)."""
        return (self.columns - self.size.width / self.cell_px) / 2

    @property
    def top(self) -> float:
        """Distance from the canvas's upper edge to the picture's, in cells (a fraction)."""
        return (self.rows - self.size.height / self.cell_px) / 2

    @property
    def n_cells(self) -> int:
        """The number of cells of the canvas; positions are row-major."""
        return self.rows * self.columns

    @cached_property
    def positions(self) -> Ints:
        """The positions of all cells, (rows, columns)."""
        return np.arange(self.n_cells).reshape(self.rows, self.columns)

    def frame(self, px: int) -> Box:
        """The box of the picture on the canvas, for cells of `px` pixels a side."""
        left, top = self.left * px, self.top * px
        return left, top, self.columns * px - left, self.rows * px - top

    def corners(self, stride: int) -> list[tuple[int, int]]:
        """Upper left cells of squares that cover the canvas, at most `stride` apart, ascending."""
        last = max(self.rows, self.columns) - self.grid
        starts = [*range(0, last, stride), last]
        return [(start, 0) if self.rows > self.columns else (0, start) for start in starts]

    def square(self, corner: tuple[int, int]) -> Ints:
        """Positions of the square at `corner`, row-major (grid * grid,)."""
        row, column = corner
        return self.positions[row : row + self.grid, column : column + self.grid].ravel()


@dataclass(frozen=True)
class Window:
    """A square to draw at once, after those before it."""

    positions: Ints  # (n_cells,) on the canvas, row-major
    hidden: Bools  # (n_cells,), True where a cell is still to be drawn


def plan(canvas: Canvas, hidden: Bools) -> list[Window]:
    """Squares that draw all `hidden` cells (n_cells of the canvas,), in order.

    The first is around the middle of the hidden cells, where the subject should be; the others
    proceed from it to both ends, each by at most half a square.
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
    """Cells to keep when a picture is redrawn, (n_cells,): `share` (0..1) of every square.

    They are evenly spread, like the start of `spread_order`; the choice depends on (seed, picture).
    """
    n_kept = round(share * canvas.grid**2)
    rank = np.empty(canvas.grid**2, np.int64)
    rank[spread_order(canvas.grid)] = np.arange(canvas.grid**2)
    # The second highest bit separates this stream from those of `uniforms` and `in_style`.
    key = (seed & (2**64 - 1)) | (picture << 64) | (1 << 126)
    down, right = np.random.Generator(np.random.Philox(key=key)).integers(canvas.grid, size=2)
    rows, columns = np.divmod(np.arange(canvas.n_cells), canvas.columns)
    where = (rows + down) % canvas.grid * canvas.grid + (columns + right) % canvas.grid
    chosen: Bools = rank[where] < n_kept
    return chosen
