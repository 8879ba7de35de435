"""A flat picture as an SVG document: stacked layers of Bézier outlines, without cracks.

Sheets are painted one over the other. An area's outline is exact where it meets lower sheets, and
extends under higher ones, so that no gap shows between areas.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats, Ints, Pixels
from limner.errors import InvalidRequest
from limner.finish.colour_planes import Paint, is_clear, squared_errors
from limner.finish.components import components
from limner.finish.regions import blurred
from limner.finish.segment import Flat, sampled, segmented
from limner.finish.sheets import Sheets
from limner.finish.vector import contours, curves
from limner.finish.vector.svg_metadata import NAMESPACE
from limner.request import Complexity

MUCH_LOST = 0.25  # share of pixels lost above which a picture is not flat art

_UNIT = 2048  # coordinate units along the shorter side
_VISIBLE = 0.12  # visible distance of two colours, over four channels together
_UNDER_SIGMA, _UNDER_LEVEL = 2.5, 0.08  # how far an area extends under higher sheets


@dataclass(frozen=True)
class Detail:
    """The parameters of a complexity."""

    side_px: int  # shorter side of the traced picture
    max_colours: int
    min_px: int  # smallest area, in pixels of the traced picture
    tolerance: float  # of curves, in pixels of the traced picture
    max_paths: int


DETAILS: dict[str, Detail] = {
    "low": Detail(160, 8, 40, 0.45, 40),
    "medium": Detail(224, 16, 16, 0.28, 150),
    "high": Detail(320, 32, 10, 0.2, 400),
}


@dataclass(frozen=True)
class Trace:
    """An SVG document and its statistics."""

    data: bytes
    n_paths: int
    lost: float  # 0 to 1: share of pixels with a visibly different colour in the drawing


def trace(
    pixels: Pixels,
    complexity: Complexity = "medium",
    *,
    title: str = "",
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """An SVG document of straight RGBA pixels (H, W, 4): paths and gradients, nothing else.

    The same pixels give the same bytes. `complexity` bounds colours and paths; surplus areas are
    dropped, the smallest first. Raises InvalidRequest for an unknown complexity.
    """
    return traced(pixels, complexity, title=title, metadata=metadata).data


def traced(
    pixels: Pixels,
    complexity: Complexity = "medium",
    *,
    title: str = "",
    metadata: Mapping[str, str] | None = None,
) -> Trace:
    """As `trace`, with the number of paths and the share lost."""
    if complexity not in DETAILS:
        raise InvalidRequest(
            f"complexity is {complexity!r}; it must be one of {', '.join(DETAILS)}",
            param="complexity",
        )
    detail = DETAILS[complexity]
    height, width = pixels.shape[:2]
    flat, sheets = _taken_apart(pixels, detail)
    body = _Body(sheets, detail.tolerance)
    data = _document(body, width, height, title, metadata or {})
    return Trace(data, len(body.paths), _lost(flat, sheets))


def share_lost(pixels: Pixels, complexity: Complexity = "medium") -> float:
    """The share of pixels that `traced` would lose, without computing outlines."""
    return _lost(*_taken_apart(pixels, DETAILS[complexity]))


def _taken_apart(pixels: Pixels, detail: Detail) -> tuple[Flat, Sheets]:
    flat = segmented(
        sampled(pixels, detail.side_px),
        detail.max_colours,
        detail.min_px,
        detail.max_paths,
        only_planes=True,
    )
    return flat, flat.sheets(clear_below=True)


def _lost(flat: Flat, sheets: Sheets) -> float:
    error = squared_errors(sheets.paint.planes, flat.areas, flat.picture)
    return float((error > _VISIBLE**2).mean())


class _Body:
    """The paths of a picture, from the lowest sheet up."""

    def __init__(self, sheets: Sheets, tolerance: float) -> None:
        rows, columns = sheets.areas.shape
        self.scale = _UNIT / min(rows, columns)
        self.view = columns * self.scale, rows * self.scale
        self.gradients: list[str] = []
        self.paths: list[str] = []
        self._tolerance = tolerance
        for number in range(int(sheets.sheet.max()) + 1):
            self._add_sheet(sheets, number)

    def _add_sheet(self, sheets: Sheets, number: int) -> None:
        mine = np.flatnonzero(sheets.sheet == number)
        mine = mine[~is_clear(sheets.paint.planes[mine])]
        if not len(mine):
            return
        field = _exact(sheets.memberships, number)
        bounds = _bounds(sheets.areas)
        by_fill: dict[str, list[str]] = {}
        for area in mine:
            (top, left), (bottom, right) = bounds[area]
            near = slice(max(0, top - 10), bottom + 10), slice(max(0, left - 10), right + 10)
            loops = _loops(field[near], sheets.areas[near] == area)
            shift = np.array([near[1].start, near[0].start]) + 0.5
            outline = "".join(self._outline(loop + shift) for loop in loops)
            if outline:
                fill = self._fill(sheets.paint, int(area), bounds[area])
                by_fill.setdefault(fill, []).append(outline)
        self.paths += [f'<path {fill} d="{"".join(parts)}"/>' for fill, parts in by_fill.items()]

    def _outline(self, loop: contours.Points) -> str:
        """A closed outline in whole units, in relative coordinates."""
        fitted = np.rint(curves.fit(loop, self._tolerance) * self.scale).astype(int)
        if len(fitted) < 2:
            return ""
        x, y = fitted[0, 0]
        parts = [f"M{x} {y}"]
        last = ""
        for curve in fitted:
            steps = curve[1:] - curve[0]
            if not steps.any():
                continue
            command, values = ("l", steps[2:]) if _is_straight(steps) else ("c", steps)
            text = " ".join(str(int(v)) for v in values.ravel()).replace(" -", "-")
            parts.append(
                text
                if command == last and text[0] == "-"
                else f" {text}"
                if command == last
                else command + text
            )
            last = command
        return "".join(parts) + "z"

    def _fill(self, paint: Paint, area: int, bounds: Ints) -> str:
        plane = paint.planes[area].astype(np.float64)
        (top, left), (bottom, right) = bounds
        slope = plane[1:]
        if not slope.any():
            return _colour(plane[0], "fill")
        # Along the direction of the strongest change, from one end of the area to the other.
        _, _, axes = np.linalg.svd(slope.T)
        direction = axes[0]
        corners = np.array([[x, y] for x in (left, right) for y in (top, bottom)], float)
        along = corners @ direction
        middle = corners.mean(0)
        ends = [middle + direction * (a - middle @ direction) for a in (along.min(), along.max())]
        stops = [_colour(plane[0] + end @ slope, "stop-color") for end in ends]
        (x1, y1), (x2, y2) = (np.rint((end + 0.5) * self.scale).astype(int) for end in ends)
        name = f"g{len(self.gradients)}"
        self.gradients.append(
            f'<linearGradient id="{name}" gradientUnits="userSpaceOnUse" x1="{x1}" y1="{y1}" '
            f'x2="{x2}" y2="{y2}"><stop {stops[0]}/><stop offset="1" {stops[1]}/></linearGradient>'
        )
        return f'fill="url(#{name})"'


def _exact(memberships: Floats, number: int) -> Floats:
    """A field (H, W), positive where a sheet or a higher one has the largest membership."""
    above = memberships[number:].max(0)
    if number == 0:
        return np.ones_like(above)
    return above - memberships[:number].max(0)


def _bounds(areas: Ints) -> Ints:
    """First and one past the last row and column of each area, (n, 2, 2)."""
    n = int(areas.max()) + 1
    found = np.zeros((n, 2, 2), np.int64)
    for axis in (0, 1):
        positions = np.broadcast_to(
            np.expand_dims(np.arange(areas.shape[axis]), 1 - axis), areas.shape
        )
        low, high = np.full(n, areas.size), np.zeros(n, np.int64)
        np.minimum.at(low, areas.ravel(), positions.ravel())
        np.maximum.at(high, areas.ravel(), positions.ravel() + 1)
        found[:, 0, axis], found[:, 1, axis] = low, high
    return found


def _loops(exact: Floats, mask: NDArray[np.bool_]) -> list[contours.Points]:
    """Outlines of an area, extended under higher sheets, without holes that those cover."""
    padded = np.pad(mask, _EDGE, "edge")
    around = blurred(padded.astype(np.int64), 2, _UNDER_SIGMA)[1] - np.float32(_UNDER_LEVEL)
    exact = np.pad(exact, _EDGE, "edge")
    field = np.where(padded & (exact > 0), exact, np.minimum(exact, around))
    field = _without_covered_holes(field, exact)
    field[[0, -1]] = field[:, [0, -1]] = -1
    return [loop - _EDGE for loop in contours.outlines(field)]


_EDGE = 3  # pixels by which areas extend beyond the picture's edge


def _without_covered_holes(field: Floats, exact: Floats) -> Floats:
    outside = components((field > 0).astype(np.int64))
    lowest = np.full(int(outside.max()) + 1, np.inf, np.float32)
    np.minimum.at(lowest, outside.ravel(), exact.ravel())
    border = np.concatenate([outside[0], outside[-1], outside[:, 0], outside[:, -1]])
    covered = lowest > 0
    covered[border] = False
    return np.where(covered[outside] & (field <= 0), np.float32(0.5), field)


def _is_straight(steps: NDArray[np.int64]) -> bool:
    first, second, end = steps
    length = np.hypot(*end)
    if length == 0:
        return False
    away = np.abs(
        np.array([first[0] * end[1] - first[1] * end[0], second[0] * end[1] - second[1] * end[0]])
    )
    return bool(away.max() <= 1.5 * length)


def _colour(premultiplied: NDArray[np.float64], name: str) -> str:
    """A colour as attributes of a fill or a stop."""
    alpha = float(premultiplied[3].clip(0, 1))
    straight = np.rint((premultiplied[:3] / max(alpha, 1e-6)).clip(0, 1) * 255).astype(int)
    text = "#" + "".join(f"{value:02x}" for value in straight)
    if text[1::2] == text[2::2]:
        text = "#" + text[1::2]
    opacity = "fill-opacity" if name == "fill" else "stop-opacity"
    return f'{name}="{text}"' + (f' {opacity}="{alpha:.2f}"' if alpha < 0.995 else "")


# XML 1.0, section 2.2: characters that are not allowed in a document.
_NO_CHARACTER = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text(value: str) -> str:
    # A carriage return would be read as a line feed (XML 1.0, section 2.11).
    return escape(_NO_CHARACTER.sub("\ufffd", value), {"\r": "&#13;"})


def _document(
    body: _Body, width: int, height: int, title: str, metadata: Mapping[str, str]
) -> bytes:
    view = f"0 0 {body.view[0]:.0f} {body.view[1]:.0f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="{view}" role="img">'
    ]
    if title:
        short = title if len(title) <= 80 else title[:79] + "…"
        parts += [f"<title>{_text(short)}</title>", f"<desc>{_text(title)}</desc>"]
    if metadata:
        values = "".join(
            f"<l:value name={quoteattr(_NO_CHARACTER.sub('?', key))}>{_text(value)}</l:value>"
            for key, value in metadata.items()
        )
        parts.append(f'<metadata xmlns:l="{NAMESPACE}">{values}</metadata>')
    if body.gradients:
        parts.append(f"<defs>{''.join(body.gradients)}</defs>")
    return "\n".join([*parts, *body.paths, "</svg>\n"]).encode()
