"""Stand-ins for the art and the network: shapes by four artists, and an eye for silhouettes."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from limner.data.emoji.library import Library
from limner.data.sources import shapes
from limner.evaluation.judge.judge import GROUND
from limner.training.tasks.backbone import Backbone

KEYS = tuple(
    f"shape:{name}"
    for name in (
        "red-circle", "orange-square", "yellow-triangle", "green-star", "blue-heart",
        "purple-diamond", "pink-ring", "brown-cross",
    )
)  # fmt: skip
ARTISTS = ("twemoji", "fluent-emoji", "streamline-emojis", "emojione")


def library_of_artists() -> Library:
    """Every shape by three training artists and one of the judge's, with lines of four widths."""
    drawings = [
        replace(
            drawing,
            id=f"{artist}/{drawing.name}",
            artist=artist,
            svg=drawing.svg.replace('stroke-width="2"', f'stroke-width="{1 + width}"'),
        )
        for width, artist in enumerate(ARTISTS)
        for drawing in shapes.drawings()
    ]
    return Library.from_drawings(drawings, shapes.concepts())


class SilhouetteEye(Backbone):
    """Sees where a picture differs from the judge's ground, in 8 by 8 squares."""

    n_pooled = 64

    def __init__(self) -> None:
        pass

    def features(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        ground = torch.tensor(GROUND)[:, None, None]
        there = ((pictures - ground).abs().amax(1, keepdim=True) > 0.02).float()
        pooled = F.adaptive_avg_pool2d(there, 8).flatten(1) + 1e-3
        return torch.zeros(len(pictures), 1, 1), pooled
