"""Time and accuracy of the qualities low, medium and high.

They answer the same questions in turns, so that other load on the machine slows all of them alike.
"""

from typing import get_args

import numpy as np

from limner.arrays import Pixels
from limner.data.emoji.library import Library
from limner.evaluation.judge.judge import Judge
from limner.evaluation.measures.edits import Ask
from limner.evaluation.measures.r_precision import N_POOL, Captions
from limner.evaluation.measures.statistics import estimate
from limner.evaluation.questions.prompts import ask
from limner.evaluation.report import QualityRow
from limner.imaging import codec
from limner.progress import StageProgress
from limner.request import SIZES, ImageRequest, Quality
from limner.training.tasks.backbone import through_source_px

SPLITS = ("in_distribution", "compositional")


def quality_rows(
    draw: Ask, library: Library, judge: Judge, n: int, seed: int, progress: StageProgress
) -> list[QualityRow]:
    """Time and R@1 of each quality, n English questions a split, one picture at a time."""
    rows = []
    for split in SPLITS:
        pool = ask(library, split, max(n, N_POOL), seed, ("en",))
        asked = pool[:n]
        captions = Captions(judge, [question.caption for question in pool], len(asked), seed)
        seen: dict[Quality, list[Pixels]] = {quality: [] for quality in get_args(Quality)}
        took: dict[Quality, list[float]] = {quality: [] for quality in seen}
        for quality in seen:
            draw(ImageRequest("a red apple", size=SIZES[0], quality=quality, seed=seed))  # warm
        for index, question in enumerate(asked):
            progress(f"qualities {split}", index, len(asked))
            for quality in seen:
                prompt = question.prompts.get("en", question.caption)
                drawn = draw(
                    ImageRequest(prompt, size=SIZES[0], quality=quality, seed=question.seed)
                )
                small = through_source_px(codec.premultiply(drawn.pictures[0]))
                seen[quality].append(small)
                took[quality].append(drawn.seconds)
        for quality, pictures in seen.items():
            first = captions.are_first(
                judge.embed_pictures(np.stack(pictures)), list(range(len(asked)))
            )
            p50, p95 = np.quantile(took[quality], [0.5, 0.95])
            rows.append(
                QualityRow(
                    quality, split, captions.n_choices, estimate(first), float(p50), float(p95)
                )
            )
    return rows
