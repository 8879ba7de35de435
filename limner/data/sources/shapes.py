"""Drawings made by code: eight shapes in eight colours, with words in both languages.

They need no download and are drawn at any size, so tests, examples and a first training run use
them. They form a `Library`, and so have scenes, counts, relations and captions like the art.
"""

import math
from functools import cache

from limner.data.colours import RGB_FROM_NAME
from limner.data.emoji.art import Drawing
from limner.data.emoji.concepts import Concept
from limner.data.emoji.library import Library
from limner.data.emoji.words import table
from limner.data.sources.base import SceneSource

ARTIST = "shapes"
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
CHINESE = {
    "circle": "圆形",
    "square": "正方形",
    "triangle": "三角形",
    "star": "五角星",
    "heart": "心形",
    "diamond": "菱形",
    "ring": "圆环",
    "cross": "十字形",
}


def _star() -> str:
    points = []
    for corner in range(10):
        radius = 30 if corner % 2 == 0 else 12.5
        angle = math.radians(corner * 36 - 90)
        points.append(f"{32 + radius * math.cos(angle):.2f},{34 + radius * math.sin(angle):.2f}")
    return f'<polygon points="{" ".join(points)}"/>'


# Each in a square of 64 by 64, with a margin of a few units.
_BODIES = {
    "circle": '<circle cx="32" cy="32" r="28"/>',
    "square": '<rect x="6" y="6" width="52" height="52" rx="3"/>',
    "triangle": '<polygon points="32,5 60,56 4,56"/>',
    "star": _star(),
    "heart": '<path d="M32 58C10 42 4 31 4 21a14 14 0 0 1 28-4 14 14 0 0 1 28 4c0 10-6 21-28 37"/>',
    "diamond": '<polygon points="32,3 56,32 32,61 8,32"/>',
    "ring": '<path d="M32 4a28 28 0 1 0 .01 0zm0 14a14 14 0 1 1-.01 0z" fill-rule="evenodd"/>',
    "cross": '<path d="M23 5h18v18h18v18H41v18H23V41H5V23h18z"/>',
}


def drawings() -> list[Drawing]:
    """Every shape in every colour, with a slightly darker outline."""
    return [_drawing(shape, colour) for shape in _BODIES for colour in COLOURS]


def _drawing(shape: str, colour: str) -> Drawing:
    red, green, blue = RGB_FROM_NAME[colour]
    fill = f"#{red:02x}{green:02x}{blue:02x}"
    edge = f"#{int(red * 0.8):02x}{int(green * 0.8):02x}{int(blue * 0.8):02x}"
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
        f'<g fill="{fill}" stroke="{edge}" stroke-width="2">{_BODIES[shape]}</g></svg>'
    )
    name = f"{colour}-{shape}"
    return Drawing(f"{ARTIST}/{name}", ARTIST, f"shape:{name}", name, svg)


def concepts() -> dict[str, Concept]:
    """The concept of each coloured shape; one family a shape."""
    chinese = table("zh")["colours"]
    return {
        f"shape:{colour}-{shape}": Concept(
            key=f"shape:{colour}-{shape}",
            labels={"en": f"{colour} {shape}", "zh": f"{chinese[colour]}{CHINESE[shape]}"},
            tags={"en": ("shape", colour, shape), "zh": ("形状", chinese[colour], CHINESE[shape])},
            group="shapes",
            subgroup="geometric",
            family=f"shape:{shape}",
        )
        for shape in _BODIES
        for colour in COLOURS
    }


@cache
def library() -> Library:
    """The shapes as a library, rendered in memory (4 MB) once a process."""
    return Library.from_drawings(drawings(), concepts())


def source(n_samples: int = 10_000, split: str = "train", seed: int = 0) -> SceneSource:
    """Composed scenes of shapes."""
    return SceneSource(library(), n_samples, split, seed=seed)
