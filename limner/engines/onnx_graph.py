"""The default engine: limner's own transformer on the CPU, with NumPy and ONNX Runtime alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from limner.engines.base import Event, Notice, Picture, Preview, Progress
from limner.engines.onnx_finish import picture, picture_in
from limner.engines.onnx_network import OnnxNetwork
from limner.engines.onnx_start import Start, start
from limner.model import pixels
from limner.model.canvas import Canvas, Window, plan
from limner.model.decoding import Known, Partial, count_steps, draw_codes, filled_in
from limner.model.sampling import Floats, Ints, SamplingConfig, uniforms
from limner.model.styles import Style, in_style
from limner.model.text_tokenizer import NULL
from limner.request import Edit, ImageRequest, Size, Variation

_FACTOR = 4  # of one pass of the upscalers


@dataclass(frozen=True, eq=False)
class _Job:
    """One picture of a request."""

    request: ImageRequest
    seed: int
    index: int
    start: Start
    config: SamplingConfig
    prompt: Ints  # (1, T)
    windows: list[Window]

    @property
    def n_steps(self) -> int:
        """Decoder passes."""
        return sum(
            count_steps(self.config, int(window.hidden.sum()), len(window.hidden))
            for window in self.windows
        )


class OnnxEngine:
    """Draws from a weights folder.

    Every picture is drawn by itself, in arrays of the same shapes whatever n is, so that a seed
    gives the same bytes alone and in company.
    """

    name = "onnx"
    abilities = ("edit", "vary")

    def __init__(self, folder: Path, threads: int = 0) -> None:
        """Raises WeightsError if the folder is missing, damaged, or of another kind."""
        self.network = OnnxNetwork(folder, threads)
        self.model = str(self.network.config["name"])
        self.styles = [
            Style(**{**style, "words": tuple(style["words"])})
            for style in self.network.config.get("styles", ())
        ]
        self.nothing = np.array([[NULL]])  # the text of any picture

    def count_cells(self, size: Size) -> int:
        """Cells of a picture of `size`."""
        return Canvas(size, self.network.shape.grid).n_cells

    def count_tokens(self, text: str) -> int:
        """Text tokens of a prompt, before any cut."""
        return len(self.network.text_tokenizer.encode(text))

    def generate(self, request: ImageRequest) -> Iterator[Event]:
        """Draw `request`, whose seed is set; see `engines.base.Engine`."""
        _, n_cut = self._text(request.prompt)
        if n_cut:
            yield Notice(
                f"The prompt is longer than the {self.network.max_text - 1} tokens that "
                f"{self.model} reads; its last {n_cut} were not read"
            )
        beginning = start(self.network, request)
        if isinstance(request.source, Edit) and request.source.mask is None and beginning.placed:
            yield Notice("No mask was given: what is clear in the picture was drawn, the rest kept")
        jobs = [self._job(request, beginning, index) for index in request.indexes]
        done, total = 0, sum(job.n_steps + 1 for job in jobs)
        for job in jobs:
            for event in self._draw(job):
                if isinstance(event, Progress):
                    done += 1
                    event = replace(event, done=done, total=total)
                yield event

    def sampling(self, quality: str) -> SamplingConfig:
        """How a quality is drawn; chosen for the weights, and stored with them."""
        config = SamplingConfig(**self.network.config["sampling"][quality])
        # A step draws at least one cell, so there cannot be more steps than cells.
        return replace(config, n_steps=min(config.n_steps, self.network.shape.n_cells))

    def _job(self, request: ImageRequest, beginning: Start, index: int) -> _Job:
        assert request.seed is not None
        prompt = self.nothing
        if request.prompt:
            prompt = self._text(in_style(request.prompt, self.styles, request.seed, index))[0]
        windows = plan(beginning.canvas, beginning.hidden_of(request.seed, index))
        config = self.sampling(request.quality)
        return _Job(request, request.seed, index, beginning, config, prompt, windows)

    def _draw(self, job: _Job) -> Iterator[Event]:
        """One picture; its Progress counts nothing yet."""
        wanted = _preview_steps(job.n_steps, job.request.previews)
        done, score = 0, 0.0
        codes = job.start.codes.copy()
        drawn = ~job.start.hidden_of(job.seed, job.index)
        for i, window in enumerate(job.windows):
            places = window.places
            for partial in self._partials(job, i, codes):
                done += 1
                yield Progress(0, 0, "drawing")
                if done in wanted:
                    seen = _with(Partial(done, job.n_steps, codes[None], drawn), places, partial)
                    yield Preview(job.index, self._preview(seen, job), done, job.n_steps)
            best = 0
            if i == 0:
                scores = self._scores(job, partial.codes)
                best = int(scores.argmax())
                score = float(scores[best])
            codes[places], drawn[places] = partial.codes[best], True
        finished = self._finish(codes, job)
        yield Progress(0, 0, "drawing")
        yield Picture(finished, job.request.prompt, job.seed, job.index, self.model, score)

    def _partials(self, job: _Job, i: int, codes: Ints) -> Iterator[Partial]:
        """Draw window `i` on the canvas' codes (n_cells, n_groups) so far."""
        window, shape = job.windows[i], self.network.shape
        rows = job.config.n_candidates if i == 0 else 1
        numbers = [
            uniforms(job.seed, job.index, candidate, job.start.canvas.n_cells, shape.n_groups)
            for candidate in range(rows)
        ]
        prompt, nothing, palette = job.prompt, None, None
        if i and job.request.source is None:
            # Told the prompt, or nothing, a further square would draw its subject once more.
            prompt, palette = self.nothing, _corners(codes[job.windows[0].places], shape.grid)
        elif job.request.prompt:
            nothing = np.zeros_like(prompt)
            nothing[:, 0] = NULL
        return draw_codes(
            self.network,
            prompt.repeat(rows, axis=0),
            None if nothing is None else nothing.repeat(rows, axis=0),
            np.stack(numbers)[:, window.places],
            job.config,
            None if window.hidden.all() else Known(codes[window.places], ~window.hidden),
            palette,
        )

    def _text(self, prompt: str) -> tuple[Ints, int]:
        tokens, cut = self.network.text_tokenizer.encode_padded([prompt], self.network.max_text)
        return tokens[:, : int((tokens != 0).sum())], int(cut[0])

    def _scores(self, job: _Job, codes: Ints) -> Floats:
        """How well each candidate matches what is asked for, -1 to 1, by contrastive embeddings."""
        if isinstance(job.request.source, Variation):
            wanted = self.network.embed_image(job.start.codes[job.windows[0].places][None])
        else:
            wanted = self.network.embed_text(job.prompt)
        scores: Floats = self.network.embed_image(codes) @ wanted[0]
        return scores

    def _preview(self, partial: Partial, job: _Job) -> pixels.Pixels:
        codes = filled_in(partial, job.start.canvas.columns)[0]
        return self._picture(codes, job, n_passes=1)

    def _finish(self, codes: Ints, job: _Job) -> pixels.Pixels:
        px = self.network.config["model"]["image_tokenizer"]["image_px"]
        size = job.request.size
        return self._picture(codes, job, 1 if min(size.width, size.height) <= px * _FACTOR else 2)

    def _picture(self, codes: Ints, job: _Job, n_passes: int) -> pixels.Pixels:
        """Codes (n_cells, n_groups) of the canvas as the picture that was asked for."""
        start = job.start
        if start.placed is not None:
            whole = picture_in(self.network, codes, start, n_passes)
        else:
            whole = picture(self.network, codes, start.canvas, n_passes)
            if start.behind is not None:
                whole = pixels.over(whole, start.behind)
        if job.request.background == "opaque":
            whole = pixels.over(whole, np.full_like(whole, 255))
        return whole


def _with(whole: Partial, places: Ints, part: Partial) -> Partial:
    """A canvas under way with one square as it stands now, first candidate."""
    codes, drawn = whole.codes.copy(), whole.drawn.copy()
    codes[:, places], drawn[places] = part.codes[:1], part.drawn
    return replace(whole, codes=codes, drawn=drawn)


def _corners(codes: Ints, grid: int) -> Ints:
    """The codes (4, n_groups) at a square's corners, where there is background if anywhere."""
    return codes[[0, grid - 1, grid * (grid - 1), grid**2 - 1]]


def _preview_steps(n_steps: int, n_previews: int) -> set[int]:
    """After which steps to show how far a picture is: evenly, and never after the last."""
    return {n_steps * (i + 1) // (n_previews + 1) for i in range(n_previews)} - {0, n_steps}
