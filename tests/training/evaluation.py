"""Stand-ins for what evaluation otherwise gets from three downloads: networks and art."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limner.data.emoji.art import Drawing
from limner.data.emoji.library import Library
from limner.data.scenes import SceneSpec, render_scene
from limner.data.sources import shapes
from limner.evaluation.judge.judge import (
    Judge,
    JudgeConfig,
    JudgeHeads,
    n_features,
)
from limner.evaluation.judge.scenes import describe
from limner.evaluation.judge.sentences import WIDTH, SentenceEncoder
from limner.training.tasks.backbone import SOURCE_PX, Backbone

_STAGES = (1, 3, 3, 4, 4, 5, 1)  # blocks of EfficientNet-Lite 1 and 2


@cache
def library_of_shapes() -> Library:
    """Shapes of one training artist, and the same with thick outlines of one of the judge's."""
    thin = [_by(drawing, "noto", drawing.svg) for drawing in shapes.drawings()]
    thick = [
        _by(drawing, "emojione", drawing.svg.replace('stroke-width="2"', 'stroke-width="6"'))
        for drawing in shapes.drawings()
    ]
    return Library.from_drawings(thin + thick, shapes.concepts())


@cache
def library_of_hands() -> Library:
    """Shapes by three training artists: in colour, with thick black outlines, and all black."""
    drawn = shapes.drawings()
    outlined = [
        re.sub(r'stroke="#\w+" stroke-width="2"', 'stroke="#000" stroke-width="8"', drawing.svg)
        for drawing in drawn
    ]
    # Of one thickness each, or equal black pictures would be taken for one.
    black = [
        re.sub(r'"#\w+"', '"#000"', drawing.svg).replace('width="2"', f'width="{2 + place % 8}"')
        for place, drawing in enumerate(drawn)
    ]
    hands = {
        "noto": [drawing.svg for drawing in drawn],
        "twemoji": outlined,
        "streamline-emojis": black,
    }
    everything = [
        _by(drawing, artist, svg)
        for artist, svgs in hands.items()
        for drawing, svg in zip(drawn, svgs, strict=True)
    ]
    return Library.from_drawings(everything, shapes.concepts())


class HandEye(Backbone):
    """Sees of a picture whether there is black in it, and whether there is colour."""

    n_pooled = 3

    def __init__(self) -> None:
        pass

    def features(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        black = (pictures.amax(1) < 0.2).float().mean((1, 2)) > 0.02
        colour = (pictures.amax(1) - pictures.amin(1) > 0.2).float().mean((1, 2)) > 0.02
        pooled = torch.stack([black & colour, black & ~colour, ~black], 1).float()
        return torch.zeros(len(pictures), 1, 1), pooled


def _by(drawing: Drawing, artist: str, svg: str) -> Drawing:
    return replace(drawing, id=f"{artist}/{drawing.name}", artist=artist, svg=svg)


def random_weights(width: int = 8, seed: int = 0) -> dict[str, Tensor]:
    """A state of EfficientNet-Lite's form, every layer `width` channels wide."""
    torch.manual_seed(seed)
    weights: dict[str, Tensor] = {}

    def conv(name: str, norm: str, shape: tuple[int, ...]) -> None:
        weights[f"{name}.weight"] = torch.randn(shape) * (2 / np.prod(shape[1:])) ** 0.5
        weights[f"{norm}.weight"] = 1 + 0.1 * torch.rand(shape[0])
        weights[f"{norm}.bias"] = 0.1 * torch.randn(shape[0])
        weights[f"{norm}.running_mean"] = 0.1 * torch.randn(shape[0])
        weights[f"{norm}.running_var"] = 1 + 0.1 * torch.rand(shape[0])

    conv("_conv_stem", "_bn0", (width, 3, 3, 3))
    for number in range(sum(_STAGES)):
        place = f"_blocks.{number}"
        if number:
            conv(f"{place}._expand_conv", f"{place}._bn0", (width, width, 1, 1))
        conv(f"{place}._depthwise_conv", f"{place}._bn1", (width, 1, 3, 3))
        conv(f"{place}._project_conv", f"{place}._bn2", (width, width, 1, 1))
    conv("_conv_head", "_bn1", (2 * width, width, 1, 1))
    return weights


def small_backbone() -> Backbone:
    return Backbone(random_weights())


def vector_of(key: bytes, width: int) -> NDArray[np.float32]:
    """A random unit vector that belongs to a key."""
    seed = int.from_bytes(hashlib.sha256(key).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=width).astype(np.float32)
    return vector / np.linalg.norm(vector)


class WordVectors(SentenceEncoder):
    """Every word piece has a random vector; there is no context."""

    def __init__(self) -> None:
        pass

    def _run(self, ids: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.float32]:
        table = {number: vector_of(str(number).encode(), WIDTH) for number in np.unique(ids)}
        return np.stack([[table[number] for number in row] for row in ids]).astype(np.float32)


class Oracle(Judge):
    """Knows the true pictures of some scenes by heart, and nothing else."""

    def __init__(self, specs: Sequence[SceneSpec], library: Library) -> None:
        backbone = small_backbone()
        heads = JudgeHeads(n_features(backbone), JudgeConfig(width=8, text_width=8))
        super().__init__(backbone, WordVectors(), heads, "0" * 64)
        self._caption_from_picture = {
            render_scene(spec, library, SOURCE_PX).tobytes(): describe(spec, library)
            for spec in specs
        }

    def embed_pictures(self, premultiplied: NDArray[np.uint8]) -> NDArray[np.float32]:
        captions = [
            self._caption_from_picture.get(picture.tobytes(), "") for picture in premultiplied
        ]
        return self.embed_texts(captions)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([vector_of(text.encode(), 64) for text in texts])
