"""Scenes on a lattice of cells, and their layouts: a box and a phrase for each thing.

A drawing fills a square box of whole cells, as framed by its artist. So its codes depend only on
the size of the box, not on its place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from limner.data.captions import caption
from limner.data.emoji import words
from limner.data.emoji.concepts import Concept
from limner.data.scenes import ObjectSpec, Placement, SceneSpec
from limner.planning.layout import Box, Layout, Thing

_CHINESE_SHARE = 0.45
_TRIES = 40
CLEAR = {"en": "transparent background", "zh": "透明背景"}


def placement(box: Box, canvas: int) -> Placement:
    """Where a drawing lies that fills a square box on a canvas of canvas × canvas cells."""
    return (
        (box.x + box.width / 2) / canvas, (box.y + box.height / 2) / canvas, box.width / canvas,
    )  # fmt: skip


def box_of(place: Placement, canvas: int) -> Box:
    """The box of a drawing that stands on the lattice; the opposite of `placement`."""
    x, y, side = place
    cells = round(side * canvas)
    return Box(round(x * canvas - cells / 2), round(y * canvas - cells / 2), cells, cells)


@dataclass(frozen=True)
class Described:
    """A layout and the caption of the whole picture."""

    layout: Layout
    caption: str


def describe(
    rng: np.random.Generator,
    spec: SceneSpec,
    concepts: Mapping[str, Concept],
    canvas: int,
    split: str = "train",
) -> Described:
    """The layout of a scene on the lattice and its caption, in a random language.

    A thing's phrase is a caption of it alone on the scene's background, without "big" or "small",
    which the box expresses. Objects are painted in order.
    """
    lang = "zh" if rng.random() < _CHINESE_SHARE else "en"
    if any(concepts[item.concept].label(lang) is None for item in spec.objects):
        lang = "en"
    things = []
    for item in spec.objects:
        alone = replace(item, places=((0.5, 0.5, 1.0),), size=None)
        one = SceneSpec((alone,), spec.background, artist=spec.artist or artist_of(item))
        phrase = caption(rng, one, concepts, lang, split)
        things += [Thing(phrase, box_of(place, canvas)) for place in item.places]
    ground = ground_phrase(rng, spec.background, lang)
    said = caption(rng, spec, concepts, lang, split)
    return Described(Layout(canvas, canvas, tuple(things), ground), said)


def ground_phrase(rng: np.random.Generator, background: str, lang: str) -> str:
    """The phrase for the ground."""
    if background == "transparent":
        return CLEAR[lang]
    if lang == "zh":
        return f"{words.table('zh')['colours'][background]}背景"
    return f"{'a ' if rng.random() < 0.3 else ''}{background} background"


def artist_of(item: ObjectSpec) -> str:
    """The artist of a drawing."""
    return item.drawing.partition("/")[0]


# --- where boxes are ---------------------------------------------------------------------------

Boxes = tuple[Box, ...]


def anywhere(rng: np.random.Generator, side: int, canvas: int) -> Box:
    """A square box at any place."""
    x, y = rng.integers(0, canvas - side + 1, 2)
    return Box(int(x), int(y), side, side)


def _beside(rng: np.random.Generator, sides: Sequence[int], canvas: int) -> Boxes | None:
    """The first to the left of the second."""
    first, second = sides
    slack = canvas - first - second
    if slack < 0:
        return None
    left = int(rng.integers(0, slack + 1))
    gap = int(rng.integers(0, slack - left + 1))
    middle = int(rng.integers(max(first, second) // 2, canvas - max(first, second) // 2 + 1))
    tops = [int(np.clip(middle - side // 2, 0, canvas - side)) for side in sides]
    return (
        Box(left, tops[0], first, first), Box(left + first + gap, tops[1], second, second),
    )  # fmt: skip


def _turned(boxes: Boxes | None) -> Boxes | None:
    """Swap rows and columns: left becomes above."""
    return boxes and tuple(Box(b.y, b.x, b.height, b.width) for b in boxes)


def _standing(
    rng: np.random.Generator, sides: Sequence[int], visible: Sequence[tuple[float, ...]],
    canvas: int,
) -> Boxes | None:  # fmt: skip
    """The first rests on the second: its visible lower edge meets the other's upper edge."""
    first, second = sides
    foot, head = visible[0][3] * first, visible[1][1] * second
    apart = int(np.floor(foot - head))  # rows from the first's top to the second's
    height = apart + second
    if apart < 0 or height > canvas:
        return None
    top = int(rng.integers(0, canvas - height + 1))
    left = int(rng.integers(0, canvas - max(sides) + 1))
    lefts = [left + (max(sides) - side) // 2 for side in sides]
    return Box(lefts[0], top, first, first), Box(lefts[1], top + apart, second, second)


def related(
    rng: np.random.Generator,
    relation: str,
    sides: Sequence[int],
    visible: Sequence[tuple[float, ...]],
    canvas: int,
) -> Boxes | None:
    """Boxes of two drawings in a relation; None if they do not fit.

    `visible`: the visible part of each drawing's square, left, top, right, bottom in 0..1.
    """
    if relation == "next to":
        relation = ("left of", "right of")[int(rng.integers(2))]
    makers: dict[str, Callable[[Sequence[int]], Boxes | None]] = {
        "left of": lambda s: _beside(rng, s, canvas),
        "right of": lambda s: _beside(rng, s, canvas),
        "above": lambda s: _turned(_beside(rng, s, canvas)),
        "below": lambda s: _turned(_beside(rng, s, canvas)),
        "on": lambda s: _standing(rng, s, visible, canvas),
    }
    if relation in ("right of", "below"):
        boxes = makers[relation](sides[::-1])
        return boxes and boxes[::-1]
    return makers[relation](sides)


def apart(rng: np.random.Generator, sides: Sequence[int], canvas: int) -> Boxes | None:
    """Boxes that do not overlap, at random places; None if none were found."""
    for _ in range(_TRIES):
        boxes: list[Box] = []
        for side in sides:
            box = anywhere(rng, side, canvas)
            if rng.random() < 0.5:  # on the raster of quarters, where the most fit
                step = canvas // 4
                box = replace(
                    box,
                    x=min(round(box.x / step) * step, canvas - side),
                    y=min(round(box.y / step) * step, canvas - side),
                )
            if any(_overlap(box, other) for other in boxes):
                break
            boxes.append(box)
        else:
            return tuple(boxes)
    return None


def _overlap(a: Box, b: Box) -> bool:
    return (
        a.x < b.x + b.width and b.x < a.x + a.width
        and a.y < b.y + b.height and b.y < a.y + a.height
    )  # fmt: skip
