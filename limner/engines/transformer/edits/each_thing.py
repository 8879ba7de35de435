"""Variations of a picture of several things: each thing is varied by itself, in its place.

The network varies one thing that fills its square; several, that it reads as one, run into each
other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from limner.arrays import Bools, Ints, Pixels
from limner.engines.base import CancelToken, Engine, Event, ImageTask, Picture, Preview, Progress
from limner.engines.transformer.qualities import preview_steps
from limner.engines.transformer.scenes.parts import (
    Drawn,
    Part,
    draw_parts,
    laid_over,
    mean_score,
)
from limner.finish.components import components, things
from limner.imaging import codec
from limner.options import Options
from limner.request import MAX_PICTURES, MIN_SIDE, SIDE_STEP, ImageRequest, Size, Variation
from limner.sampling import ground, inpainting

_SMALL_PX = 384  # on the longer side of the picture in which things are told apart
_VISIBLE = 128  # alpha from which a pixel belongs to a thing
_MOST, _MOST_PARTS = 8, 64  # things, and areas that are parts of them
_MARGIN = 0.04  # around a thing, of its longer side
_EDGE_PX = 9  # of the small picture: so far around a thing its edge is looked for


@dataclass(frozen=True, eq=False)
class EachThing:
    """The things of a picture, apart, and what is behind them."""

    crops: tuple[Pixels, ...]  # (S, S, 4) of each thing, on a clear ground
    corners: tuple[tuple[int, int], ...]  # of the crops in the whole: left, top
    behind: Pixels  # (H, W, 4), the whole without its things


def each_thing(request: ImageRequest) -> EachThing | None:
    """The things of a variation's source at the size that is asked for; None for other requests,
    and for pictures in which there are not two things or more on a plain ground.
    """
    source = request.source
    if not isinstance(source, Variation):
        return None
    nowhere = np.zeros(source.pixels.shape[:2], bool)
    whole = inpainting.place(source.pixels, nowhere, request.size).pixels
    clear = ground.cleared(whole)
    if clear is None:
        return None
    masks = masks_of(clear)
    if len(masks) < 2:
        return None
    squares = [_square(mask) for mask in masks]
    if any(left < 0 or top < 0 for left, top, _ in squares):
        return None  # the square around a thing is larger than the picture
    crops = tuple(
        np.where(mask[..., None], clear, 0)[top : top + side, left : left + side]
        for mask, (left, top, side) in zip(masks, squares, strict=True)
    )
    there = np.logical_or.reduce(masks)
    behind = np.zeros_like(whole) if clear is whole else inpainting.erased(whole, there)
    return EachThing(crops, tuple((left, top) for left, top, _ in squares), behind)


def vary_each(
    engine: Engine, one: ImageTask, found: EachThing, cancel: CancelToken
) -> Iterator[Event]:
    """Draw a variation of each thing with the engine, and lay them where the things were."""
    parts = [
        Part(ImageTask(_alone(one.request, crop), one.index + number * MAX_PICTURES), corner)
        for number, (crop, corner) in enumerate(zip(found.crops, found.corners, strict=True), 1)
    ]
    shown = preview_steps(len(parts), one.request.previews)

    def preview(so_far: Drawn) -> Preview | None:
        """The things that are drawn, and the others as they were."""
        if len(so_far) not in shown:
            return None
        seen = [
            so_far[part.task].pixels if part.task in so_far else crop
            for part, crop in zip(parts, found.crops, strict=True)
        ]
        whole = laid_over(found.behind, parts, seen)
        return Preview(one.index, _on_ground(whole, one.request), len(so_far), len(parts))

    drawn = yield from draw_parts(engine, one, parts, cancel, preview)
    if len(drawn) < len(parts):
        return
    whole = laid_over(found.behind, parts, [picture.pixels for picture in drawn])
    pixels = _on_ground(whole, one.request)
    yield Progress(len(parts) + 1, len(parts) + 1, "drawing")
    yield Picture(pixels, "", one.seed, one.index, engine.model, mean_score(drawn))


def _on_ground(whole: Pixels, request: ImageRequest) -> Pixels:
    if request.background != "opaque":
        return whole
    return codec.over(whole, np.full_like(whole, 255))


def _alone(request: ImageRequest, crop: Pixels) -> ImageRequest:
    """The request for a variation of one thing."""
    return replace(
        request,
        size=Size(crop.shape[1], crop.shape[0]),
        source=Variation(crop),
        background="transparent",
        previews=0,
        options=Options(),
    )


def masks_of(clear: Pixels) -> list[Bools]:
    """Of each thing of a picture on a clear ground, its pixels and its edge, (H, W); none of more
    than 8 things.
    """
    height, width = clear.shape[:2]
    scale = _SMALL_PX / max(height, width)
    small = codec.resize(clear, max(8, round(width * scale)), max(8, round(height * scale)), "area")
    visible = small[..., 3] >= _VISIBLE
    labels = _with_parts(things(visible), visible)
    numbers, masks = np.unique(labels[labels > 0]), []
    if len(numbers) > _MOST:
        return []
    for label in numbers:
        mask = Image.fromarray((labels == label).astype(np.uint8) * 255)
        mask = mask.filter(ImageFilter.MaxFilter(_EDGE_PX)).resize((width, height))
        masks.append(np.asarray(mask) >= _VISIBLE)
    return masks


def _with_parts(labels: Ints, visible: Bools) -> Ints:
    """The labels of things (H, W), with each smaller area given to the thing it is nearest to; of
    many such areas, which are noise, none is.
    """
    found, areas = labels.copy(), components(visible.astype(np.int64))
    at = {label: np.argwhere(labels == label) for label in np.unique(labels[labels > 0])}
    smaller = np.unique(areas[visible & (labels == 0)])
    for area in smaller if at and len(smaller) <= _MOST_PARTS else ():
        middle = np.argwhere(areas == area).mean(0)
        distances = {label: ((own - middle) ** 2).sum(1).min() for label, own in at.items()}
        found[areas == area] = min(distances, key=lambda label: distances[label])
    return found


def _square(mask: Bools) -> tuple[int, int, int]:
    """Left, top and side of the square around a thing; below 0 where it does not fit."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    across, down = int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
    side = max(MIN_SIDE, round(max(across, down) * (1 + 2 * _MARGIN)))
    side = -(-side // SIDE_STEP) * SIDE_STEP
    left, top = (
        min(max(0, (int(ends[0]) + int(ends[-1]) + 1 - side) // 2), length - side)
        for ends, length in ((columns, width), (rows, height))
    )
    return left, top, side
