"""A small picture taken apart: colours, areas, and sheets to draw it from."""

from dataclasses import dataclass

import numpy as np

from limner.finish import palette, regions
from limner.finish.palette import Floats, Ints
from limner.finish.sheets import Sheets, sheets


@dataclass(frozen=True, eq=False)
class Flat:
    """A premultiplied picture (H, W, 4) and its areas (H, W)."""

    picture: Floats
    steep: Floats
    areas: Ints

    def sheets(self, *, clear_below: bool = False) -> Sheets:
        """Areas on sheets; `clear_below` puts what is not opaque on the lowest ones, and orders
        the others by size."""
        return sheets(self.areas, self.picture, self.steep, clear_below=clear_below)


def segmented(
    picture: Floats, max_colours: int = palette.MAX_COLOURS, min_px: int = 12, max_areas: int = 400
) -> Flat:
    """Take a premultiplied picture (H, W, 4) in 0..1 apart.

    Areas below `min_px` pixels are given to a neighbour, and so are the smallest ones beyond
    `max_areas`.
    """
    features = palette.lab_alpha(picture)
    steep = palette.steepness(features)
    colours = palette.palette(features, steep, max_colours)
    labels = regions.label(features, steep, colours)
    while True:
        found = regions.areas(labels, features, min_px)
        if found.max() < max_areas:
            return Flat(picture, steep, found)
        sizes = np.sort(np.bincount(found.ravel()))[::-1]
        min_px = max(min_px * 2, int(sizes[max_areas - 1]))
