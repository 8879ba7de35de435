"""Preparing a picture for recognition: its subject on a clear ground, and the things in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from limner.arrays import Pixels
from limner.finish.components import things
from limner.imaging import codec
from limner.imaging.framing import framed
from limner.sampling import ground

SIDE_PX = 192  # of the picture in which things are counted
_VISIBLE = 128  # alpha from which a pixel belongs to a thing


@dataclass(frozen=True, eq=False)
class Subject:
    """The subject of a picture, without its ground."""

    pixels: Pixels  # (S, S, 4) straight RGBA, cut out, in the middle of a square
    largest: Pixels  # the largest of its things, cut out in the same way
    areas: tuple[int, ...]  # pixels of each thing in the small picture, the largest first
    has_ground: bool  # whether a visible ground was separated from the subject
    is_cut: bool  # whether the subject could be separated from the ground at all


def subject_of(pixels: Pixels) -> Subject:
    """Cut out the subject of a picture (H, W, 4) of straight RGBA."""
    small = within(pixels, SIDE_PX)
    clear = ground.cleared(small)
    cut = small if clear is None else clear
    visible = cut[..., 3] >= _VISIBLE
    was_clear = bool((small[..., 3] < _VISIBLE).any())
    if not visible.any():
        return Subject(small, small, (), has_ground=False, is_cut=False)
    labels = things(visible)
    sizes = np.bincount(labels[labels > 0])
    largest = labels == sizes.argmax() if sizes.any() else visible
    return Subject(
        framed(cut, visible),
        framed(np.where(largest[..., None], cut, 0), largest),
        tuple(sorted((int(n) for n in sizes if n), reverse=True)),
        has_ground=clear is not None and not was_clear,
        is_cut=clear is not None,
    )


def within(pixels: Pixels, side_px: int) -> Pixels:
    """A picture resized so that its longer side has `side_px`."""
    height, width = pixels.shape[:2]
    scale = side_px / max(height, width)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    return codec.resize(pixels, *size, "area" if scale < 1 else "bicubic")
