"""Accuracy of pairs: whether two things side by side in a layout are those asked for.

    python benchmarks/pairs.py RUN --data LIMNER_HOME/data [-n 24]

Random pairs of Twemoji drawings (the same for every run) are drawn in two boxes of 12 cells on a
canvas of 24 x 24. Each box is cut out, and its nearest Twemoji drawing of training is found by the
features of EfficientNet-Lite 1. Baselines: the same things alone on 12 x 12 cells, and alone on
24 x 24. RUN is the folder of a training run that draws layouts. The figure says whether a known
drawing is recognised, not whether people like it.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limner.data.emoji import splits, words
from limner.data.emoji.library import Library
from limner.model.transformer import TransformerConfig
from limner.planning.layout import Box, Layout, Thing
from limner.training import presets, stages
from limner.training.tasks.backbone import Backbone, pooled_features, through_source_px
from limner.training.tasks.layouts.generator import LayoutGenerator
from limner.training.tasks.layouts.sheet import CLEAR_PHRASE, Prompt, SheetOfLayouts
from limner.training.tasks.sheet import write_sheet
from limner.training.weights import checkpoint

_STYLE = ", Twemoji style"
_SEED = 11


def main() -> None:
    """Draw, look up, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="LIMNER_HOME/data")
    parser.add_argument("-n", type=int, default=24, help="pairs")
    parser.add_argument("--sheet", type=Path, help="where to write the pairs as one page")
    given = parser.parse_args()
    library = Library.open(given.data)
    judge = Likeness(library)
    pairs = judge.pairs(library, given.n)
    artist = _artist(given.run)
    drawn = [artist(_side_by_side(*names), i) for i, (names, _) in enumerate(pairs)]
    cell = drawn[0].shape[0] // 24
    crops = [
        picture[6 * cell : 18 * cell, x * cell : (x + 12) * cell]
        for picture in drawn
        for x in (0, 12)
    ]
    wanted = [place for _, places in pairs for place in places]
    right = judge.is_nearest(crops, wanted).reshape(-1, 2)
    print(f"pairs: each thing {right.mean():.2f}, both {right.all(1).mean():.2f}, n = {len(pairs)}")
    names = [name for both, _ in pairs for name in both]
    for side in (12, 24):
        some = names if side == 12 else names[: given.n]
        alone = [
            artist((Layout.single(name + _STYLE, side, side), name + _STYLE), i)
            for i, name in enumerate(some)
        ]
        found = judge.is_nearest(alone, wanted[: len(some)])
        print(f"alone on {side} x {side} cells: {found.mean():.2f}, n = {len(some)}")
    if given.sheet:
        write_sheet(np.stack(drawn), given.sheet, columns=8)


def _side_by_side(left: str, right: str) -> tuple[Layout, str]:
    boxes = Box(0, 6, 12, 12), Box(12, 6, 12, 12)
    things = tuple(Thing(n + _STYLE, b) for n, b in zip((left, right), boxes, strict=True))
    return Layout(24, 24, things, CLEAR_PHRASE), f"{left} to the left of {right}{_STYLE}"


def _artist(run: Path) -> Callable[[Prompt, int], NDArray[np.uint8]]:
    state = checkpoint.load(run / "generator" / "checkpoint")
    assert state is not None, f"{run} has no generator"
    model = LayoutGenerator(TransformerConfig(**state["about"]["model"]))
    model.load_state_dict(checkpoint.without_training_only(state["ema"]))
    sheet = SheetOfLayouts(
        stages.load_image_tokenizer(run), presets.preset("nano-192").sampling["medium"]
    )
    tokenizer = stages.load_text_tokenizer(run)
    print(f"step {state['step']}")
    return lambda prompt, seed: sheet.drawn(model.transformer.eval(), tokenizer, prompt, seed)


class Likeness:
    """The Twemoji drawings of training, by their features."""

    def __init__(self, library: Library) -> None:
        self._backbone = Backbone.load("lite1")
        self.known = [
            i
            for i, e in enumerate(library.entries)
            if e.drawing.artist == "twemoji" and splits.belongs("train", "twemoji", e.concept)
            if e.is_thing and not e.concept.tone
        ]
        self._features = self._of([library.picture(i, 96) for i in self.known])

    def pairs(self, library: Library, n: int) -> list[tuple[tuple[str, str], tuple[int, int]]]:
        """n pairs of names and their places among the known drawings, by weight."""
        rng = np.random.default_rng(_SEED)
        weights = np.array([library.entries[i].weight for i in self.known])
        chosen = rng.choice(len(self.known), (n, 2), replace=False, p=weights / weights.sum())
        names = [words.clean_english(library.entries[i].concept.labels["en"]) for i in self.known]
        return [((names[a], names[b]), (int(a), int(b))) for a, b in chosen]

    def is_nearest(self, pictures: list[NDArray[np.uint8]], wanted: list[int]) -> NDArray[np.bool_]:
        """Whether the drawing wanted is the nearest to each premultiplied picture."""
        found: NDArray[np.bool_] = (self._of(pictures) @ self._features.T).argmax(1) == wanted
        return found

    def _of(self, pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        features = pooled_features(
            self._backbone, np.stack([through_source_px(picture) for picture in pictures])
        )
        return features / np.linalg.norm(features, axis=1, keepdims=True)


if __name__ == "__main__":
    with torch.no_grad():
        main()
