"""Scenes of several things, drawn as a layout.

A prompt that names one thing is no scene; the engine draws it on a square of its own.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from limner.arrays import Bools, Floats, Ints, Pixels
from limner.engines.base import CancelToken, Event, ImageTask, Notice, Picture, Preview, Progress
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
from limner.planning.layout import GROUND, Layout, owner
from limner.request import Size
from limner.sampling import cells
from limner.sampling.decoding import Partial
from limner.sampling.layout_decoding import CAPTION, draw_layout
from limner.sampling.sampling import SamplingConfig, uniforms


class SceneDrawer:
    """Plans and draws scenes with weights that have a planner and draw layouts."""

    def __init__(self, backend: Backend, layouts: LayoutBackend, prompts: Prompts) -> None:
        self._backend, self._layouts, self._prompts = backend, layouts, prompts
        self._model = str(backend.config["name"])
        self._is_flat = backend.config.get("art") == "flat"

    @classmethod
    def of(cls, backend: Backend, prompts: Prompts) -> "SceneDrawer | None":
        """That of the weights; None if they draw no scenes."""
        layouts = backend.layouts
        if layouts is None or not has_planner(backend):
            return None
        return cls(backend, layouts, prompts)

    def scene(self, one: ImageTask) -> Scene | None:
        """The scene that a picture shows, or None if its prompt does not name several things."""
        return scene_of(self._prompts.reading(one.request.prompt), one, self._prompts)

    def draw(
        self, scene: Scene, one: ImageTask, config: SamplingConfig, cancel: CancelToken
    ) -> Iterator[Event]:
        """Draw a scene; one candidate unless the request asks for more."""
        request = one.request
        if one.index == 0 and (remark := self._prompts.remark(request.prompt)):
            yield Notice(remark)
        n, n_steps = request.best_of or 1, scene.n_steps(config)
        for partial in self._partials(scene, one, config, range(n)):
            yield Progress(partial.done, n_steps + 1, "drawing")
            if partial.done in preview_steps(n_steps, request.previews):
                codes = filled_by_things(scene.layout, partial.codes[0], partial.drawn)
                seen = self._picture(scene, codes, request.size, n_passes=0)
                yield Preview(
                    one.index, on_ground(seen, scene.ground, request), partial.done, n_steps
                )
        codes, best = self._best(scene, partial.codes)
        if (again := self._paintable(scene, codes)) is not scene:
            scene = again
            for partial in self._partials(scene, one, config, range(n)):
                candidates = partial.codes
                yield Progress(n_steps, n_steps + 1, "trying again")
            codes, best = self._best(scene, candidates)
        if request.retry_below is not None and best < request.retry_below:
            for partial in self._partials(scene, one, config, range(n, 2 * n)):
                candidates = partial.codes
                yield Progress(n_steps, n_steps + 1, "trying again")
            others, score = self._best(scene, candidates)
            if score > best:
                codes, best = others, score
        if cancel.is_cancelled(one):
            return
        finished = self._finished(scene, one, codes, best)
        yield Progress(n_steps + 1, n_steps + 1, "drawing")
        yield finished

    def _finished(self, scene: Scene, one: ImageTask, codes: Ints, score: float) -> Picture:
        request, layout = one.request, scene.layout
        px = min(layout.columns, layout.rows) * cell_px(self._backend)
        n_passes = count_passes(px, min(request.size.width, request.size.height))
        whole = self._picture(
            scene, codes, request.size, n_passes, is_flat=self._is_flat,
            is_outlined=self._prompts.is_outlined(request),
        )  # fmt: skip
        whole = on_ground(whole, scene.ground, request)
        return Picture(whole, request.prompt, one.seed, one.index, self._model, score)

    def _partials(
        self, scene: Scene, one: ImageTask, config: SamplingConfig, candidates: Sequence[int]
    ) -> Iterator[Partial]:
        """Draw candidates of a picture; codes (n, n_cells, n_groups) after each step."""
        layout, shape = scene.layout, self._layouts.shape
        texts, owners = self._texts(scene, one)
        nothing = no_prompt(texts[:-1])
        n_cells = layout.columns * layout.rows
        numbers = np.stack(
            [uniforms(one.seed, one.index, n, n_cells, shape.n_groups) for n in candidates]
        )
        steps = draw_layout(self._layouts, layout, texts, nothing, owners, numbers, config)
        is_ground = np.array(owner(layout)) == GROUND
        n_steps = scene.n_steps(config)
        for partial, step in zip(steps, range(1, n_steps + 1), strict=False):
            # Only what is drawn of things counts as drawn: previews fill a thing from it.
            codes, drawn = partial.codes.copy(), partial.drawn & ~is_ground
            codes[:, ~partial.drawn] = self._clear
            yield Partial(step, n_steps, codes, drawn)

    def _texts(self, scene: Scene, one: ImageTask) -> tuple[Ints, list[int]]:
        """What is drawn, (N, T), and whose each text is: things, the ground, the caption last."""
        phrases = [thing.phrase for thing in scene.layout.things]
        owners = [*range(len(phrases))]
        if cells.n_owners(scene.layout) > len(phrases):
            phrases.append("transparent background")
            owners.append(len(phrases) - 1)
        caption = self._prompts.in_style(one.request.prompt, one)
        return self._prompts.together([*phrases, caption]), [*owners, CAPTION]

    def _best(self, scene: Scene, codes: Ints) -> tuple[Ints, float]:
        """The best scored of candidates (n, n_cells, n_groups), and its score."""
        scores = self._scores(scene, codes)
        return codes[scores.argmax()], float(scores.max())

    def _scores(self, scene: Scene, codes: Ints) -> Floats:
        """How well candidates (n, n_cells, n_groups) match: the mean score of their things."""
        layout = scene.layout
        every, owners = cells.positions(layout, self._layouts.shape.side), np.array(owner(layout))
        total = np.zeros(len(codes), np.float32)
        for index, thing in enumerate(layout.things):
            own = np.flatnonzero(owners == index)
            if not len(own):  # wholly hidden
                continue
            positions = every.take(np.repeat((own + cells.n_owners(layout))[None], len(codes), 0))
            wanted = self._backend.embed_text(self._prompts.together([thing.phrase]))[0]
            total += self._layouts.embed_cells(codes[:, own], positions) @ wanted
        mean: Floats = total / len(layout.things)
        return mean

    def _picture(
        self,
        scene: Scene,
        codes: Ints,
        size: Size,
        n_passes: int,
        *,
        is_flat: bool = False,
        is_outlined: bool = False,
    ) -> Pixels:
        """Codes (n_cells, n_groups) of a scene's canvas as a picture of `size`, without ground."""
        small, px = self._layouts.pixels(codes[None], scene.layout)[0], cell_px(self._backend)
        small = painted(scene, small, px)
        left, top, right, bottom = scene.box
        box = left * px, top * px, right * px, bottom * px
        return scene_picture(
            self._backend, small, box, size, n_passes, is_flat=is_flat, is_outlined=is_outlined
        )

    def _paintable(self, scene: Scene, codes: Ints) -> Scene:
        """The scene, with things that take no paint told their colour."""
        if not any(scene.colours):
            return scene
        small, px = self._layouts.pixels(codes[None], scene.layout)[0], cell_px(self._backend)
        missed = missed_paint(scene, small, px)
        return scene.without_paint(missed) if missed else scene

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
