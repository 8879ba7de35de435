"""Figures of edits and variations: match with the prompt, seams, and what was kept.

Two baselines are in every table: the source unchanged, and a drawing of the new caption without
the source. An edit should match its prompt like the second and keep its source like the first.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats, Pixels
from limner.data.emoji.art import TRAINING_ARTISTS
from limner.data.emoji.library import Library
from limner.data.scenes import SceneSpec, render_scene
from limner.evaluation.baselines import unit
from limner.evaluation.judge.judge import GROUND, Judge
from limner.evaluation.measures import statistics
from limner.evaluation.measures.r_precision import N_POOL, Captions
from limner.evaluation.measures.rules import foreground
from limner.evaluation.measures.statistics import estimate
from limner.evaluation.questions.edit_prompts import (
    Exchange,
    Single,
    exchanges,
    other_styles,
    singles,
)
from limner.evaluation.report import CostRow, EditRow, VariationRow
from limner.evaluation.samples import TRUE
from limner.imaging import codec as px
from limner.progress import StageProgress
from limner.request import (
    SIZES,
    Edit,
    ImageRequest,
    Quality,
    Variation,
)
from limner.training.tasks.backbone import pooled_features, through_source_px

UNCHANGED = "the source, unchanged"
FRESH = "a fresh drawing"
PASTED = "a fresh drawing, pasted in"
OTHER_HAND = "another hand's drawing"
PART, WHOLE = "part", "whole"

_SIZE = SIZES[0]
_TURNS = 6  # of the timing

Masks = NDArray[np.bool_]
Some = dict[int, Pixels]  # pictures of some of the questions, by their number


@dataclass(frozen=True, eq=False)
class DrawnRequest:
    """The answer to one request."""

    pictures: list[Pixels]  # straight RGBA (H, W, 4)
    n_steps: int  # of the engine's progress
    seconds: float


Ask = Callable[[ImageRequest], DrawnRequest]


class Redrawing:
    """Edits and variations by one engine; pictures are straight RGBA at _SIZE."""

    def __init__(
        self,
        ask: Ask,
        library: Library,
        judge: Judge,
        n: int,
        seed: int = 0,
        quality: Quality = "medium",
        name: str = "limner",
        progress: StageProgress = lambda stage, done, total: None,
    ) -> None:
        """`n` sources for each kind of change."""
        self.ask, self.library, self.judge = ask, library, judge
        self.n, self.seed, self.quality = n, seed, quality
        self.name, self.progress = name, progress

    def parts(self) -> list[EditRow]:
        """Figures of edits under a mask: one of two things is replaced by another."""
        pool = exchanges(self.library, max(self.n, N_POOL), self.seed)
        asked = pool[: self.n]
        captions = Captions(self.judge, [one.new for one in pool], len(asked), self.seed)
        old = self.judge.embed_texts([one.old for one in asked])
        sources = self._rendered([one.before for one in asked])
        masks = np.stack([one.mask(_SIZE.width) for one in asked])
        fresh = self._fresh([(one.new, one.seed) for one in asked])
        found = {
            self.name: self._edited(sources, asked, masks),
            UNCHANGED: sources,
            PASTED: np.where(masks[..., None], fresh, sources),
            TRUE: self._rendered([one.after for one in asked]),
        }
        rows = list(range(len(asked)))
        return [
            self._edit_row(PART, source, pictures, captions, rows, old, sources, masks)
            for source, pictures in found.items()
        ]

    def _edited(self, sources: Pixels, asked: list[Exchange], masks: Masks) -> Pixels:
        drawn = []
        for row in self._rows("edits under a mask", len(asked)):
            one = asked[row]
            alpha = np.where(masks[row], 0, 255).astype(np.uint8)
            drawn.append(self._drawn(one.new, one.seed, Edit(sources[row], alpha)))
        return np.stack(drawn)

    def wholes(self) -> list[EditRow]:
        """Figures of edits without a mask: each of some things on white becomes the next one."""
        pool, asked = self._singles()
        captions = Captions(self.judge, [one.caption for one in pool], len(asked), self.seed)
        rows = [(row + 1) % len(asked) for row in range(len(asked))]
        # What is clear in a picture would be taken for a mask.
        clear = self._rendered([one.spec for one in asked])
        sources = np.stack([px.over(picture, np.full_like(picture, 255)) for picture in clear])
        wanted = [(asked[rows[row]].caption, one.seed) for row, one in enumerate(asked)]
        edited = [
            self._drawn(*wanted[row], Edit(sources[row]))
            for row in self._rows("edits of the whole", len(asked))
        ]
        found = {
            self.name: np.stack(edited),
            UNCHANGED: sources,
            FRESH: self._fresh(wanted),
            TRUE: sources[rows],
        }
        old = captions.vectors[: len(asked)]
        return [
            self._edit_row(WHOLE, source, pictures, captions, rows, old, sources)
            for source, pictures in found.items()
        ]

    def _edit_row(
        self,
        kind: str,
        source: str,
        pictures: Pixels,
        captions: Captions,
        rows: list[int],
        old: Floats,
        sources: Pixels,
        masks: Masks | None = None,
    ) -> EditRow:
        small = _small(pictures)
        seen = self.judge.embed_pictures(small)
        more = (seen * (captions.vectors[rows] - old)).sum(1)
        kept = seams = layout = outline = estimate([])
        if masks is not None:
            kept = estimate(statistics.are_kept(pictures, sources, masks))
            premultiplied = np.stack([px.premultiply(picture) for picture in pictures])
            seams = estimate(statistics.seam(premultiplied, masks))
        else:
            own = _small(sources)
            layout = estimate(
                statistics.layout(statistics.on_white(small), statistics.on_white(own))
            )
            outline = estimate(statistics.shared(_outlines(small), _outlines(own)))
        first = estimate(captions.are_first(seen, rows))
        return EditRow(
            kind, source, captions.n_choices, first, estimate(more > 0), estimate(more),
            kept, seams, layout, outline,
        )  # fmt: skip

    def variations(self, threshold: float) -> list[VariationRow]:
        """Figures of variations, two for each of some things.

        A cosine to the source above `threshold` counts as a near copy.
        """
        pool, asked = self._singles()
        captions = Captions(self.judge, [one.caption for one in pool], len(asked), self.seed)
        sources = self._rendered([one.spec for one in asked])
        varied: tuple[Some, Some] = {}, {}
        fresh: tuple[Some, Some] = {}, {}
        for row in self._rows("variations", len(asked)):
            one = asked[row]
            varied[0][row], varied[1][row] = self._two("", one.seed, Variation(sources[row]))
            fresh[0][row], fresh[1][row] = self._two(one.caption, one.seed)
        found = {
            self.name: varied,
            UNCHANGED: (dict(enumerate(sources)), {}),
            FRESH: fresh,
            OTHER_HAND: self._other_hands(asked),
        }
        own = self._features(sources)
        return [
            self._variation_row(source, *pictures, own, captions, threshold)
            for source, pictures in found.items()
            if pictures[0]
        ]

    def _variation_row(
        self,
        source: str,
        first: Some,
        second: Some,
        own: Floats,
        captions: Captions,
        threshold: float,
    ) -> VariationRow:
        """`second` has other pictures of some of the things of `first`; `own` are the sources."""
        rows = list(first)
        pictures = np.stack(list(first.values()))
        features = self._features(pictures)
        similarity = (features * own[rows]).sum(1)
        seen = self.judge.embed_pictures(_small(pictures))
        variety = estimate([])
        if second:
            indices = [rows.index(row) for row in second]
            others = self._features(np.stack(list(second.values())))
            variety = estimate(1 - (features[indices] * others).sum(1))
        return VariationRow(
            source,
            captions.n_choices,
            estimate(captions.are_first(seen, rows)),
            estimate(similarity),
            estimate(similarity > threshold),
            variety,
        )

    def cost(self) -> CostRow:
        """Time and steps to edit a quarter of a picture, and to draw all of it, in turns."""
        source = np.full((_SIZE.height, _SIZE.width, 4), 255, np.uint8)
        mask = np.full((_SIZE.height, _SIZE.width), 255, np.uint8)
        mask[: _SIZE.height // 2, : _SIZE.width // 2] = 0
        steps, seconds = [], []
        for turn in range(_TURNS + 1):
            edit = self._asked("a red apple", turn, Edit(source, mask))
            whole = self._asked("a red apple", turn)
            if turn:  # the first one warms up
                steps.append(edit.n_steps / whole.n_steps)
                seconds.append(edit.seconds / whole.seconds)
        return CostRow(estimate(steps), estimate(seconds))

    # --- pictures ---

    def _asked(
        self, prompt: str, seed: int, source: Edit | Variation | None = None, n: int = 1
    ) -> DrawnRequest:
        return self.ask(
            ImageRequest(prompt, n=n, size=_SIZE, quality=self.quality, seed=seed, source=source)
        )

    def _drawn(self, prompt: str, seed: int, source: Edit | None = None) -> Pixels:
        return self._asked(prompt, seed, source).pictures[0]

    def _two(self, prompt: str, seed: int, source: Variation | None = None) -> list[Pixels]:
        return self._asked(prompt, seed, source, n=2).pictures

    def _fresh(self, asked: Sequence[tuple[str, int]]) -> Pixels:
        return np.stack(
            [self._drawn(*asked[row]) for row in self._rows("fresh drawings", len(asked))]
        )

    def _singles(self) -> tuple[list[Single], list[Single]]:
        """All things whose captions the judge chooses from, and those that are drawn."""
        pool = singles(self.library, max(self.n, N_POOL), self.seed)
        return pool, pool[: self.n]

    def _other_hands(self, asked: list[Single]) -> tuple[Some, Some]:
        """Drawings of the same things by another artist, and by a third where there is one."""
        found: tuple[Some, Some] = {}, {}
        for row, one in enumerate(asked):
            indexes = other_styles(one.spec, self.library, TRAINING_ARTISTS)
            for pictures, index in zip(found, indexes, strict=False):
                pictures[row] = px.unpremultiply(self.library.picture(index, _SIZE.width))
        return found

    def _rendered(self, specs: list[SceneSpec]) -> Pixels:
        return np.stack(
            [px.unpremultiply(render_scene(spec, self.library, _SIZE.width)) for spec in specs]
        )

    def _features(self, pictures: Pixels) -> Floats:
        return unit(pooled_features(self.judge.backbone, _small(pictures), GROUND))

    def _rows(self, stage: str, n: int) -> Iterator[int]:
        """0 to n - 1, told as they come."""
        for row in range(n):
            self.progress(stage, row, n)
            yield row
        self.progress(stage, n, n)


def _small(pictures: Pixels) -> Pixels:
    """As the judge takes them."""
    return np.stack([through_source_px(px.premultiply(picture)) for picture in pictures])


def _outlines(premultiplied: Pixels) -> Masks:
    return np.stack([foreground(picture) for picture in premultiplied])
