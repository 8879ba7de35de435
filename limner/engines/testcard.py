"""An engine without a model: draws a test card that shows the request, without delay.

It lets developers try every path of their program without weights. Each seed and index gives its
own card, the same on every call, with previews and real transparency. A picture to edit or to vary
is shown small on the card, clear under its mask.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unicodedata import combining, normalize

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from limner.arrays import Pixels
from limner.engines.base import (
    NEVER,
    CancelToken,
    Capabilities,
    Engine,
    Event,
    ImageTask,
    Picture,
    Preview,
    Progress,
)
from limner.imaging import codec as px
from limner.request import (
    Edit,
    ImageRequest,
    Size,
    Variation,
)
from limner.sampling.canvas import Canvas

Colour = tuple[int, int, int]

INK = (244, 241, 234)
PANEL = (24, 26, 33)
FAINT = (150, 154, 166)

N_BARS = 7
N_CELLS = 8  # the badge has as many cells a side as the grid of the nano model
N_STEPS = 4  # as many previews as may be asked for, and the picture
PREVIEW_CELLS = (4, 8, 32)  # squares a side of each preview, coarse to fine
MAX_LINES = 3
# No three lines hold more; measuring all of a long prompt would only take time.
MAX_CHARS_MEASURED = 400


class CardEngine(Engine):
    """Draws test cards."""

    name = "testcard"
    model = "testcard"
    capabilities = Capabilities(
        edit=True, vary=True, mask=True, previews=True, transparent=True, flat_art=True, ai=False
    )

    def count_cells(self, size: Size) -> int:
        """As many as the nano model draws."""
        return Canvas(size, N_CELLS).n_cells

    def count_tokens(self, text: str) -> int:
        """A card reads words."""
        return len(text.split())

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Draw cards, one after the other; see `engines.base.Engine`."""
        for task in tasks:
            if cancel.is_cancelled(task):
                continue
            request = task.request
            pixels = _draw(request, task.seed, task.index)
            for step, n_cells in enumerate(PREVIEW_CELLS, start=1):
                yield task, Progress(step, N_STEPS, "drawing")
                if step <= request.previews:
                    yield task, Preview(task.index, _mosaic(pixels, n_cells), step, N_STEPS)
            yield task, Progress(N_STEPS, N_STEPS, "drawing")
            yield task, Picture(pixels, request.prompt, task.seed, task.index, self.model)


@dataclass(frozen=True)
class _Canvas:
    """A square card under way, measured in shares of its side so that every size looks alike."""

    image: Image.Image
    draw: ImageDraw.ImageDraw
    side: int  # pixels

    def at(self, share: float) -> int:
        return round(share * self.side)

    def box(self, left: float, top: float, right: float, bottom: float) -> list[int]:
        # Pillow counts the last row and column in.
        return [self.at(left), self.at(top), self.at(right) - 1, self.at(bottom) - 1]

    def font(self, share: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        return ImageFont.load_default(self.at(share))


def _draw(request: ImageRequest, seed: int, index: int) -> Pixels:
    # spawn_key keeps (seed, index) apart where plain joining of the numbers would not.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    hue = float(rng.random())
    badge = rng.random((N_CELLS, N_CELLS // 2)) < 0.5
    side = min(request.size.width, request.size.height)
    image = Image.new("RGBA", (side, side), (*PANEL, 255))
    canvas = _Canvas(image, ImageDraw.Draw(image), side)
    _draw_bars(canvas, hue)
    _draw_badge(canvas, np.concatenate([badge, badge[:, ::-1]], axis=1), hue)
    if request.source is not None:
        _draw_source(canvas, request.source)
    _draw_ramp(canvas)
    _draw_words(canvas, request, seed, index)
    beyond = _beyond(request.size, side)
    result = np.pad(np.array(image), (*beyond, (0, 0)), mode="edge")
    if request.background == "transparent":
        result[..., 3] = _alpha(canvas, beyond)
        result[result[..., 3] == 0] = 0  # nothing hides under clear pixels
    return result


def _beyond(size: Size, side: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pixels above and below, left and right of a square in the middle of a picture."""
    down, across = size.height - side, size.width - side
    return (down // 2, down - down // 2), (across // 2, across - across // 2)


def _draw_bars(canvas: _Canvas, hue: float) -> None:
    for bar in range(N_BARS):
        colour = _colour(hue + bar / N_BARS, 0.58, 0.92)
        canvas.draw.rectangle(canvas.box(bar / N_BARS, 0, (bar + 1) / N_BARS, 0.56), fill=colour)
        # Below, the same bars the other way round and dark, as on the cards of television.
        dark = _colour(hue - bar / N_BARS, 0.65, 0.42)
        canvas.draw.rectangle(canvas.box(bar / N_BARS, 0.56, (bar + 1) / N_BARS, 0.62), fill=dark)


def _draw_badge(canvas: _Canvas, cells: NDArray[np.bool_], hue: float) -> None:
    """A disc with a pattern that tells two cards apart at a glance."""
    left, top, side = 0.34, 0.12, 0.32
    edge = max(1, canvas.at(0.006))
    canvas.draw.line([canvas.at(0.5), 0, canvas.at(0.5), canvas.at(0.56) - 1], fill=INK, width=edge)
    canvas.draw.line([0, canvas.at(0.28), canvas.side, canvas.at(0.28)], fill=INK, width=edge)
    for margin, colour in ((0.08, INK), (0.074, PANEL)):
        disc_px = canvas.at(side + 2 * margin)
        mask = Image.fromarray(_round_mask(disc_px, disc_px / 2))
        canvas.image.paste(colour, (canvas.at(left - margin), canvas.at(top - margin)), mask)
    cell = side / N_CELLS
    for row, column in np.argwhere(cells):
        x, y = left + column * cell, top + row * cell
        colour = _colour(hue + row / N_CELLS, 0.45, 1.0)
        canvas.draw.rectangle(canvas.box(x, y, x + cell, y + cell), fill=colour)


def _draw_source(canvas: _Canvas, source: Edit | Variation) -> None:
    """The picture that was sent, in the upper left, on the panel's colour where it is clear."""
    pixels = source.pixels
    if isinstance(source, Edit) and (mask := source.given_mask) is not None:
        pixels = np.where(mask[..., None] == 0, np.uint8(0), pixels)
    height, width = pixels.shape[:2]
    edge, room = max(1, canvas.at(0.006)), canvas.at(0.26)
    scale = room / max(width, height)
    small = px.resize(pixels, max(1, round(width * scale)), max(1, round(height * scale)), "area")
    at = canvas.at(0.04)
    right, bottom = at + small.shape[1], at + small.shape[0]
    canvas.draw.rectangle([at - edge, at - edge, right + edge - 1, bottom + edge - 1], fill=INK)
    canvas.image.paste(Image.fromarray(px.composite(small, PANEL)), (at, at))


def _draw_ramp(canvas: _Canvas) -> None:
    """Black to white from left to right; made clear to solid when transparency is asked for."""
    top, bottom = canvas.at(0.62), canvas.at(0.66)
    grey = np.linspace(0, 255, canvas.side).round().astype(np.uint8)
    ramp = Image.fromarray(np.broadcast_to(grey, (bottom - top, canvas.side)).copy())
    canvas.image.paste(ramp.convert("RGBA"), (0, top))


def _draw_words(canvas: _Canvas, request: ImageRequest, seed: int, index: int) -> None:
    font = canvas.font(0.052)
    words = request.prompt or "a variation"
    for line_number, line in enumerate(_wrapped(words, font, canvas.at(0.88))):
        where = (canvas.at(0.06), canvas.at(0.685 + 0.066 * line_number))
        canvas.draw.text(where, line, fill=INK, font=font)
    facts = f"{request.size}  ·  {request.quality}  ·  seed {seed}  ·  picture {index + 1}"
    where = (canvas.at(0.06), canvas.at(0.905))
    canvas.draw.text(where, facts, fill=FAINT, font=canvas.font(0.03))


def _wrapped(
    prompt: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int
) -> list[str]:
    """`prompt` in at most MAX_LINES lines, the last one ending in … when there was more."""
    # The font has no accents: é is taken apart, and its mark left out.
    bare = (c for c in normalize("NFKD", prompt[:MAX_CHARS_MEASURED]) if not combining(c))
    words = "".join(char if char.isprintable() else " " for char in bare).split()
    lines = [""]
    while words:
        joined = f"{lines[-1]} {words[0]}".strip()
        if font.getlength(joined) <= width_px:
            lines[-1] = joined
            words.pop(0)
        elif lines[-1]:
            lines.append("")
        else:  # one word wider than the card: break it, at least one character a line
            n_fit = _n_fitting(words[0], font, width_px)
            lines[-1], words[0] = words[0][:n_fit], words[0][n_fit:]
        if len(lines) > MAX_LINES:
            break
    if len(lines) > MAX_LINES or len(prompt) > MAX_CHARS_MEASURED:
        lines = lines[:MAX_LINES]
        last = lines[-1]
        lines[-1] = last[: max(1, _n_fitting(last + "…", font, width_px) - 1)] + "…"
    return lines


def _n_fitting(word: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> int:
    n_chars = len(word)
    while n_chars > 1 and font.getlength(word[:n_chars]) > width_px:
        n_chars -= 1
    return n_chars


def _alpha(canvas: _Canvas, beyond: tuple[tuple[int, int], tuple[int, int]]) -> Pixels:
    """`(H, W)` alpha of a card with round corners whose ramp fades in."""
    (above, below), (before, after) = beyond
    height, width = above + canvas.side + below, before + canvas.side + after
    alpha = _round_mask(width, canvas.at(0.08), height)
    ramp = slice(above + canvas.at(0.62), above + canvas.at(0.66))
    fade = np.linspace(0, 255, canvas.side).round().astype(np.uint8)
    alpha[ramp] = np.pad(fade, (before, after), mode="edge")
    return alpha


def _round_mask(width_px: int, radius_px: float, height_px: int | None = None) -> Pixels:
    """`(height, width)` coverage of a square, unless a height is given, with round corners.

    A disc if the radius is half the side.
    """
    beyond = []
    for side_px in (height_px or width_px, width_px):
        centre = (side_px - 1) / 2
        # How far a pixel's centre lies beyond the straight part of the edge.
        beyond.append(
            np.maximum(np.abs(np.arange(side_px) - centre) - (side_px / 2 - radius_px), 0)
        )
    distance = np.hypot(beyond[0][:, None], beyond[1])
    coverage = np.clip(radius_px - distance + 0.5, 0, 1)
    mask: Pixels = (coverage * 255).round().astype(np.uint8)
    return mask


def _mosaic(pixels: Pixels, n_cells: int) -> Pixels:
    """`(H, W, 4)` in squares, `n_cells` along its shorter side, each the mean of what it covers."""
    height, width = pixels.shape[:2]
    rows, columns = (side * n_cells // min(height, width) for side in (height, width))
    small = px.resize(pixels, columns, rows, "area")
    tall = small[np.arange(height) * rows // height]
    squares: Pixels = tall[:, np.arange(width) * columns // width]
    return squares


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
