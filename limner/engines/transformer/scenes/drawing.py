"""Scenes of several things, drawn as a layout.

A prompt that names one thing is no scene; the engine draws it on a square of its own.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from weakref import WeakKeyDictionary

import numpy as np

from limner.arrays import Bools, Floats, Floats32, Ints, Pixels
from limner.engines.base import CancelToken, ImageTask, Notice, Picture, Preview, Progress
from limner.engines.transformer.backend import (
    Backend,
    LayoutBackend,
    cell_px,
    has_planner,
    image_px,
)
from limner.engines.transformer.pixels.postprocess import on_ground, scene_picture
from limner.engines.transformer.prompts import Prompts, no_prompt
from limner.engines.transformer.qualities import count_passes, preview_steps
from limner.engines.transformer.scenes.painting import missed_paint, painted
from limner.engines.transformer.scenes.scene import Scene, scene_of
from limner.engines.transformer.windows import Events
from limner.planning.layout import GROUND, Layout, owner
from limner.request import ImageRequest, Size
from limner.sampling import cells
from limner.sampling.decoding import Partial
from limner.sampling.layout_decoding import CAPTION, LaidOut, draw_layouts
from limner.sampling.sampling import SamplingConfig, uniforms


@dataclass(eq=False)
class _Job:
    """A scene in progress."""

    one: ImageTask
    scene: Scene
    n_steps: int
    small: Floats32 = field(init=False)  # the canvas (4, h, w) of the best candidate so far
    score: float = -np.inf  # of that candidate

    @property
    def n(self) -> int:
        """Candidates that are drawn at a time: one, unless the request asks for more."""
        return self.one.request.best_of or 1

    def told(self, done: int, stage: str) -> tuple[ImageTask, Progress]:
        """How far it is: `done` steps; the last one is to finish it."""
        return self.one, Progress(done, self.n_steps + 1, stage)


class SceneDrawer:
    """Plans and draws scenes with weights that have a planner and draw layouts."""

    def __init__(self, backend: Backend, layouts: LayoutBackend, prompts: Prompts) -> None:
        self._backend, self._layouts, self._prompts = backend, layouts, prompts
        self._model = str(backend.config["name"])
        self._is_flat = backend.config.get("art") == "flat"
        self._scenes: WeakKeyDictionary[ImageRequest, dict[int, Scene | None]] = WeakKeyDictionary()

    @classmethod
    def of(cls, backend: Backend, prompts: Prompts) -> "SceneDrawer | None":
        """That of the weights; None if they draw no scenes."""
        layouts = backend.layouts
        if layouts is None or not has_planner(backend):
            return None
        return cls(backend, layouts, prompts)

    def scene(self, one: ImageTask) -> Scene | None:
        """The scene that a picture shows, or None if its prompt does not name several things."""
        known = self._scenes.setdefault(one.request, {})
        if one.index not in known:  # it is asked for whenever a batch is chosen
            reading = self._prompts.reading(one.request.prompt)
            known[one.index] = scene_of(reading, one, self._prompts)
        return known[one.index]

    def share_key(self, scene: Scene, one: ImageTask) -> Hashable:
        """Scenes with an equal key, of one quality, can be drawn together."""
        return self._laid_out(scene, one, range(0)).share_key

    def draw(
        self,
        tasks: Sequence[tuple[ImageTask, Scene]],
        config: SamplingConfig,
        cancel: CancelToken,
    ) -> Events:
        """Draw scenes of one `share_key`; one candidate of each unless its request asks for more.

        What few of them need, to be drawn again, is done for each alone.
        """
        jobs = [_Job(one, scene, scene.n_steps(config)) for one, scene in tasks]
        for job in jobs:
            if job.one.index == 0 and (remark := self._prompts.remark(job.one.request)):
                yield job.one, Notice(remark)
        for partials in self._partials(jobs, config):
            for job, partial in zip(jobs, partials, strict=True):
                yield job.told(partial.done, "drawing")
                if partial.done in preview_steps(job.n_steps, job.one.request.previews):
                    yield job.one, self._preview(job, partial)
        for job, partial in zip(jobs, partials, strict=True):
            if not cancel.is_cancelled(job.one):
                self._choose(job, partial.codes)
                yield from self._draw_again(job, config)
            if not cancel.is_cancelled(job.one):
                yield from self._finish(job)

    def _draw_again(self, job: _Job, config: SamplingConfig) -> Events:
        """Draw a scene once more if a thing took no paint, and if its score is too low."""
        missed = missed_paint(job.scene, job.small, cell_px(self._backend))
        if missed:
            job.scene, job.score = job.scene.without_paint(missed), -np.inf
            yield from self._more(job, config, 0)
        least = job.one.request.retry_below
        if least is not None and job.score < least:
            yield from self._more(job, config, job.n)

    def _more(self, job: _Job, config: SamplingConfig, first: int) -> Events:
        """Draw candidates `first`, first + 1, …; the job keeps the best of all."""
        for [partial] in self._partials([job], config, first):
            candidates = partial.codes
            # It may be left at each step, but the steps were counted with one try.
            yield job.told(job.n_steps, "trying again")
        self._choose(job, candidates)

    def _partials(
        self, jobs: list[_Job], config: SamplingConfig, first: int = 0
    ) -> Iterator[list[Partial]]:
        """Draw candidates of scenes: for each its codes (n, n_cells, n_groups) after each step."""
        pictures = [self._laid_out(job.scene, job.one, range(first, first + job.n)) for job in jobs]
        grounds = [np.array(owner(job.scene.layout)) == GROUND for job in jobs]
        steps = draw_layouts(self._layouts, pictures, config)
        for partials in islice(steps, jobs[0].n_steps):  # the ground is not drawn
            # Only what is drawn of things counts as drawn: previews fill a thing from it.
            for partial, is_ground in zip(partials, grounds, strict=True):
                partial.codes[:, ~partial.drawn] = self._clear
                partial.drawn[is_ground] = False
            yield partials

    def _laid_out(self, scene: Scene, one: ImageTask, candidates: Sequence[int]) -> LaidOut:
        """Candidates of a scene, to be drawn with a text for each thing, ground, and all of it."""
        layout, n_groups = scene.layout, self._layouts.shape.n_groups
        phrases = [thing.phrase for thing in layout.things]
        owners = [*range(len(phrases))]
        if cells.n_owners(layout) > len(phrases):
            phrases.append("transparent background")
            owners.append(len(phrases) - 1)
        prompt = self._prompts.as_captions_say(one.request.prompt)
        caption = self._prompts.in_style(prompt, one)
        texts = self._prompts.together((*phrases, caption))
        n_cells = layout.columns * layout.rows
        numbers = [uniforms(one.seed, one.index, n, n_cells, n_groups) for n in candidates]
        return LaidOut(
            layout,
            texts,
            no_prompt(texts[:-1]),
            [*owners, CAPTION],
            np.array(numbers).reshape(-1, n_cells, n_groups),
        )

    def _choose(self, job: _Job, codes: Ints) -> None:
        """Keep the best of candidates (n, n_cells, n_groups) if it is better than the job's."""
        scores = self._scores(job.scene, codes)
        best = int(scores.argmax())
        if scores[best] > job.score:
            job.score = float(scores[best])
            job.small = self._layouts.pixels(codes[best][None], job.scene.layout)[0]

    def _scores(self, scene: Scene, codes: Ints) -> Floats:
        """How well candidates (n, n_cells, n_groups) match: the mean score of their things."""
        layout = scene.layout
        every, owners = cells.positions(layout, self._layouts.shape.side), np.array(owner(layout))
        phrases = tuple(thing.phrase for thing in layout.things)
        wanted = self._backend.embed_text(self._prompts.together(phrases))
        total = np.zeros(len(codes), np.float32)
        for index in range(len(phrases)):
            own = np.flatnonzero(owners == index)
            if not len(own):  # wholly hidden
                continue
            positions = every.take(np.repeat((own + cells.n_owners(layout))[None], len(codes), 0))
            total += self._layouts.embed_cells(codes[:, own], positions) @ wanted[index]
        mean: Floats = total / len(phrases)
        return mean

    def _preview(self, job: _Job, partial: Partial) -> Preview:
        scene, request = job.scene, job.one.request
        codes = filled_by_things(scene.layout, partial.codes[0], partial.drawn)
        small = self._layouts.pixels(codes[None], scene.layout)[0]
        seen = on_ground(self._picture(scene, small, request.size, 0), scene.ground, request)
        return Preview(job.one.index, seen, partial.done, job.n_steps)

    def _finish(self, job: _Job) -> Events:
        one, scene, request = job.one, job.scene, job.one.request
        px = min(scene.layout.columns, scene.layout.rows) * cell_px(self._backend)
        n_passes = count_passes(px, min(request.size.width, request.size.height))
        whole = self._picture(
            scene,
            job.small,
            request.size,
            n_passes,
            is_flat=self._is_flat,
            is_outlined=self._prompts.is_outlined(request),
            is_restored=request.quality != "low",
        )
        whole = on_ground(whole, scene.ground, request)
        yield job.told(job.n_steps + 1, "drawing")
        yield one, Picture(whole, request.prompt, one.seed, one.index, self._model, job.score)

    def _picture(
        self,
        scene: Scene,
        small: Floats32,
        size: Size,
        n_passes: int,
        *,
        is_flat: bool = False,
        is_outlined: bool = False,
        is_restored: bool = True,
    ) -> Pixels:
        """A scene's decoded canvas (4, h, w) as a picture of `size`, without ground."""
        px = cell_px(self._backend)
        left, top, right, bottom = scene.box
        box = left * px, top * px, right * px, bottom * px
        small = painted(scene, small, px)
        return scene_picture(
            self._backend,
            small,
            box,
            size,
            n_passes,
            is_flat=is_flat,
            is_outlined=is_outlined,
            is_restored=is_restored,
        )

    @cached_property
    def _clear(self) -> Ints:
        """The codes (n_groups,) of a cell with nothing in it."""
        px, grid = image_px(self._backend), self._backend.shape.grid
        codes = self._backend.codes(np.zeros((1, 4, px, px), np.float32))[0]
        clear: Ints = codes[len(codes) // 2 + grid // 2]
        return clear


def filled_by_things(layout: Layout, codes: Ints, drawn: Bools) -> Ints:
    """Codes (n_cells, n_groups) with each cell of a thing that is not drawn copied from the nearest
    one that is, of the same thing: a coarse picture of it. A thing with none stays as it is.
    """
    filled, owners = codes.copy(), np.array(owner(layout))
    for number in range(len(layout.things)):
        own = owners == number
        known, missing = np.flatnonzero(own & drawn), np.flatnonzero(own & ~drawn)
        if len(known):
            down = missing[:, None] // layout.columns - known // layout.columns
            right = missing[:, None] % layout.columns - known % layout.columns
            filled[missing] = codes[known[np.argmin(down**2 + right**2, axis=1)]]
    return filled
