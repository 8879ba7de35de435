"""Segmenting a small picture: its colours, areas and sheets."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from limner.arrays import Floats, Ints, Pixels
from limner.finish import colour_planes, palette, regions
from limner.finish.components import components
from limner.finish.sheets import Sheets, sheets

_LONGEST = 3  # largest longer side, in multiples of `side_px`; longer pictures are reduced
_MOST_ENLARGED = 8  # largest enlargement of a small picture
_MISFIT = 0.05  # root mean square residual allowed for a plane, over four channels together


@dataclass(frozen=True, eq=False)
class Flat:
    """A premultiplied picture (H, W, 4) and its areas (H, W)."""

    picture: Floats
    steep: Floats
    areas: Ints

    def sheets(self, *, clear_below: bool = False) -> Sheets:
        """Areas on sheets; `clear_below` puts areas that are not opaque on the lowest sheets, and
        orders the others by size."""
        return sheets(self.areas, self.picture, self.steep, clear_below=clear_below)


def sampled(pixels: Pixels, side_px: int) -> Floats:
    """Premultiplied floats (h, w, 4) of about `side_px` on the shorter side."""
    height, width = pixels.shape[:2]
    scale = min(side_px / min(height, width), _LONGEST * side_px / max(height, width))
    scale = min(scale, _MOST_ENLARGED)
    image = Image.fromarray(pixels)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1:
        image = image.resize(size, Image.Resampling.BOX)
    elif scale > 2:
        image = image.resize(size, Image.Resampling.BICUBIC)
    straight = np.asarray(image, np.float32) / np.float32(255)
    return np.concatenate([straight[..., :3] * straight[..., 3:], straight[..., 3:]], axis=-1)


def segmented(
    picture: Floats,
    max_colours: int = palette.MAX_COLOURS,
    min_px: int = 12,
    max_areas: int = 400,
    *,
    only_planes: bool = False,
) -> Flat:
    """Segment a premultiplied picture (H, W, 4) in 0..1.

    Areas below `min_px` pixels are merged into a neighbour, and so are the smallest ones beyond
    `max_areas`. only_planes: an area whose colours do not fit a plane stays cut into steps, for
    formats that have no other gradients.
    """
    features = palette.lab_alpha(picture)
    steep = palette.steepness(features)
    labels = regions.label(features, steep, palette.palette(features, steep, max_colours))
    while True:
        cut = regions.areas(labels, features, min_px)
        joined = regions.with_gradients(cut, features)
        if only_planes:
            joined = _planar(joined, cut, picture, steep)
        if joined.max() < max_areas:
            return Flat(picture, steep, joined)
        sizes = np.sort(np.bincount(cut.ravel()))[::-1]
        min_px = max(min_px * 2, int(sizes[min(max_areas, len(sizes)) - 1]))


def _planar(joined: Ints, cut: Ints, picture: Floats, steep: Floats) -> Ints:
    """Joined areas, or their parts if one plane does not fit their colours."""
    planes = colour_planes.planes_of(joined, picture, steep)
    error = colour_planes.squared_errors(planes, joined, picture)
    mean = np.bincount(joined.ravel(), error.ravel()) / np.bincount(joined.ravel())
    kept = np.where((mean > _MISFIT**2)[joined], cut, joined + cut.max() + 1)
    return components(kept)
