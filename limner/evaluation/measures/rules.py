"""Simple checks of composed pictures: count, position, colour and background, by rule.

After GenEval (arXiv 2310.11513, section 3), without its detectors: objects are connected areas,
their colour is the nearest one in Lab, and the judge says which half of the picture shows which of
two objects. The checks err, so `limner evaluate` also prints how often each is right on true
pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats, Pixels
from limner.data import colours
from limner.data.emoji.library import Library
from limner.data.scenes import ObjectSpec, SceneSpec
from limner.evaluation.judge.judge import Judge
from limner.evaluation.judge.scenes import describe
from limner.imaging import codec
from limner.training.tasks.backbone import SOURCE_PX

RULES = ("count", "position", "colour", "background")

_VISIBLE = 0.4  # alpha from which a pixel counts
_APART = 14.0  # Lab distance from the background from which a pixel is an object's
_OBJECT_SIDE = 0.56  # areas that together are no larger than this are parts of one object
_SMALLEST = 0.012  # of the picture; smaller areas are specks

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RuleCheck:
    """The result of one rule on one picture; None where the scene does not need it."""

    count: bool | None = None
    position: bool | None = None
    colour: bool | None = None
    background: bool | None = None


def check(
    pictures: Pixels, specs: Sequence[SceneSpec], library: Library, judge: Judge
) -> list[RuleCheck]:
    """Check pictures, premultiplied RGBA (N, SOURCE_PX, SOURCE_PX, 4); one result each."""
    positions = _positions(pictures, specs, library, judge)
    return [
        RuleCheck(
            _count(picture, spec),
            position,
            _colour(picture, spec),
            background_of(picture) == spec.background,
        )
        for picture, spec, position in zip(pictures, specs, positions, strict=True)
    ]


# --- count -------------------------------------------------------------------------------------


def _count(picture: Pixels, spec: SceneSpec) -> bool | None:
    """Asked of scenes with several of one thing."""
    if len(spec.objects) != 1 or spec.objects[0].count == 1:
        return None
    return count_objects(picture) == spec.objects[0].count


def count_objects(picture: Pixels) -> int:
    """How many objects stand in a picture: connected areas, parts of one object put together."""
    mask = foreground(picture)
    # Neighbours may touch by a pixel: a cut of one pixel parts them.
    boxes = _boxes(_eroded(mask)) or _boxes(mask)
    return len(_put_together(boxes))


def foreground(picture: Pixels) -> Mask:
    """The pixels of objects, (H, W): those that differ from the border of the picture."""
    alpha = picture[..., 3] / 255
    rim = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    if np.median(rim) < 0.5:
        return alpha > _VISIBLE
    lab = lab_of(_on_white(picture))
    ground = np.median(np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]]), axis=0)
    apart: Mask = np.linalg.norm(lab - ground, axis=-1) > _APART
    return apart


def _eroded(mask: Mask) -> Mask:
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    return inner


Box = tuple[int, int, int, int]  # left, top, right, bottom


def _boxes(mask: Mask) -> list[Box]:
    """The boxes of the connected areas that are larger than a speck."""
    left = mask.copy()
    boxes = []
    smallest = _SMALLEST * mask.size
    while left.any():
        area = _flooded(left, np.unravel_index(int(left.argmax()), left.shape))
        left &= ~area
        if area.sum() >= smallest:
            rows, columns = np.flatnonzero(area.any(1)), np.flatnonzero(area.any(0))
            boxes.append((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
    return boxes


def _flooded(mask: Mask, start: tuple[np.intp, ...]) -> Mask:
    """All pixels connected with `start`, corners included."""
    area = np.zeros_like(mask)
    edge = [(int(start[0]), int(start[1]))]
    area[edge[0]] = True
    height, width = mask.shape
    while edge:
        y, x = edge.pop()
        for ny in range(max(y - 1, 0), min(y + 2, height)):
            for nx in range(max(x - 1, 0), min(x + 2, width)):
                if mask[ny, nx] and not area[ny, nx]:
                    area[ny, nx] = True
                    edge.append((ny, nx))
    return area


def _put_together(boxes: list[Box]) -> list[Box]:
    """Join the closest two boxes while the result is no larger than one object."""
    boxes = list(boxes)
    while len(boxes) > 1:
        pairs = [(i, j) for i in range(len(boxes)) for j in range(i)]
        i, j = min(pairs, key=lambda pair: _side(_around(boxes[pair[0]], boxes[pair[1]])))
        joined = _around(boxes[i], boxes[j])
        if _side(joined) > _OBJECT_SIDE * SOURCE_PX:
            break
        boxes = [box for k, box in enumerate(boxes) if k not in (i, j)] + [joined]
    return boxes


def _around(a: Box, b: Box) -> Box:
    return (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def _side(box: Box) -> int:
    return max(box[2] - box[0], box[3] - box[1])


# --- position ----------------------------------------------------------------------------------

# The half in which the first object stands: left, right, top, bottom.
_HALF_FROM_RELATION = {
    "left of": ("left",), "right of": ("right",), "above": ("top",), "on": ("top",),
    "below": ("bottom",), "next to": ("left", "right"),
}  # fmt: skip
_OTHER = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


def _positions(
    pictures: Pixels, specs: Sequence[SceneSpec], library: Library, judge: Judge
) -> list[bool | None]:
    """For two objects in a relation: the judge names the object in each half."""
    asked = [row for row, spec in enumerate(specs) if spec.relation in _HALF_FROM_RELATION]
    found: list[bool | None] = [None] * len(specs)
    if not asked:
        return found
    crops = [half_of(pictures[row], half) for row in asked for half in _OTHER]
    seen = judge.embed_pictures(np.stack(crops)).reshape(len(asked), len(_OTHER), -1)
    names = [
        describe(SceneSpec((ObjectSpec(item.drawing, item.concept),)), library)
        for row in asked
        for item in specs[row].objects
    ]
    said = judge.embed_texts(names).reshape(len(asked), 2, -1)
    for row, halves, pair in zip(asked, seen, said, strict=True):
        # How much more like the first object than like the second each half is.
        first_more = dict(zip(_OTHER, halves @ (pair[0] - pair[1]), strict=True))
        best = max(_OTHER, key=lambda half: first_more[half] - first_more[_OTHER[half]])
        found[row] = best in _HALF_FROM_RELATION[specs[row].relation]
    return found


def half_of(picture: Pixels, half: str) -> Pixels:
    """The content of a half of a picture, padded to a square and scaled to SOURCE_PX."""
    px = picture.shape[0]
    middle = px // 2
    window = {
        "left": (0, 0, middle, px), "right": (middle, 0, px, px),
        "top": (0, 0, px, middle), "bottom": (0, middle, px, px),
    }[half]  # fmt: skip
    left, top, right, bottom = window
    mask = foreground(picture)[top:bottom, left:right]
    if mask.any():
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        left, right = left + columns[0], left + columns[-1] + 1
        top, bottom = top + rows[0], top + rows[-1] + 1
    side = max(right - left, bottom - top) + 2
    square = np.zeros((side, side, 4), np.uint8)
    square[...] = picture[0, 0]  # the background
    y, x = (side - (bottom - top)) // 2, (side - (right - left)) // 2
    square[y : y + bottom - top, x : x + right - left] = picture[top:bottom, left:right]
    return codec.resize(square, SOURCE_PX, SOURCE_PX, premultiplied=True)


# --- colour ------------------------------------------------------------------------------------


def _colour(picture: Pixels, spec: SceneSpec) -> bool | None:
    """For objects with a colour; of two objects, each in its own half."""
    said = [item.colour for item in spec.objects]
    if not any(said):
        return None
    mask = foreground(picture)
    if len(said) == 1:
        return dominant_colour(picture, mask, str(said[0])) == said[0]
    halves = _HALF_FROM_RELATION.get(spec.relation, ())
    if len(halves) != 1:  # who stands where is not said
        return None
    regions = [mask & _half(mask.shape[0], half) for half in (halves[0], _OTHER[halves[0]])]
    return all(
        dominant_colour(picture, region, colour) == colour
        for region, colour in zip(regions, said, strict=True)
        if colour is not None
    )


def _half(px: int, half: str) -> Mask:
    region = np.zeros((px, px), bool)
    middle = px // 2
    if half in ("left", "right"):
        region[:, slice(0, middle) if half == "left" else slice(middle, px)] = True
    else:
        region[slice(0, middle) if half == "top" else slice(middle, px)] = True
    return region


def dominant_colour(picture: Pixels, mask: Mask, wanted: str) -> str | None:
    """The most frequent of the eleven colours under a mask, None if nothing is there.

    Black, white and grey are also outlines, eyes and highlights: they count only if `wanted`.
    """
    if not mask.any():
        return None
    found = nearest_colours(lab_of(_on_white(picture))[mask])
    counts = np.bincount(found, minlength=len(colours.NAMES)).astype(float)
    if wanted not in ("black", "white", "grey"):
        for name in ("black", "white", "grey"):
            counts[colours.NAMES.index(name)] *= 0.25
    return colours.NAMES[int(counts.argmax())]


# --- background --------------------------------------------------------------------------------


def background_of(picture: Pixels) -> str:
    """One of the eleven colours, or "transparent", by the rim of a picture."""
    alpha = picture[..., 3]
    rim = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    if np.median(alpha[[0, -1]]) < 128 and np.median(alpha[:, [0, -1]]) < 128:
        return "transparent"
    middle = np.median(_on_white(rim[None])[0], axis=0)
    found = nearest_colours(lab_of(middle[None]))
    return colours.NAMES[int(found[0])]


# --- colours of pixels -------------------------------------------------------------------------


# A colour is a region: its standard shade, and darker and lighter ones that bear the same name.
_SHADES = {
    "red": ((221, 46, 68), (150, 20, 30), (240, 80, 90), (190, 25, 49)),
    "orange": ((244, 144, 12), (230, 110, 20), (250, 170, 70)),
    "yellow": ((255, 204, 77), (250, 225, 120), (235, 190, 20)),
    "green": ((92, 173, 71), (40, 110, 40), (140, 205, 110), (60, 140, 60)),
    "blue": ((62, 132, 226), (30, 80, 160), (110, 175, 240), (50, 60, 200)),
    "purple": ((150, 92, 200), (95, 50, 140), (185, 140, 225), (120, 60, 180)),
    "pink": ((246, 150, 190), (250, 190, 215), (235, 110, 165)),
    "brown": ((138, 86, 52), (90, 55, 35), (175, 120, 80), (115, 70, 40)),
    "black": ((30, 30, 34), (0, 0, 0), (55, 55, 60)),
    "white": ((255, 255, 255), (235, 238, 242)),
    "grey": ((150, 156, 162), (110, 115, 120), (190, 195, 200)),
}


def nearest_colours(lab: Floats) -> NDArray[np.intp]:
    """The index in colours.NAMES of the nearest colour of each Lab value (N, 3)."""
    shades = lab_of(np.array([shade for name in colours.NAMES for shade in _SHADES[name]]))
    owners = np.repeat(np.arange(len(colours.NAMES)), [len(_SHADES[n]) for n in colours.NAMES])
    # The square of the distance without |lab|^2, which is the same for every shade.
    distances = (shades**2).sum(1) - 2 * lab @ shades.T
    nearest: NDArray[np.intp] = owners[distances.argmin(1)]
    return nearest


def _on_white(premultiplied: Pixels) -> Floats:
    colour, alpha = premultiplied[..., :3].astype(np.float64), premultiplied[..., 3:]
    return colour + (255.0 - alpha)


def lab_of(rgb: NDArray[np.generic]) -> Floats:
    """CIE Lab, D65, of sRGB values (..., 3) in 0..255."""
    value = np.asarray(rgb, np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)
