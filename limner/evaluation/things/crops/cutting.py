"""A picture cut into its things: connected areas that stand out from the ground.

The ground is transparent, one colour, or a plain scene: bands and gradients that reach the border.
A thing may have several parts. Specks are ignored. Things that touch are cut as one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Bools, Floats, Pixels
from limner.evaluation.measures.rules import lab_of
from limner.evaluation.things.crops.connected_areas import label_areas
from limner.imaging import codec
from limner.recognition.things import Box, box_of, joined
from limner.training.tasks.backbone import SOURCE_PX

VISIBLE = 0.4  # alpha from which a pixel counts
APART = 14.0  # Lab distance from the ground from which a pixel is a thing's
HOLE = 5.0  # Lab distance within which what a thing encloses is a hole, through which ground shows
SMALLEST = 0.003  # of the picture; smaller areas are specks

_ON_RIM = 0.12  # of the rim; what is rarer there is a thing that reaches the edge
_MARGIN = 0.06  # of a crop, around the thing


@dataclass(frozen=True, eq=False)
class Thing:
    """One thing in a picture."""

    box: Box
    mask: Bools  # (H, W) of the picture
    crop: Pixels  # (SOURCE_PX, SOURCE_PX, 4) premultiplied, alone on nothing

    @property
    def centre(self) -> tuple[float, float]:
        """x and y of the middle of the box; the picture is 0 to 1."""
        left, top, right, bottom = self.box
        height, width = self.mask.shape
        return (left + right) / 2 / width, (top + bottom) / 2 / height


def things_in(picture: Pixels) -> list[Thing]:
    """The things in a premultiplied picture (H, W, 4), in no particular order."""
    apart = _apart(picture)
    labels = _labelled(apart)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    masks = joined([labels == label for label in np.flatnonzero(sizes >= _smallest(labels))])
    seen = np.where((apart > HOLE)[..., None], picture, 0)
    return [Thing(box_of(mask), mask, _crop(seen, mask)) for mask in masks]


def count_specks(picture: Pixels) -> int:
    """Number of areas of a premultiplied picture (H, W, 4) that are too small for things."""
    labels = _labelled(_apart(picture))
    return int((np.bincount(labels.ravel())[1:] < _smallest(labels)).sum())


def foreground(picture: Pixels) -> Bools:
    """The pixels (H, W) of a premultiplied picture that a thing has or encloses."""
    there: Bools = _labelled(_apart(picture)) > 0
    return there


def _smallest(labels: NDArray[np.int64]) -> float:
    return SMALLEST * labels.size


def _labelled(apart: Floats) -> NDArray[np.int64]:
    """The connected areas beside the ground, numbered; the ground is connected to the border."""
    alike = label_areas((apart <= APART).astype(np.int64), diagonal=False)
    on_rim = np.concatenate([alike[0], alike[-1], alike[:, 0], alike[:, -1]])
    ground = np.isin(alike, on_rim[on_rim > 0])
    return label_areas((~ground).astype(np.int64), diagonal=True)


def _apart(picture: Pixels) -> Floats:
    """Distance (H, W) of each pixel from the ground, in Lab.

    On a transparent ground it is infinite for visible pixels and 0 for others.

    A coloured ground resembles the border in the same row or column, so that a horizon and a
    gradient are ground too.
    """
    alpha = picture[..., 3] / 255
    if np.median(np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])) < 0.5:
        return np.where(alpha > VISIBLE, np.inf, 0.0)
    lab = lab_of(picture[..., :3].astype(np.float64) + (255.0 - picture[..., 3:]))
    left, right, top, bottom = _ground_on_rim(lab)
    nearest = np.full(alpha.shape, np.inf)
    for rim in (left[:, None], right[:, None], top[None], bottom[None]):
        nearest = np.minimum(nearest, np.linalg.norm(lab - rim, axis=-1))
    return nearest


def _ground_on_rim(lab: Floats) -> list[Floats]:
    """Colours of the four sides of the border; infinite where a thing reaches it."""
    sides = [lab[:, 0], lab[:, -1], lab[0], lab[-1]]
    rim = np.concatenate(sides)
    alike = np.linalg.norm(rim[:, None] - rim[None], axis=-1) <= APART
    rim[alike.mean(1) < _ON_RIM] = 1e6
    ends = np.cumsum([len(side) for side in sides])[:-1]
    return np.split(rim, ends)


def _crop(picture: Pixels, mask: Bools) -> Pixels:
    """What is under a mask, in the middle of a square of nothing."""
    left, top, right, bottom = box_of(mask)
    side = max(right - left, bottom - top)
    side += 2 * max(1, round(_MARGIN * side))
    square = np.zeros((side, side, 4), np.uint8)
    x, y = (side - (right - left)) // 2, (side - (bottom - top)) // 2
    where = slice(top, bottom), slice(left, right)
    square[y : y + bottom - top, x : x + right - left] = picture[where] * mask[where][..., None]
    method: codec.Method = "area" if side > SOURCE_PX else "bicubic"
    return codec.resize(square, SOURCE_PX, SOURCE_PX, method, premultiplied=True)
