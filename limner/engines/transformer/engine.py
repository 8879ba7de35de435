"""The default engine: limner's own transformer on the CPU, with NumPy and ONNX Runtime alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from limner.engines.base import (
    BatchKey,
    Engine,
    Event,
    ImageTask,
    Notice,
    Picture,
    Preview,
    Progress,
)
from limner.engines.transformer.conditioning import Start, start
from limner.engines.transformer.onnx_backend import OnnxNetwork
from limner.engines.transformer.postprocess import picture, picture_in
from limner.imaging import codec
from limner.model.text_tokenizer import NULL
from limner.request import (
    Edit,
    ImageRequest,
    Size,
    Variation,
)
from limner.sampling import ground, inpainting
from limner.sampling.canvas import Canvas, Window, plan
from limner.sampling.decoding import (
    Bools,
    Known,
    Partial,
    count_steps,
    draw_codes,
    filled_in,
)
from limner.sampling.sampling import (
    Floats,
    Ints,
    SamplingConfig,
    uniforms,
)
from limner.sampling.styles import Style, in_style

_FACTOR = 4  # of one pass of the upscalers
_TEXT_STEP = 16  # texts are padded to a multiple of it, so that those of about a length share
_MAX_ROWS = 16  # of a batch, candidates counted: with more, a step takes as much longer
_MAX_CONCURRENCY = 4  # each holds a batch and a picture that is enlarged in memory
_MAX_TEXTS = 256  # that are remembered as tokens
_GROUND_STAYS = (
    "The background could not be told from the subject, so it was left as it is: it must be of "
    "one colour, or change smoothly, at the border of the picture"
)
_NOTHING_DRAWN = "The prompt asks only for a clear background: the picture was not drawn anew"


@dataclass(eq=False)
class _Job:
    """A picture under way."""

    one: ImageTask
    start: Start
    config: SamplingConfig
    prompt: Ints  # (1, T)
    windows: list[Window]
    codes: Ints  # (n_cells, n_groups) so far
    drawn: Bools  # (n_cells,)
    n_done: int = 0  # steps
    score: float = 0.0  # of the best candidate so far
    n_tried: int = 0  # candidates that are drawn
    remark: str = ""  # what is to be said of the finished picture

    @cached_property
    def n_steps(self) -> int:
        """Decoder passes."""
        return sum(
            count_steps(self.config, int(window.hidden.sum()), len(window.hidden))
            for window in self.windows
        )


class OnnxEngine(Engine):
    """Draws from a weights folder.

    Pictures from text of one quality and about one length of text share their first square: rows
    of the same matrix products. No row sees another, and a text is padded to a length that it
    alone decides, so that a seed gives the same bytes alone and in company. All else is done
    picture by picture.
    """

    name = "onnx"
    abilities = ("edit", "vary")

    def __init__(self, folder: Path, threads: int = 0, batch: int = 8) -> None:
        """Raises WeightsError if the folder is missing, damaged, or of another kind."""
        self.network = OnnxNetwork(folder, threads)
        self.model = str(self.network.config["name"])
        self.max_concurrency = min(
            self.network.threads, _MAX_CONCURRENCY
        )  # a step runs on one core
        self.styles = [
            Style(**{**style, "words": tuple(style["words"])})
            for style in self.network.config.get("styles", ())
        ]
        self.nothing = np.array([[NULL]])  # the text of any picture
        self._batch = batch
        self._text = lru_cache(_MAX_TEXTS)(self._read_text)
        self._starts: WeakKeyDictionary[ImageRequest, Start] = WeakKeyDictionary()

    def count_cells(self, size: Size) -> int:
        """Cells of a picture of `size`."""
        return Canvas(size, self.network.shape.grid).n_cells

    def count_tokens(self, text: str) -> int:
        """Text tokens of a prompt, before any cut."""
        return len(self.network.text_tokenizer.encode(text))

    def batch_key(self, one: ImageTask) -> BatchKey:
        """Pictures from text share by quality and length of text, whatever their sizes."""
        if one.request.source is not None:
            return BatchKey(one, 1)
        config = self._config(one.request)
        key = config, self._prompt(one).shape[1]
        return BatchKey(key, max(1, min(self._batch, _MAX_ROWS // config.n_candidates)))

    def draw(self, wanted: Sequence[ImageTask]) -> Iterator[tuple[ImageTask, Event]]:
        """Draw pictures that share; see `engines.base.Engine`."""
        if cut_outs := [one for one in wanted if _is_cut_out(one.request)]:
            for one in cut_outs:
                yield from self._cut_out(one)
            wanted = [one for one in wanted if one not in cut_outs]
            if not wanted:
                return
        jobs = [self._job(one) for one in wanted]
        for job in jobs:
            if job.one.index == 0:
                yield from ((job.one, Notice(text)) for text in self._remarks(job))
        yield from self._draw_window(jobs, 0)
        for job in jobs:
            least = job.one.request.retry_below
            if least is not None and job.score < least and not job.one.is_dropped():
                yield from self._try_again(job)
            for i in range(1, len(job.windows)):
                if not job.one.is_dropped():
                    yield from self._draw_window([job], i)
            if not job.one.is_dropped():
                finished = self._finish(job)
                yield job.one, Progress(job.n_steps + 1, job.n_steps + 1, "drawing")
                if job.remark:
                    yield job.one, Notice(job.remark)
                yield job.one, finished

    def sampling(self, quality: str) -> SamplingConfig:
        """How a quality is drawn; chosen for the weights, and stored with them."""
        config = SamplingConfig(**self.network.config["sampling"][quality])
        # A step draws at least one cell, so there cannot be more steps than cells.
        return replace(config, n_steps=min(config.n_steps, self.network.shape.n_cells))

    def _config(self, request: ImageRequest) -> SamplingConfig:
        config = self.sampling(request.quality)
        return replace(config, n_candidates=request.best_of or config.n_candidates)

    def _job(self, one: ImageTask) -> _Job:
        request = one.request
        begun = self._starts.get(request)
        if begun is None:
            begun = self._starts[request] = start(self.network, request)
        hidden = begun.hidden_of(one.seed, one.index)
        return _Job(
            one,
            begun,
            self._config(request),
            self._prompt(one),
            plan(begun.canvas, hidden),
            begun.codes.copy(),
            ~hidden,
        )

    def _remarks(self, job: _Job) -> Iterator[str]:
        request = job.one.request
        if n_cut := self._text(request.prompt)[1]:
            yield (
                f"The prompt is longer than the {self.network.max_text - 1} tokens that "
                f"{self.model} reads; its last {n_cut} were not read"
            )
        if (
            isinstance(request.source, Edit)
            and request.source.given_mask is None
            and job.start.placed
        ):
            yield "No mask was given: what is clear in the picture was drawn, the rest kept"

    def _draw_window(self, jobs: list[_Job], i: int) -> Iterator[tuple[ImageTask, Event]]:
        """Draw window `i` of jobs; the last step leaves it in their codes."""
        for partial in self._partials(jobs, i):
            parts = np.split(partial.codes, len(jobs))
            for job, codes in zip(jobs, parts, strict=True):
                job.n_done += 1
                yield job.one, Progress(job.n_done, job.n_steps + 1, "drawing")
                if job.n_done in _preview_steps(job.n_steps, job.one.request.previews):
                    seen = self._preview(job, i, replace(partial, codes=codes))
                    yield job.one, Preview(job.one.index, seen, job.n_done, job.n_steps)
        for job, codes in zip(jobs, parts, strict=True):
            best = self._choose(job, codes) if i == 0 and not job.one.is_dropped() else 0
            places = job.windows[i].places
            job.codes[places], job.drawn[places] = codes[best], True

    def _choose(self, job: _Job, candidates: Ints) -> int:
        """The place of the best scored candidate (N, n_cells, n_groups), whose score is kept."""
        scores = self._scores(job, candidates)
        best = int(scores.argmax())
        job.score, job.n_tried = float(scores[best]), job.n_tried + len(candidates)
        return best

    def _try_again(self, job: _Job) -> Iterator[tuple[ImageTask, Event]]:
        """Draw as many candidates again, and keep the best of all."""
        score, codes = job.score, job.codes.copy()
        for partial in self._partials([job], 0):
            candidates = partial.codes
            # It may be left at each step, but the steps were counted with one try.
            yield job.one, Progress(job.n_done, job.n_steps + 1, "trying again")
        best = self._choose(job, candidates)
        if job.score > score:
            job.codes[job.windows[0].places] = candidates[best]
        else:
            job.score, job.codes = score, codes

    def _partials(self, jobs: list[_Job], i: int) -> Iterator[Partial]:
        """Draw window `i` on the jobs' codes so far; every job's candidates are rows."""
        first, window, shape = jobs[0], jobs[0].windows[i], self.network.shape
        rows = first.config.n_candidates if i == 0 else 1
        numbers = [
            self._numbers(job, k + (job.n_tried if i == 0 else 0))[job.windows[i].places]
            for job in jobs
            for k in range(rows)
        ]
        prompt, nothing, allowed_codes = np.concatenate([job.prompt for job in jobs]), None, None
        if i and first.one.request.source is None:
            # Told the prompt, or nothing, a further square would draw its subject once more.
            prompt = self.nothing
            allowed_codes = _corners(first.codes[first.windows[0].places], shape.grid)
        elif first.one.request.prompt:
            nothing = np.zeros_like(prompt)
            nothing[:, 0] = NULL
        return draw_codes(
            self.network,
            prompt.repeat(rows, axis=0),
            None if nothing is None else nothing.repeat(rows, axis=0),
            np.stack(numbers),
            first.config,
            None if window.hidden.all() else Known(first.codes[window.places], ~window.hidden),
            allowed_codes,
        )

    def _numbers(self, job: _Job, candidate: int) -> Floats:
        one, n_cells = job.one, job.start.canvas.n_cells
        return uniforms(one.seed, one.index, candidate, n_cells, self.network.shape.n_groups)

    def _prompt(self, one: ImageTask) -> Ints:
        """What is drawn, as tokens (1, T)."""
        if not one.request.prompt:
            return self.nothing
        return self._text(in_style(one.request.prompt, self.styles, one.seed, one.index))[0]

    def _read_text(self, prompt: str) -> tuple[Ints, int]:
        """Tokens (1, T), T decided by the prompt alone, and how many more there were."""
        tokens, cut = self.network.text_tokenizer.encode_padded([prompt], self.network.max_text)
        return tokens[:, : -(-int((tokens != 0).sum()) // _TEXT_STEP) * _TEXT_STEP], int(cut[0])

    def _scores(self, job: _Job, codes: Ints) -> Floats:
        """How well each candidate matches what is asked for, -1 to 1, by contrastive embeddings."""
        if isinstance(job.one.request.source, Variation):
            wanted = self.network.embed_image(job.start.codes[job.windows[0].places][None])
        else:
            wanted = self.network.embed_text(job.prompt)
        scores: Floats = self.network.embed_image(codes) @ wanted[0]
        return scores

    def _preview(self, job: _Job, i: int, partial: Partial) -> codec.Pixels:
        """The canvas with window `i` as it stands now, first candidate."""
        places = job.windows[i].places
        codes, drawn = job.codes.copy(), job.drawn.copy()
        codes[places], drawn[places] = partial.codes[0], partial.drawn
        whole = replace(partial, codes=codes[None], drawn=drawn)
        return self._picture(filled_in(whole, job.start.canvas.columns)[0], job, n_passes=1)

    def _finish(self, job: _Job) -> Picture:
        one, px = job.one, self.network.config["model"]["image_tokenizer"]["image_px"]
        shorter = min(one.request.size.width, one.request.size.height)
        finished = self._picture(job.codes, job, 1 if shorter <= px * _FACTOR else 2)
        if one.request.source is not None and one.request.background == "transparent":
            finished, job.remark = _without_ground(finished)
        return Picture(finished, one.request.prompt, one.seed, one.index, self.model, job.score)

    def _cut_out(self, one: ImageTask) -> Iterator[tuple[ImageTask, Event]]:
        """The picture that was sent, without its ground."""
        request = one.request
        assert request.source is not None
        nowhere = np.zeros(request.source.pixels.shape[:2], bool)
        pixels = inpainting.place(request.source.pixels, nowhere, request.size).pixels
        pixels, remark = _without_ground(pixels)
        yield one, Progress(1, 1, "drawing")
        yield one, Notice(remark or _NOTHING_DRAWN)
        yield one, Picture(pixels, request.prompt, one.seed, one.index, self.model)

    def _picture(self, codes: Ints, job: _Job, n_passes: int) -> codec.Pixels:
        """Codes (n_cells, n_groups) of the canvas as the picture that was asked for."""
        start = job.start
        if start.placed is not None:
            whole = picture_in(self.network, codes, start, n_passes)
        else:
            whole = picture(self.network, codes, start.canvas, n_passes)
            if start.behind is not None:
                whole = codec.over(whole, start.behind)
        if job.one.request.background == "opaque":
            whole = codec.over(whole, np.full_like(whole, 255))
        return whole


def _is_cut_out(request: ImageRequest) -> bool:
    """Whether a picture is to be given back without its ground, and nothing drawn."""
    source = request.source
    return (
        isinstance(source, Edit)
        and source.given_mask is None
        and request.background != "opaque"
        and ground.asks_only_to_clear(request.prompt)
    )


def _without_ground(pixels: codec.Pixels) -> tuple[codec.Pixels, str]:
    """A picture with its ground clear; else the same picture, and what to say of it."""
    found = ground.cleared(pixels)
    return (pixels, _GROUND_STAYS) if found is None else (found, "")


def _corners(codes: Ints, grid: int) -> Ints:
    """The codes (4, n_groups) at a square's corners, where there is background if anywhere."""
    return codes[[0, grid - 1, grid * (grid - 1), grid**2 - 1]]


def _preview_steps(n_steps: int, n_previews: int) -> set[int]:
    """After which steps to show how far a picture is: evenly, and never after the last."""
    return {n_steps * (i + 1) // (n_previews + 1) for i in range(n_previews)} - {0, n_steps}
