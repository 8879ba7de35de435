"""A contact sheet of fixed layouts, drawn during training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limner.arrays import Ints
from limner.engines.transformer.backends.graphs import GraphLayouts
from limner.engines.transformer.backends.pytorch import TorchNetwork
from limner.model.image_tokenizer import ImageTokenizer
from limner.model.layout_transformer import LayoutTransformer
from limner.planning.layout import Box, Layout, Thing
from limner.sampling import cells
from limner.sampling.layout_decoding import CAPTION, LaidOut, draw_layouts
from limner.sampling.sampling import SamplingConfig, uniforms
from limner.text.text_tokenizer import NULL, TextTokenizer
from limner.training.tasks.image_tokenizer import to_pixels
from limner.training.tasks.sheet import write_sheet

Prompt = tuple[Layout, str]  # and the caption
CLEAR_PHRASE = "transparent background"
_STYLE = ", Twemoji style"


def _row(left: str, right: str, ground: str = "", style: str = _STYLE) -> Prompt:
    """Two things side by side, in boxes of 12 cells."""
    on = f" on a {ground} background" if ground else ""
    boxes = Box(0, 6, 12, 12), Box(12, 6, 12, 12)
    things = tuple(
        Thing(phrase + on + style, box) for phrase, box in zip((left, right), boxes, strict=True)
    )
    said = f"{left} to the left of {right}{on}{style}"
    return Layout(24, 24, things, f"{ground} background" if ground else CLEAR_PHRASE), said


def _alone(phrase: str, box: Box, canvas: int = 24) -> Prompt:
    layout = Layout(canvas, canvas, (Thing(phrase + _STYLE, box),), CLEAR_PHRASE)
    return layout, phrase + _STYLE


def _quarters(*phrases: str) -> Prompt:
    """Up to four things, each in a quarter."""
    corners = ((0, 0), (12, 0), (0, 12), (12, 12))
    things = tuple(
        Thing(phrase + _STYLE, Box(x, y, 12, 12))
        for phrase, (x, y) in zip(phrases, corners, strict=False)
    )
    return Layout(24, 24, things, CLEAR_PHRASE), ", ".join(phrases) + _STYLE


def _on(top: str, bottom: str) -> Prompt:
    boxes = Box(6, 1, 12, 12), Box(6, 12, 12, 12)
    things = tuple(
        Thing(phrase + _STYLE, box) for phrase, box in zip((top, bottom), boxes, strict=True)
    )
    return Layout(24, 24, things, CLEAR_PHRASE), f"{top} on {bottom}{_STYLE}"


LAYOUTS: tuple[Prompt, ...] = (
    _row("a balloon", "a carrot"),
    _row("a carrot", "a balloon"),
    _row("a cat", "a dog"),
    _row("a dog", "a cat"),
    _row("a red apple", "a blue car"),
    _row("a bicycle", "a gift"),
    _row("a house", "a tree", "yellow"),
    _row("a fox", "a rocket", "blue"),
    _row("pizza", "an elephant", "green"),
    _row("一只猫", "一个苹果", style="，Twemoji 风格"),
    _row("a star", "a bell", style=", glossy Fluent style"),
    _row("an owl", "a cactus", style=" in the Noto style"),
    _quarters("an apple", "an apple", "an apple"),
    _quarters("a cat", "a fish", "a banana", "a key"),
    _quarters("a red heart", "a blue heart", "a green heart", "a yellow heart"),
    _on("a cat", "a gift"),
    _alone("a teapot", Box(0, 0, 24, 24)),
    _alone("an elephant", Box(0, 0, 24, 24)),
    _alone("a castle", Box(4, 4, 16, 16)),
    _alone("a penguin", Box(14, 14, 10, 10)),
    _alone("a rose", Box(1, 3, 8, 8)),
    _alone("a car", Box(6, 6, 12, 12)),
    _alone("a lion", Box(0, 0, 12, 12), canvas=12),
    _alone("a hot air balloon", Box(0, 0, 12, 12), canvas=12),
)


@dataclass(frozen=True)
class SheetOfLayouts:
    """Fixed layouts, each drawn once with seed 0."""

    image_tokenizer: ImageTokenizer
    sampling: SamplingConfig
    layouts: tuple[Prompt, ...] = LAYOUTS
    columns: int = 6

    def write(self, transformer: LayoutTransformer, tokenizer: TextTokenizer, output: Path) -> None:
        """Draw every layout once and write one page."""
        largest = max(max(layout.columns, layout.rows) for layout, _ in self.layouts)
        tiles = []
        for number, (layout, caption) in enumerate(self.layouts):
            picture = self.drawn(transformer, tokenizer, (layout, caption), number)
            scale = largest // layout.columns
            tiles.append(picture.repeat(scale, 0).repeat(scale, 1))
        write_sheet(np.stack(tiles), output, self.columns)

    def drawn(
        self, transformer: LayoutTransformer, tokenizer: TextTokenizer, prompt: Prompt, number: int
    ) -> NDArray[np.uint8]:
        """The picture of a prompt, premultiplied RGBA (H, W, 4); `number` is its seed."""
        (layout, caption), network = prompt, GraphLayouts(TorchNetwork(transformer))
        config = transformer.config
        phrases = [thing.phrase for thing in layout.things]
        if cells.n_owners(layout) > len(phrases):
            phrases.append(layout.ground)
        owners = [*range(len(phrases)), CAPTION]
        tokens, _ = tokenizer.encode_padded([*phrases, caption], config.max_text)
        nothing = np.zeros_like(tokens[: len(phrases)])
        nothing[:, 0] = NULL
        n_cells = layout.rows * layout.columns
        numbers = uniforms(0, number, 0, n_cells, config.n_groups)[None]
        asked = LaidOut(layout, tokens, nothing, owners, numbers)
        *_, [last] = draw_layouts(network, [asked], self.sampling)
        return pictures(self.image_tokenizer, last.codes, layout)[0]


@torch.no_grad()
def pictures(tokenizer: ImageTokenizer, codes: Ints, layout: Layout) -> NDArray[np.uint8]:
    """Premultiplied RGBA (B, H, W, 4) of codes (B, n_cells, n_groups) of a layout."""
    rows = torch.from_numpy(codes).unflatten(1, (layout.rows, layout.columns))
    return to_pixels(tokenizer.decode_rows(rows.to(next(tokenizer.parameters()).device)))
