"""Draw many requests in batches, as large as the engine allows."""

from collections.abc import Hashable, Sequence

from limner.arrays import Pixels
from limner.engines.base import ImageTask, Picture
from limner.progress import StageProgress
from limner.request import ImageRequest
from limner.studio import Studio


def draw_all(
    studio: Studio, requests: Sequence[ImageRequest], stage: str, progress: StageProgress
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
