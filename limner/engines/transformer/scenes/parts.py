"""Things of a picture that are drawn as pictures of their own, and laid into it."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from limner.arrays import Pixels
from limner.engines.base import CancelToken, Engine, Event, ImageTask, Picture, Preview, Progress

Drawn = Mapping[ImageTask, Picture]  # the parts that are drawn so far


@dataclass(frozen=True)
class Part:
    """A thing that is drawn as a picture of its own, and where its square is in the whole."""

    task: ImageTask
    corner: tuple[int, int]  # left, top


@dataclass(frozen=True)
class _CancelledWith:
    """Parts are cancelled with their whole."""

    whole: ImageTask
    cancel: CancelToken

    def is_cancelled(self, task: ImageTask) -> bool:
        return self.cancel.is_cancelled(self.whole)


def draw_parts(
    engine: Engine,
    one: ImageTask,
    parts: Sequence[Part],
    cancel: CancelToken,
    preview: Callable[[Drawn], Preview | None] = lambda drawn: None,
) -> Generator[Event, None, list[Picture]]:
    """Draw the parts of a picture, with a step of progress for each and one left for the whole.

    preview: what is shown of the whole after each part, if anything. Returns the parts' pictures in
    order; fewer if the whole was cancelled.
    """
    drawn: dict[ImageTask, Picture] = {}
    left = [part.task for part in parts]
    while left and not cancel.is_cancelled(one):
        key = engine.batch_key(left[0])
        batch = [task for task in left if engine.batch_key(task).key == key.key][: key.most]
        for task, event in engine.draw(batch, _CancelledWith(one, cancel)):
            if isinstance(event, Picture):
                drawn[task] = event
                yield Progress(len(drawn), len(parts) + 1, "drawing")
                if (seen := preview(drawn)) is not None:
                    yield seen
        left = [task for task in left if task not in batch]
    return [drawn[part.task] for part in parts if part.task in drawn]


def laid_over(whole: Pixels, parts: Sequence[Part], drawn: Sequence[Pixels]) -> Pixels:
    """A picture (H, W, 4) with the pixels of its parts laid over it, in order."""
    image = Image.fromarray(whole)
    for part, pixels in zip(parts, drawn, strict=True):
        image.alpha_composite(Image.fromarray(np.ascontiguousarray(pixels)), part.corner)
    return np.array(image)


def mean_score(drawn: Sequence[Picture]) -> float | None:
    """The mean score of pictures; None if none has one."""
    scores = [picture.score for picture in drawn if picture.score is not None]
    return float(np.mean(scores)) if scores else None
