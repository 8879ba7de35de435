"""Clip art as people draw it, made safe and framed: an SVG file to an icon of an icon package.

Files of a clip art library come from many programs: with pages far larger than the drawing, with
the programs' own data, and now and then with a photograph or a text. What cannot be used is refused
with a reason.
"""

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.errors import DataError, needed

ET.register_namespace("", "http://www.w3.org/2000/svg")
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")

MAX_BYTES = 300_000
MAX_ELEMENTS = 2_000
_LOOK_PX = 512
_MARGIN = 0.03  # of the longer side, around what is visible
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_DROPPED = frozenset({"metadata", "foreignObject", "script", "title", "desc"})
_REFUSED = {"image": "it has a raster picture inside", "text": "it has text, which needs a font"}
_PX_FROM_UNIT = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54}
_PX_FROM_UNIT["in"] = 96.0
_LENGTH = re.compile(r"\s*(\d*\.?\d+(?:e[-+]?\d+)?)\s*(px|pt|pc|mm|cm|in)?\s*$")
_AWAY = re.compile(r"url\(\s*['\"]?(?!#)|@import", re.IGNORECASE)


@dataclass(frozen=True)
class CleanDrawing:
    """A drawing that is safe to render: an `svg` element with the size of its page in pixels."""

    body: str
    width: float
    height: float


def clean(content: bytes) -> CleanDrawing:
    """Keep the drawing alone of a file.

    Raises DataError, whose message is the reason, if the file cannot be used.
    """
    root = _parsed(content)
    width, height, box = _page(root)
    _clean(root)
    root.attrib.update(width=f"{width:g}", height=f"{height:g}", viewBox=box)
    return CleanDrawing(ET.tostring(root, encoding="unicode"), width, height)


def icon(drawing: CleanDrawing) -> dict[str, Any]:
    """A row of `icons.json`: the body in a square frame around what is visible.

    Raises DataError, whose message is the reason, if it draws nothing.
    """
    longer = max(drawing.width, drawing.height)
    visible = _visible(drawing.body, longer)
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    if not len(rows):
        raise DataError("it draws nothing")
    scale = longer / _LOOK_PX
    left, right = columns[0] * scale, (columns[-1] + 1) * scale
    top, bottom = rows[0] * scale, (rows[-1] + 1) * scale
    side = float(max(right - left, bottom - top)) * (1 + 2 * _MARGIN)
    return {
        "body": drawing.body,
        "left": round(float(left + right - side) / 2, 3),
        "top": round(float(top + bottom - side) / 2, 3),
        "width": round(side, 3),
        "height": round(side, 3),
    }


def _parsed(content: bytes) -> ET.Element:
    if len(content) > MAX_BYTES:
        raise DataError(f"it is larger than {MAX_BYTES:,} bytes")
    if b"<!ENTITY" in content:
        raise DataError("it declares entities")
    try:
        root = ET.fromstring(content)
    except ET.ParseError:
        raise DataError("it is broken") from None
    if root.tag != _SVG + "svg":
        raise DataError("it is broken")
    if sum(1 for _ in root.iter()) > MAX_ELEMENTS:
        raise DataError(f"it has more than {MAX_ELEMENTS:,} elements")
    return root


def _clean(element: ET.Element) -> None:
    """Keep SVG alone: no other program's data, nothing that runs, nothing from elsewhere."""
    for child in list(element):
        tag = child.tag.removeprefix(_SVG)
        if tag.startswith("{") or tag in _DROPPED:
            element.remove(child)
            continue
        if tag in _REFUSED:
            raise DataError(_REFUSED[tag])
        _clean(child)
    for name, value in list(element.attrib.items()):
        is_foreign = name.startswith("{") and name != _HREF
        if is_foreign or name.startswith("on"):
            del element.attrib[name]
        elif (name == _HREF and not value.startswith("#")) or _AWAY.search(value):
            raise DataError("it refers to another file")
    if _AWAY.search(element.text or ""):
        raise DataError("it refers to another file")


def _page(root: ET.Element) -> tuple[float, float, str]:
    """The page's width and height in pixels, and its box in the drawing's own units."""
    numbers = re.split(r"[\s,]+", root.get("viewBox", "").strip())
    try:
        box = [float(number) for number in numbers]
    except ValueError:
        box = []
    width, height = (_pixels(root.get(name, "")) for name in ("width", "height"))
    if len(box) != 4 and width and height:
        box = [0.0, 0.0, width, height]
    if len(box) != 4 or min(box[2:]) <= 0:
        raise DataError("it does not say how large it is")
    return width or box[2], height or box[3], " ".join(f"{number:g}" for number in box)


def _pixels(length: str) -> float | None:
    found = _LENGTH.match(length)
    return float(found[1]) * _PX_FROM_UNIT[found[2] or ""] if found else None


def _visible(body: str, side: float) -> NDArray[np.bool_]:
    with needed("Rendering drawings", "limner[train]"):
        import resvg_py
    box = f'viewBox="0 0 {side:g} {side:g}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{body}</svg>'
    try:
        png = bytes(
            resvg_py.svg_to_bytes(
                svg_string=svg, width=_LOOK_PX, height=_LOOK_PX, skip_system_fonts=True
            )
        )
    except ValueError:
        raise DataError("it cannot be rendered") from None
    visible: NDArray[np.bool_] = (
        np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))[..., 3] > 24
    )
    return visible
