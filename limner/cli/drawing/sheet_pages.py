"""The pages of `limner sheet`: drawings beside their inputs.

Input pictures are drawn by the same engine or made here by code.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from limner.arrays import Pixels
from limner.data.emoji.library import Library
from limner.engines.base import Picture, Preview
from limner.errors import DataError, needed
from limner.imaging import codec as px
from limner.request import (
    MAX_PREVIEWS,
    SIZES,
    Edit,
    ImageRequest,
    Quality,
    Size,
    Variation,
)
from limner.studio import Studio

PROMPTS = Path(__file__).with_name("sheet_prompts.json")
CASES = Path(__file__).with_name("sheet_cases.json")
N_VARIATIONS = 3
NO_ART = "(no training art)"

_SIZE, _LARGE = SIZES[0], SIZES[-1]
_EVERY = 8  # of the prompts: those whose details, and SVG documents, are shown
_ARTIST = "twemoji"
_HATCH_PX = 12

Tile = tuple[Pixels, str]  # straight RGBA and the text below it
Case = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """One kind of contact sheet."""

    columns: int
    tile_px: int
    cases: tuple[Case, ...]
    tiles: Callable[[Case], list[Tile]]  # the same number for every case


class Painter:
    """Draws with one engine, quality and seed, each picture once."""

    def __init__(self, studio: Studio, quality: str, seed: int) -> None:
        self.studio, self._quality, self._seed = studio, cast("Quality", quality), seed

    def draw(
        self,
        prompt: str,
        source: Edit | Variation | None = None,
        n: int = 1,
        previews: int = 0,
        size: Size = _SIZE,
    ) -> Iterator[Pixels]:
        """Yield previews, then pictures, as they come."""
        request = ImageRequest(
            prompt,
            n=n,
            size=size,
            quality=self._quality,
            seed=self._seed,
            source=source,
            previews=previews,
        )
        for event in self.studio.draw(request):
            if isinstance(event, Preview | Picture):
                yield event.pixels

    def one(self, prompt: str, source: Edit | None = None) -> Pixels:
        """Draw one picture."""
        (picture,) = self.draw(prompt, source)
        return picture

    def begun(self, case: Case) -> Tile:
        """The tile of the input picture of a case."""
        if "code" in case:
            return by_code(case["code"]), "made by code"
        return self.one(case["source"]), case["source"]


def page(name: str, painter: Painter, art: Art | None = None) -> Page:
    """The page called `name`; `art` puts training drawings beside the prompts."""
    prompts = tuple(json.loads(PROMPTS.read_text(encoding="utf-8")))
    if name == "prompts":
        return Page(16, 128, prompts, lambda case: _prompt(case, painter, art))
    if name in ("details", "svg"):
        of_prompt = _details if name == "details" else _svg
        return Page(8, 256, prompts[::_EVERY], lambda case: of_prompt(case, painter))
    table = json.loads(CASES.read_text(encoding="utf-8"))
    columns, tiles = {
        "edits": (6, _edit),
        "variations": (2 * (1 + N_VARIATIONS), _variations),
        "previews": (2 * (1 + MAX_PREVIEWS), _previews),
    }[name]
    tile_px = 256 if name == "edits" else 192
    return Page(columns, tile_px, tuple(table[name]), lambda case: tiles(case, painter))


def _prompt(case: Case, painter: Painter, art: Art | None) -> list[Tile]:
    drawn = [(painter.one(case["prompt"]), case["prompt"])]
    return drawn if art is None else [*drawn, art.tile(case.get("concept"))]


def _details(case: Case, painter: Painter) -> list[Tile]:
    """Tiles: a picture of 1024 pixels, reduced, and its most varied part as it is."""
    (whole,) = painter.draw(case["prompt"], size=_LARGE)
    side = _SIZE.width
    corners = [
        (top, left)
        for top in range(0, _LARGE.height - side + 1, side // 2)
        for left in range(0, _LARGE.width - side + 1, side // 2)
    ]
    parts = [whole[top : top + side, left : left + side] for top, left in corners]
    most_varied = max(parts, key=lambda part: float(px.premultiply(part).std()))
    return [(whole, case["prompt"]), (most_varied, f"{_LARGE}, a part")]


def _svg(case: Case, painter: Painter) -> list[Tile]:
    """Tiles: a picture, and its SVG document as another program renders it."""
    from limner.finish.vector.svg import trace

    with needed("Rendering SVG", "limner[train]"):
        import resvg_py
    picture = painter.one(case["prompt"])
    document = trace(picture)
    rendered = resvg_py.svg_to_bytes(
        svg_string=document.decode(), width=_SIZE.width, height=_SIZE.height
    )
    with Image.open(io.BytesIO(bytes(rendered))) as image:
        pixels = np.asarray(image.convert("RGBA"))
    told = f"SVG: {len(document):,} bytes, {document.count(b'<path')} paths"
    return [(picture, case["prompt"]), (pixels, told)]


def _edit(case: Case, painter: Painter) -> list[Tile]:
    """Tiles: before, the mask, after."""
    before, text = painter.begun(case)
    mask = None
    masked = np.zeros(before.shape[:2], bool)
    told = "no mask: the whole"
    if "mask" in case:
        left, top, right, bottom = (round(side * _SIZE.width) for side in case["mask"])
        masked[top:bottom, left:right] = True
        mask, told = np.where(masked, 0, 255).astype(np.uint8), "the mask"
    elif (before[..., 3] == 0).any():
        masked, told = before[..., 3] == 0, "no mask: what is clear"
    after = painter.one(case["prompt"], Edit(before, mask))
    shown = hatched(before, masked) if masked.any() else before
    return [(before, text), (shown, told), (after, f"→ {case['prompt']}")]


def _variations(case: Case, painter: Painter) -> list[Tile]:
    source, text = painter.begun(case)
    drawn = painter.draw("", Variation(source), n=N_VARIATIONS)
    return [(source, text), *((picture, f"variation {i + 1}") for i, picture in enumerate(drawn))]


def _previews(case: Case, painter: Painter) -> list[Tile]:
    *halves, whole = painter.draw(case["prompt"], previews=MAX_PREVIEWS)
    told = [f"preview {i + 1}" for i in range(len(halves))]
    return [*zip(halves, told, strict=True), (whole, case["prompt"])]


def hatched(picture: Pixels, masked: NDArray[np.bool_]) -> Pixels:
    """A picture with diagonal stripes where it is masked (H, W)."""
    rows, columns = np.indices(masked.shape)
    is_dark = (rows + columns) // _HATCH_PX % 2 == 0
    shown = picture.copy()
    shown[masked & is_dark] = (225, 80, 160, 255)
    shown[masked & ~is_dark] = (255, 205, 230, 255)
    return shown


def by_code(name: str) -> Pixels:
    """A simple picture, opaque RGBA at _SIZE: "disc", "squares" or "sky"."""
    side = _SIZE.width
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    if name == "disc":
        draw.ellipse((side // 8, side // 8, side * 7 // 8, side * 7 // 8), fill=(221, 46, 68))
    elif name == "squares":
        for left, colour in ((side // 16, (92, 173, 71)), (side * 9 // 16, (62, 132, 226))):
            draw.rectangle((left, side * 5 // 16, left + side * 3 // 8, side * 11 // 16), colour)
    elif name == "sky":
        for row in range(side):
            share = row / side
            colour = (round(70 + 130 * share), round(140 + 90 * share), 240)
            draw.line((0, row, side, row), fill=colour)
    else:
        raise DataError(f"No picture {name!r} is made by code", hint="disc, squares and sky are")
    return np.dstack([np.asarray(image), np.full((side, side), 255, np.uint8)])


class Art:
    """Drawings of concepts by one of the training artists."""

    def __init__(self, data: Path) -> None:
        self._library = Library.open(data)
        self._index_from_concept = {
            entry.concept.key: i
            for i, entry in enumerate(self._library.entries)
            if entry.drawing.artist == _ARTIST
        }

    def tile(self, concept: str | None) -> Tile:
        """The tile of a concept's drawing, or an empty tile."""
        index = None if concept is None else self._index_from_concept.get(concept)
        if index is None:
            return np.zeros((_SIZE.height, _SIZE.width, 4), np.uint8), NO_ART
        picture = self._library.picture(index, 128)
        return px.unpremultiply(picture), "(training art)"
