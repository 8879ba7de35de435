"""Many requests drawn as fast as the engine can: in batches of those that may share one."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from limner.engines.base import ImageTask, Picture
from limner.evaluation.samples import Progress
from limner.request import ImageRequest
from limner.studio import Studio

Pixels = NDArray[np.uint8]


def draw_all(
    studio: Studio, requests: Sequence[ImageRequest], stage: str, progress: Progress
) -> list[Pixels]:
    """The first picture of each request, which has a seed, as straight RGBA (H, W, 4)."""
    engine = studio.engine()
    batches: dict[Hashable, list[ImageTask]] = {}
    row_of: dict[ImageTask, int] = {}
    for row, request in enumerate(requests):
        one = ImageTask(request, 0)
        row_of[one] = row
        batches.setdefault(engine.batch_key(one).key, []).append(one)
    found: dict[int, Pixels] = {}
    for wanted in batches.values():
        most = engine.batch_key(wanted[0]).most
        for start in range(0, len(wanted), most):
            progress(stage, len(found), len(requests))
            for one, event in studio.draw_together(wanted[start : start + most]):
                if isinstance(event, Picture):
                    found[row_of[one]] = event.pixels
    progress(stage, len(requests), len(requests))
    return [found[row] for row in range(len(requests))]
