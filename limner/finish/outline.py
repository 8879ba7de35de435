"""Dark lines around a thing and between its areas, laid over a small picture before its finish.

Asked for "outlined", the artist whose drawings have outlines is known too little to be told
(docs/experiments.md, 2026-11-27). Here the line is drawn on what is known well.
"""

import numpy as np
from PIL import Image, ImageFilter

from limner.arrays import Bools, Floats

_FINER = 4  # times the pixels in which lines are found
SCALE = 2  # times the pixels of the picture that comes back
# In pixels of the small picture, eight to a cell.
_OUTSIDE, _INSIDE = 1.5, 0.8  # how far a line reaches from the edge
MARGIN = 3  # that a picture needs around a thing, so that it keeps its whole line
_STEP = 0.22  # of colour in a pixel, over three channels together, that is a line within a thing
_SMOOTH = 0.7
_INK = np.array([0.15, 0.13, 0.17, 1.0], np.float32)


def outlined(small: Floats, factor: int = 1) -> Floats:
    """A premultiplied picture (4, h, w) in 0..1 with lines, SCALE / factor times its sides.

    factor: 1 for a picture of eight pixels a cell, 2 for one of sixteen.
    """
    height, width = small.shape[1:]
    whole = np.rint(small.transpose(1, 2, 0).clip(0, 1) * 255).astype(np.uint8)
    fine = Image.frombytes("RGBa", (width, height), whole.tobytes()).resize(
        (width * _FINER // factor, height * _FINER // factor), Image.Resampling.BICUBIC
    )
    size = width * SCALE // factor, height * SCALE // factor
    lines = Image.fromarray(_lines(np.asarray(fine)).astype(np.uint8) * 255)
    share = np.asarray(lines.resize(size, Image.Resampling.BOX), np.float32)[..., None] / 255
    under = np.asarray(fine.resize(size, Image.Resampling.BOX), np.float32) / 255
    drawn: Floats = (under * (1 - share) + _INK * share).transpose(2, 0, 1)
    return drawn


def _lines(fine: np.ndarray) -> Bools:
    """Where lines are, (H, W), in a premultiplied picture (H, W, 4)."""
    shape = Image.fromarray((fine[..., 3] > 127).astype(np.uint8) * 255)
    # A blurred shape at a sixth is wider by about its blur, at five sixths narrower.
    reached = _blurred(shape, _OUTSIDE) > 255 / 6
    inner = _blurred(shape, _INSIDE) > 255 * 5 / 6
    colour = _blurred(Image.fromarray(np.ascontiguousarray(fine[..., :3])), _SMOOTH) / 255
    down, across = np.gradient(colour, axis=(0, 1))
    steps = np.sqrt((down**2 + across**2).sum(-1)) * _FINER
    lines: Bools = (reached & ~inner) | (inner & (steps > _STEP))
    return lines


def _blurred(image: Image.Image, radius: float) -> Floats:
    blurred: Floats = np.asarray(
        image.filter(ImageFilter.GaussianBlur(radius * _FINER)), np.float32
    )
    return blurred
