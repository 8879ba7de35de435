"""A layout: things and their boxes on a canvas of cells. Plain data, no NumPy.

Cells are in row-major order. Boxes are in whole cells, within the canvas, and may overlap: things
are painted in order, later ones over earlier ones.
"""

from dataclasses import dataclass

MAX_THINGS = 6  # the transformer has marks for this many things and the ground
GROUND = -1


@dataclass(frozen=True)
class Box:
    """A rectangle of cells; its upper left cell is in column `x` and row `y`."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Thing:
    """One thing: its own phrase, with style words, and its box."""

    phrase: str
    box: Box


@dataclass(frozen=True)
class Layout:
    """A canvas of columns × rows cells and the things on it, painted in order.

    `ground` describes the background, "" for nothing.
    """

    columns: int
    rows: int
    things: tuple[Thing, ...] = ()
    ground: str = ""

    @classmethod
    def single(cls, phrase: str, columns: int, rows: int) -> "Layout":
        """A layout of one thing that fills the canvas."""
        return cls(columns, rows, (Thing(phrase, Box(0, 0, columns, rows)),))

    def __post_init__(self) -> None:
        if self.columns < 1 or self.rows < 1:
            raise ValueError(f"a canvas of {self.columns} x {self.rows} cells has no cell")
        if len(self.things) > MAX_THINGS:
            raise ValueError(f"{len(self.things)} things; a layout holds at most {MAX_THINGS}")
        for thing in self.things:
            box = thing.box
            fits = 0 <= box.x <= self.columns - box.width and 0 <= box.y <= self.rows - box.height
            if box.width < 1 or box.height < 1 or not fits:
                raise ValueError(
                    f"{box} does not lie within a canvas of {self.columns} x {self.rows} cells"
                )


def owner(layout: Layout) -> tuple[int, ...]:
    """Index of the topmost thing at each cell, GROUND where there is none; (rows * columns,)."""
    owners = [GROUND] * (layout.rows * layout.columns)
    for index, thing in enumerate(layout.things):
        box = thing.box
        for row in range(box.y, box.y + box.height):
            start = row * layout.columns + box.x
            owners[start : start + box.width] = [index] * box.width
    return tuple(owners)
