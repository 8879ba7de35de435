"""The questions of edits and variations: source scenes, and the results asked for.

Source pictures are true ones, so that a figure measures the edit, not the drawing before it.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from limner.data.emoji.library import Entry, Library
from limner.data.scenes import (
    Mix,
    ObjectSpec,
    Placement,
    SceneSpec,
    random_spec,
)
from limner.evaluation.judge.scenes import describe, placed, shown

_PAIRS = Mix(plain=0, painted=0, counted=0, related=1, listed=0)
_SINGLES = Mix(plain=1, painted=0, counted=0, related=0, listed=0)
_SPLIT = "in_distribution"  # these figures are about changing things, not about knowing them
_TRIES = 30
_MARGIN = 0.03  # of the picture, around what a mask hides

Box = tuple[float, float, float, float]  # left, top, right, bottom; the picture is 0 to 1


@dataclass(frozen=True)
class Exchange:
    """Another thing in the place of the first of two, asked for by a mask over that place."""

    before: SceneSpec
    after: SceneSpec
    window: Box
    old: str  # captions
    new: str  # also the prompt
    seed: int

    def mask(self, px: int) -> NDArray[np.bool_]:
        """(px, px), True where to draw."""
        left, top, right, bottom = (round(side * px) for side in self.window)
        masked = np.zeros((px, px), bool)
        masked[top:bottom, left:right] = True
        return masked


def exchanges(library: Library, n: int, seed: int = 0) -> list[Exchange]:
    """n exchanges with different results. A larger n begins with those of a smaller n."""
    found: dict[str, Exchange] = {}
    for number in range(n):
        rng = np.random.default_rng([seed, number, *b"exchange"])
        for _ in range(_TRIES):
            exchange = _exchange(rng, library)
            if exchange is not None and shown(exchange.after) not in found:
                found[shown(exchange.after)] = exchange
                break
    return list(found.values())


def _exchange(rng: np.random.Generator, library: Library) -> Exchange | None:
    before = random_spec(rng, library, _SPLIT, _PAIRS)
    if len(before.objects) != 2:  # a small library has no pairs
        return None
    first, second = (library[item.drawing] for item in before.objects)
    index = library.choose(rng, _SPLIT, "thing", first.drawing.artist)
    if index is None:
        return None
    new = library.entries[index]
    if new.concept.family in (first.concept.family, second.concept.family):
        return None
    if before.background != "transparent" and new.tint.is_near(before.background):
        return None
    box = visible_box(first, before.objects[0].places[0])
    left, top, right, bottom = box
    side = max(right - left, bottom - top)
    place = placed(new, (left + right) / 2, (top + bottom) / 2, side)
    item = ObjectSpec(new.drawing.id, new.concept.key, (place,))
    after = replace(before, objects=(item, before.objects[1]))
    window = _around(box, visible_box(new, place))
    texts = describe(before, library), describe(after, library)
    return Exchange(before, after, window, *texts, int(rng.integers(2**31)))


def visible_box(entry: Entry, place: Placement) -> Box:
    """Where the visible part of a placed drawing lies."""
    x, y, side = place
    left, top, right, bottom = ((edge - 0.5) * side for edge in entry.box)
    return x + left, y + top, x + right, y + bottom


def _around(a: Box, b: Box) -> Box:
    """Both boxes and a margin, as far as the picture reaches."""
    left, top = (max(0.0, min(a[i], b[i]) - _MARGIN) for i in (0, 1))
    right, bottom = (min(1.0, max(a[i], b[i]) + _MARGIN) for i in (2, 3))
    return left, top, right, bottom


@dataclass(frozen=True)
class Single:
    """One thing on nothing: to vary, or to turn into another."""

    spec: SceneSpec
    caption: str
    seed: int


def singles(library: Library, n: int, seed: int = 0) -> list[Single]:
    """n different things. A larger n begins with those of a smaller n."""
    found: dict[str, Single] = {}
    for number in range(n):
        rng = np.random.default_rng([seed, number, *b"single"])
        for _ in range(_TRIES):
            spec = random_spec(rng, library, _SPLIT, _SINGLES)
            if shown(spec) not in found:
                caption = describe(spec, library)
                found[shown(spec)] = Single(spec, caption, int(rng.integers(2**31)))
                break
    return list(found.values())


def other_styles(spec: SceneSpec, library: Library, artists: tuple[str, ...]) -> list[int]:
    """Indexes of the drawings of a single's concept by other artists than its own."""
    own = library[spec.objects[0].drawing]
    return [
        index
        for index, entry in enumerate(library.entries)
        if entry.concept.key == own.concept.key
        and entry.drawing.artist in artists
        and entry.drawing.artist != own.drawing.artist
    ]
