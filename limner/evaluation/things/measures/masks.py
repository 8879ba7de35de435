"""The simplest edit: one thing drawn into half of a blank canvas, and on a whole one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limner.arrays import Pixels
from limner.data.emoji.library import Entry, Library
from limner.data.scenes import ObjectSpec, SceneSpec, render_scene
from limner.evaluation.judge.scenes import describe, placed
from limner.evaluation.things.crops.cutting import things_in
from limner.evaluation.things.crops.naming import Namer
from limner.evaluation.things.shares import Share
from limner.imaging import codec as px
from limner.request import (
    SIZES,
    Edit,
    ImageRequest,
    Quality,
)

HALVES = ("left", "right", "top", "bottom")

_SIZE = SIZES[0]
_SIDE = 0.44
_MIDDLE = {"left": (0.25, 0.5), "right": (0.75, 0.5), "top": (0.5, 0.25), "bottom": (0.5, 0.75)}


@dataclass(frozen=True)
class MaskQuestion:
    """A thing, and the half of a white canvas that it is drawn into."""

    entry: Entry  # of the true picture
    prompt: str
    half: str  # of HALVES
    seed: int

    def into_half(self, quality: Quality) -> ImageRequest:
        """The edit that draws the thing under a mask over the half."""
        canvas = np.full((_SIZE.height, _SIZE.width, 4), 255, np.uint8)
        mask = canvas[..., 3].copy()
        mask[_half(self.half, _SIZE.width)] = 0
        source = Edit(canvas, mask)
        return ImageRequest(self.prompt, size=_SIZE, quality=quality, seed=self.seed, source=source)

    def alone(self, quality: Quality) -> ImageRequest:
        """The thing without a mask."""
        return ImageRequest(self.prompt, size=_SIZE, quality=quality, seed=self.seed)

    def true_half(self, library: Library) -> Pixels:
        """A drawing of the thing in the half of a white canvas; straight RGBA."""
        return self._drawn(library, (placed(self.entry, *_MIDDLE[self.half], _SIDE),), "white")

    def true_alone(self, library: Library) -> Pixels:
        """A drawing of the thing as its artist framed it; straight RGBA."""
        return self._drawn(library, ((0.5, 0.5, 1.0),), "transparent")

    def _drawn(
        self, library: Library, places: tuple[tuple[float, float, float], ...], ground: str
    ) -> Pixels:
        item = ObjectSpec(self.entry.drawing.id, self.entry.concept.key, places)
        picture = render_scene(SceneSpec((item,), ground), library, _SIZE.width)
        straight: Pixels = px.unpremultiply(picture)
        return straight


def ask(
    library: Library, keys: Sequence[str], n: int, purpose: str, seed: int, hand: str
) -> list[MaskQuestion]:
    """n questions about the concepts `keys`; each concept once before any is repeated."""
    drawn = {entry.concept.key: entry for entry in library.entries if entry.drawing.artist == hand}
    order = np.random.default_rng([seed, *b"masks", *purpose.encode()]).permutation(len(keys))
    questions = []
    for number in range(n):
        rng = np.random.default_rng([seed, number, *b"mask", *purpose.encode()])
        entry = drawn[keys[int(order[number % len(keys)])]]
        item = ObjectSpec(entry.drawing.id, entry.concept.key)
        prompt = describe(SceneSpec((item,)), library)
        half = HALVES[int(rng.integers(len(HALVES)))]
        questions.append(MaskQuestion(entry, prompt, half, int(rng.integers(2**31))))
    return questions


def half_of(picture: Pixels, half: str) -> Pixels:
    """The part of a square picture (N, N, …) that a mask over `half` hides."""
    return picture[_half(half, picture.shape[0])]


def _half(half: str, side: int) -> tuple[slice, slice]:
    middle, whole = side // 2, slice(None)
    return {
        "left": (whole, slice(0, middle)), "right": (whole, slice(middle, side)),
        "top": (slice(0, middle), whole), "bottom": (slice(middle, side), whole),
    }[half]  # fmt: skip


def right_things(pictures: Sequence[Pixels], keys: Sequence[str], namer: Namer) -> Share:
    """How many of straight pictures (H, W, 4) show the thing `keys` says: the largest in each."""
    answers = []
    for picture, key in zip(pictures, keys, strict=True):
        things = things_in(px.premultiply(picture))
        if not things:
            answers.append(False)
            continue
        largest = max(things, key=lambda thing: int(thing.mask.sum()))
        best = namer.scores(largest.crop[None])[0].argmax()
        answers.append(namer.keys[int(best)] == key)
    return Share.of(answers)
