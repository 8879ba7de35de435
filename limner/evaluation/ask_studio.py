"""The functions by which an evaluation asks a studio's engine: for prompts, and for requests."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from limner.engines.base import Picture, Progress
from limner.evaluation.measures.edits import DrawnRequest
from limner.request import SIZES, ImageRequest, Quality
from limner.studio import Studio


def drawer(
    studio: Studio, quality: Quality
) -> Callable[
    [Sequence[str], Sequence[int]], tuple[NDArray[np.uint8], NDArray[np.floating] | None]
]:
    """A function from prompts and seeds to pictures and scores of the studio's engine."""
    # Report a wrong quality or a missing engine now, before a judge is trained.
    ImageRequest("a cat", size=SIZES[0], quality=quality)
    studio.engine()

    def draw(
        prompts: Sequence[str], seeds: Sequence[int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.floating] | None]:
        pictures = [
            studio.pictures(ImageRequest(prompt, size=SIZES[0], quality=quality, seed=seed))[0]
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        scores = [picture.score for picture in pictures if picture.score is not None]
        known = np.array(scores) if len(scores) == len(pictures) else None
        return np.stack([picture.pixels for picture in pictures]), known

    return draw


def asker(studio: Studio) -> Callable[[ImageRequest], DrawnRequest]:
    """A function from requests to pictures, steps and seconds of the studio's engine."""

    def ask(request: ImageRequest) -> DrawnRequest:
        started = time.perf_counter()
        pictures, n_steps = {}, 0
        for event in studio.draw(request):
            if isinstance(event, Picture):
                pictures[event.index] = event.pixels
            elif isinstance(event, Progress):
                n_steps = event.total
        seconds = time.perf_counter() - started
        return DrawnRequest([pictures[index] for index in sorted(pictures)], n_steps, seconds)

    return ask
