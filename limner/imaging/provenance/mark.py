"""A visible "AI" in the corner of a picture: white letters on a dark plate.

The letters are polygons, not from a font, so the result is the same on every machine. Their height
is a twentieth of the shorter side. The letters are visible on dark pictures, the plate on light
ones.
"""

from __future__ import annotations

import re

import numpy as np
from PIL import Image, ImageDraw

from limner.arrays import Pixels

Outline = tuple[tuple[float, float], ...]

SHARE = 0.05  # height of the letters as a fraction of the shorter side
MIN_LETTER_PX = 7

# In hundredths of the letters' height, from the plate's upper left corner.
_PLATE = (186.0, 160.0)
_RADIUS = 30.0
_LETTERS: tuple[Outline, ...] = (
    ((30, 130), (66, 30), (84, 30), (120, 130), (101, 130), (94, 109), (56, 109), (49, 130)),
    ((62, 93), (88, 93), (75, 54)),  # the hole of the A
    ((138, 30), (156, 30), (156, 130), (138, 130)),
)
_MARGIN = 0.02  # between plate and edges, as a fraction of the shorter side
_INK, _GROUND = 255, 26  # grey
_FINER = 8  # samples per pixel and axis
_VIEW_BOX = re.compile(r'\bviewBox="0 0 ([0-9.]+) ([0-9.]+)"')


def marked(pixels: Pixels) -> Pixels:
    """A copy of straight RGBA `(H, W, 4)` with the mark in its lower right corner."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    scale = max(MIN_LETTER_PX, round(SHARE * side)) / 100
    plate = _coverage([_rounded(*_PLATE, _RADIUS)], [], scale)
    letters = _coverage([_LETTERS[0], _LETTERS[2]], [_LETTERS[1]], scale)
    rows, columns = plate.shape
    margin = max(1, round(_MARGIN * side))
    bottom, right = height - margin, width - margin
    top, left = max(0, bottom - rows), max(0, right - columns)
    here = slice(top, bottom), slice(left, right)
    shown = plate[: bottom - top, : right - left], letters[: bottom - top, : right - left]
    result = pixels.copy()
    result[here] = _laid(*shown, pixels[here])
    return result


def marked_svg(document: str) -> str:
    """Add the mark as two paths to an SVG document. Raises ValueError without viewBox "0 0 …"."""
    found = _VIEW_BOX.search(document)
    if found is None:
        raise ValueError("the document has no viewBox that begins at 0 0")
    width, height = float(found[1]), float(found[2])
    side = min(width, height)
    scale, margin = SHARE * side / 100, _MARGIN * side
    left, top = width - margin - _PLATE[0] * scale, height - margin - _PLATE[1] * scale

    def path(outlines: tuple[Outline, ...], grey: int) -> str:
        shapes = "".join(
            "M" + "L".join(f"{left + x * scale:.1f} {top + y * scale:.1f}" for x, y in outline)
            + "z"
            for outline in outlines
        )  # fmt: skip
        return f'<path fill="#{grey:02x}{grey:02x}{grey:02x}" fill-rule="evenodd" d="{shapes}"/>\n'

    at = document.rindex("</svg>")
    paths = path((_rounded(*_PLATE, _RADIUS),), _GROUND) + path(_LETTERS, _INK)
    return document[:at] + paths + document[at:]


def _rounded(width: float, height: float, radius: float) -> Outline:
    """A rectangle with rounded corners, as a polygon."""
    steps = np.linspace(0, np.pi / 2, 7)
    corners = ((width, height, 0), (0, height, 1), (0, 0, 2), (width, 0, 3))
    points: list[tuple[float, float]] = []
    for x, y, quarter in corners:
        middle_x, middle_y = abs(x - radius), abs(y - radius)
        angles = steps + quarter * np.pi / 2
        # Rounded, so that the last digit of a cosine makes no difference.
        points += [
            (round(middle_x + radius * float(np.cos(a)), 3),
             round(middle_y + radius * float(np.sin(a)), 3))
            for a in angles
        ]  # fmt: skip
    return tuple(points)


def _coverage(filled: list[Outline], holes: list[Outline], scale: float) -> Pixels:
    """How much of each pixel of the plate the outlines cover, 0 to 255."""
    columns, rows = (max(1, round(side * scale)) for side in _PLATE)
    image = Image.new("L", (columns * _FINER, rows * _FINER))
    draw = ImageDraw.Draw(image)
    for outlines, value in ((filled, 255), (holes, 0)):
        for outline in outlines:
            draw.polygon([(x * scale * _FINER, y * scale * _FINER) for x, y in outline], fill=value)
    return np.array(image.resize((columns, rows), Image.Resampling.BOX))


def _laid(plate: Pixels, letters: Pixels, below: Pixels) -> Pixels:
    """The mark over straight pixels `(h, w, 4)`: letters over the plate over what is below."""
    ink = letters.astype(np.int64)
    grey = (ink * _INK + (255 - ink) * _GROUND + 127) // 255
    over = np.maximum(plate, letters).astype(np.int64)[..., None]
    alpha = below[..., 3:].astype(np.int64)
    # Porter and Duff's "over" on straight colour: weights of the mark and of what is below it.
    under = (255 - over) * alpha
    total = np.maximum(over * 255 + under, 1)
    colour = (over * 255 * grey[..., None] + under * below[..., :3] + total // 2) // total
    found = np.concatenate([colour, (over * 255 + under + 127) // 255], axis=-1)
    return found.astype(np.uint8)
