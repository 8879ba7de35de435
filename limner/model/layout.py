"""A layout: which things a picture holds and in which box of cells each of them is.

Plain data in NumPy. The planner writes it from a prompt, people may give it, the compositor knows
it; the cell model draws it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GROUND = -1  # what `owner` says of a cell that no thing holds


@dataclass(frozen=True)
class Box:
    """A rectangle of cells; (x, y) is its left upper cell, counted from 0."""

    x: int
    y: int
    width: int  # cells
    height: int  # cells

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a box holds at least one cell: {self.width}x{self.height}")


@dataclass(frozen=True)
class Thing:
    """One thing, the words that name it, and where it is."""

    phrase: str  # "a red cat"; three cats are three things
    box: Box


@dataclass(frozen=True)
class Layout:
    """A canvas of cells and what is on it."""

    columns: int
    rows: int
    things: tuple[Thing, ...]  # painted in this order, later ones over earlier ones
    ground: str = ""  # the words for what is behind the things; empty if the prompt has none

    def __post_init__(self) -> None:
        for thing in self.things:
            box = thing.box
            inside = box.x >= 0 and box.y >= 0
            inside = inside and box.x + box.width <= self.columns
            if not inside or box.y + box.height > self.rows:
                raise ValueError(f"{box} is not inside a canvas of {self.columns}x{self.rows}")


def single(phrase: str, columns: int, rows: int, ground: str = "") -> Layout:
    """The layout of one thing: its box is the canvas."""
    return Layout(columns, rows, (Thing(phrase, Box(0, 0, columns, rows)),), ground)


def owner(layout: Layout) -> NDArray[np.int64]:
    """The index of the topmost thing whose box holds each cell, GROUND where there is none.

    Shape (rows * columns,), row-major.
    """
    grid = np.full((layout.rows, layout.columns), GROUND, np.int64)
    for i, thing in enumerate(layout.things):
        box = thing.box
        grid[box.y : box.y + box.height, box.x : box.x + box.width] = i
    return grid.ravel()
