"""The things in a picture, each with its mask: connected areas that stand out from the ground.

Small areas beside a larger one are its parts. Things that touch are found as one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from limner.arrays import Bools, Pixels
from limner.finish.components import components
from limner.imaging.framing import framed
from limner.recognition.areas import within
from limner.sampling import ground

SIDE_PX = 384  # of the picture in which things are searched
_VISIBLE = 128  # alpha from which a pixel belongs to a thing
_JOIN_PX = 3  # areas with a smaller gap than about this are one thing
_SMALLEST = 0.004  # of the picture; smaller areas are parts, or specks
_SPECK = 0.0003  # of the picture; smaller areas are nothing
_NEAR = 0.06  # of the longer side, between a part and its thing
_PART = 0.3  # of the side of a thing, the side of a part of it at most

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two are one past it


@dataclass(frozen=True, eq=False)
class Thing:
    """One thing in a picture."""

    mask: Bools  # (h, w) of the reduced picture
    pixels: Pixels  # (S, S, 4) straight RGBA, cut out, in the middle of a square

    @property
    def box(self) -> Box:
        """The smallest box around its mask."""
        return box_of(self.mask)


def things_in(pixels: Pixels) -> list[Thing]:
    """The things in a picture (H, W, 4) of straight RGBA, the largest first.

    Empty if no ground can be told apart from them.
    """
    small = within(pixels, SIDE_PX)
    clear = ground.cleared(small)
    if clear is None:
        return []
    visible = clear[..., 3] >= _VISIBLE
    found = [
        Thing(mask, framed(np.where(mask[..., None], clear, 0), mask))
        for mask in joined(_areas(visible))
        if mask.sum() >= _SMALLEST * mask.size
    ]
    return sorted(found, key=lambda thing: -int(thing.mask.sum()))


def box_of(mask: Bools) -> Box:
    """The smallest box around the True pixels of a mask (h, w), which has some."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _areas(visible: Bools) -> list[Bools]:
    """The masks of areas that are connected across small gaps."""
    image = Image.fromarray(visible.astype(np.uint8) * 255)
    closed = np.asarray(image.filter(ImageFilter.MaxFilter(_JOIN_PX))) > 0
    labels = np.where(visible, components(closed.astype(np.int64)) + 1, 0)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return [labels == label for label in np.flatnonzero(sizes >= _SPECK * visible.size)]


def joined(masks: list[Bools]) -> list[Bools]:
    """Masks (H, W) of areas, small ones joined to the nearest larger one, the smallest first."""
    left = sorted(masks, key=lambda mask: _side(box_of(mask)))
    done: list[Bools] = []
    while left:
        part = left.pop(0)
        box = box_of(part)
        near = [
            (gap, place)
            for place, other in enumerate(left)
            if (gap := _gap(box, box_of(other))) <= _NEAR * max(part.shape)
            and _side(box) <= _PART * _side(box_of(other))
        ]
        if near:
            left[min(near)[1]] |= part
        else:
            done.append(part)
    return done


def _side(box: Box) -> int:
    return max(box[2] - box[0], box[3] - box[1])


def _gap(a: Box, b: Box) -> float:
    """Pixels between two boxes; 0 if they meet."""
    across = max(a[0] - b[2], b[0] - a[2], 0)
    down = max(a[1] - b[3], b[1] - a[3], 0)
    return float(np.hypot(across, down))
