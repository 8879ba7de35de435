"""The variety of pictures of one prompt, and the share of copies of training drawings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limner.arrays import Pixels
from limner.data.emoji.art import TRAINING_ARTISTS
from limner.data.emoji.library import Library
from limner.evaluation.baselines import TrainingIndex, unit
from limner.evaluation.judge.judge import GROUND
from limner.evaluation.measures.statistics import Estimate, estimate
from limner.evaluation.things.shares import Share
from limner.imaging import codec as px
from limner.training.tasks.backbone import (
    SOURCE_PX,
    Backbone,
    pooled_features,
    through_source_px,
)

N_SEEDS = 8


@dataclass(frozen=True)
class VarietyFigures:
    """`variety` is 1 less the mean cosine of the features of two pictures of one thing."""

    variety: Estimate  # over things
    copies: Share  # of pictures, nearer to a training drawing than two artists' are


def drawn_variety(
    pictures: Sequence[Sequence[Pixels]], backbone: Backbone, memory: TrainingIndex
) -> VarietyFigures:
    """Of straight pictures (H, W, 4), several for each thing."""
    small = [
        np.stack([through_source_px(px.premultiply(picture)) for picture in one])
        for one in pictures
    ]
    copies = [memory.is_copy(memory.nearest(one)) for one in small]
    return VarietyFigures(
        estimate([_unlike(one, backbone) for one in small]),
        Share.of(bool(copy) for one in copies for copy in one),
    )


def true_variety(library: Library, keys: Sequence[str], backbone: Backbone) -> Estimate:
    """Of the training artists' drawings of each of some things."""
    found = []
    for key in keys:
        rows = [
            row
            for row, entry in enumerate(library.entries)
            if entry.concept.key == key and entry.drawing.artist in TRAINING_ARTISTS
        ]
        if len(rows) > 1:
            drawings = np.stack([library.picture(row, SOURCE_PX) for row in rows])
            found.append(_unlike(drawings, backbone))
    return estimate(found)


def _unlike(premultiplied: Pixels, backbone: Backbone) -> float:
    """Mean over all pairs of pictures (N, SOURCE_PX, SOURCE_PX, 4), N above 1."""
    features = unit(pooled_features(backbone, premultiplied, GROUND)).astype(np.float64)
    n = len(features)
    cosines = features @ features.T
    return float(1 - (cosines.sum() - np.trace(cosines)) / (n * (n - 1)))
