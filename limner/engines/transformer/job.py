"""The state of a picture in progress: its start, the codes drawn so far, and its appearance."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from limner.arrays import Bools, Floats, Ints, Pixels
from limner.engines.base import CancelToken, ImageTask
from limner.engines.transformer.backend import Backend
from limner.engines.transformer.conditioning import Start
from limner.engines.transformer.pixels.adjustment import UNCHANGED, Adjustment
from limner.engines.transformer.pixels.postprocess import on_ground, picture, picture_in
from limner.engines.transformer.prompt_words import Colour
from limner.imaging import codec
from limner.request import Edit
from limner.sampling.canvas import Window
from limner.sampling.decoding import Partial, count_steps, filled_in
from limner.sampling.revising import count_revise_steps
from limner.sampling.sampling import DRAWING, SamplingConfig, uniforms


@dataclass(eq=False)
class Job:
    """A picture that is drawn on squares."""

    one: ImageTask
    cancel: CancelToken
    start: Start
    config: SamplingConfig
    prompt: Ints  # (1, T)
    windows: list[Window]
    codes: Ints  # (n_cells, n_groups) so far
    drawn: Bools  # (n_cells,)
    ground: Colour | None = None  # painted behind a picture from text
    is_outlined: bool = False  # by the finish
    adjustment: Adjustment = UNCHANGED  # of a picture from text
    n_done: int = 0  # steps
    score: float = 0.0  # of the best candidate so far
    n_tried: int = 0  # candidates that are drawn

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.cancel.is_cancelled(self.one)

    @cached_property
    def n_steps(self) -> int:
        """Decoder passes."""
        return sum(
            count_steps(self.config, int(window.hidden.sum()), len(window.hidden))
            + (count_revise_steps(self.config, int(window.hidden.sum())) if self.is_told(i) else 0)
            for i, window in enumerate(self.windows)
        )

    def is_told(self, i: int) -> bool:
        """Whether window `i` is drawn by the prompt: a further square of a wide picture is not.

        Told the prompt, or nothing, it would draw its subject once more.
        """
        return i == 0 or self.one.request.source is not None

    def numbers(self, i: int, candidate: int, purpose: int = DRAWING) -> Floats:
        """The random numbers of a candidate in window `i`, (n_cells, n_groups)."""
        n_cells, n_groups = self.codes.shape
        own = uniforms(self.one.seed, self.one.index, candidate, n_cells, n_groups, purpose)
        return own[self.windows[i].positions]

    def remarks(self) -> Iterator[str]:
        """What is to be said before it is drawn."""
        source, options = self.one.request.source, self.one.request.options
        if source is not None and "boxes" in options:
            yield "Not used: boxes; they are of pictures from text alone"
        if isinstance(source, Edit) and source.given_mask is None and self.start.placed:
            yield "No mask was given: what is transparent in the picture was drawn, the rest kept"

    def takes_paint(self, backend: Backend) -> bool:
        """Whether what is drawn of its first window can be had in the colour that was asked for."""
        if not self.adjustment.is_wanted:
            return True
        drawn = backend.pixels(self.codes[self.windows[0].positions][None])[0]
        return not self.adjustment.is_missed(drawn)

    def preview(self, backend: Backend, i: int, partial: Partial) -> Pixels:
        """The picture with window `i` as it stands now, first candidate."""
        positions = self.windows[i].positions
        codes, drawn = self.codes.copy(), self.drawn.copy()
        codes[positions], drawn[positions] = partial.codes[0], partial.drawn
        whole = replace(partial, codes=codes[None], drawn=drawn)
        return self.picture(backend, filled_in(whole, self.start.canvas.columns)[0], n_passes=1)

    def picture(
        self, backend: Backend, codes: Ints, n_passes: int, *, is_flat: bool = False
    ) -> Pixels:
        """Codes (n_cells, n_groups) of the canvas as the picture that was asked for."""
        start = self.start
        if start.placed is not None:
            whole = picture_in(backend, codes, start, n_passes, is_flat=is_flat)
        else:
            whole = picture(
                backend,
                codes,
                start.canvas,
                n_passes,
                is_flat=is_flat,
                is_outlined=self.is_outlined,
                has_room=self.ground is not None,
                adjustment=self.adjustment,
            )
            if start.behind is not None:
                whole = codec.over(whole, start.behind)
        return on_ground(whole, self.ground, self.one.request)
