"""The default engine: limner's own transformer on the CPU, with NumPy and ONNX Runtime alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from limner.arrays import Bools, Floats, Ints, Pixels
from limner.engines.base import (
    NEVER,
    BatchKey,
    CancelToken,
    Capabilities,
    Engine,
    Event,
    ImageTask,
    Notice,
    Picture,
    Preview,
    Progress,
)
from limner.engines.transformer.close_up import CloseUp, close_up
from limner.engines.transformer.conditioning import Start, start
from limner.engines.transformer.image_codes import cell_px
from limner.engines.transformer.onnx_backend import OnnxNetwork
from limner.engines.transformer.postprocess import picture, picture_in, scene_picture
from limner.engines.transformer.scenes import Scene, SceneDrawer, draws_scenes
from limner.imaging import codec
from limner.request import (
    Edit,
    ImageRequest,
    Size,
    Variation,
)
from limner.sampling import ground, inpainting
from limner.sampling.canvas import Canvas, Window, plan
from limner.sampling.decoding import Known, Partial, count_steps, draw_codes, filled_in
from limner.sampling.revising import count_revise_steps, revise_codes
from limner.sampling.sampling import DRAWING, REVISING, SamplingConfig, uniforms
from limner.text.styles import Style, in_style
from limner.text.text_tokenizer import NULL

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
    cancel: CancelToken
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


class OnnxEngine(Engine):
    """Draws from a weights folder.

    Pictures from text of one quality and about one length of text share their first square: rows
    of the same matrix products. No row sees another, and a text is padded to a length that it
    alone decides, so that a seed gives the same bytes alone and in company. All else is done
    picture by picture.
    """

    name = "onnx"

    def __init__(self, folder: Path, threads: int = 0, batch: int = 8) -> None:
        """Raises WeightsError if the folder is missing, damaged, or of another kind."""
        self.network = OnnxNetwork(folder, threads)
        self.model = str(self.network.config["name"])
        # A step runs on one core.
        self.max_concurrency = min(self.network.threads, _MAX_CONCURRENCY)
        self.styles = [
            Style(**{**style, "words": tuple(style["words"])})
            for style in self.network.config.get("styles", ())
        ]
        # Only weights that say so: a photograph would fall into blotches.
        self.draws_flat_art = self.network.config.get("art") == "flat"
        self.nothing = np.array([[NULL]])  # the text of any picture
        self._scenes = (
            SceneDrawer(self.network, self.styles) if draws_scenes(self.network) else None
        )
        self._batch = batch
        self.capabilities = Capabilities(
            edit=True,
            vary=True,
            mask=True,
            max_batch=max(1, min(batch, _MAX_ROWS)),
            previews=True,
            transparent=True,
            flat_art=self.draws_flat_art,
            score=True,
        )
        self._text = lru_cache(_MAX_TEXTS)(self._read_text)
        self._starts: WeakKeyDictionary[ImageRequest, Start] = WeakKeyDictionary()
        self._parts: WeakKeyDictionary[ImageRequest, CloseUp | None] = WeakKeyDictionary()

    def count_cells(self, size: Size) -> int:
        """Cells of a picture of `size`."""
        return Canvas(size, self.network.shape.grid).n_cells

    def count_tokens(self, text: str) -> int:
        """Text tokens of a prompt, before any cut."""
        return len(self.network.text_tokenizer.encode(text))

    def batch_key(self, task: ImageTask) -> BatchKey:
        """Pictures from text share by quality and length of text, whatever their sizes."""
        if task.request.source is not None or self.scene(task) is not None:
            return BatchKey(task, 1)
        config = self._config(task.request)
        key = config, self._prompt(task).shape[1]
        return BatchKey(key, max(1, min(self._batch, _MAX_ROWS // config.n_candidates)))

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Draw pictures that share; see `engines.base.Engine`."""
        if cut_outs := [task for task in tasks if _is_cut_out(task.request)]:
            for task in cut_outs:
                yield from self._cut_out(task)
            tasks = [task for task in tasks if task not in cut_outs]
            if not tasks:
                return
        if len(tasks) == 1 and (scene := self.scene(tasks[0])):
            yield from self._draw_scene(tasks[0], scene, cancel)
            return
        if len(tasks) == 1 and (part := self._close_up(tasks[0].request)):
            yield from self._draw_part(tasks[0], part, cancel)
            return
        jobs = [self._job(task, cancel) for task in tasks]
        for job in jobs:
            if job.one.index == 0:
                yield from ((job.one, Notice(text)) for text in self._remarks(job))
        yield from self._draw_window(jobs, 0)
        for job in jobs:
            least = job.one.request.retry_below
            if least is not None and job.score < least and not job.is_cancelled:
                yield from self._try_again(job)
        yield from self._revise(jobs, 0)
        for job in jobs:
            for i in range(1, len(job.windows)):
                if not job.is_cancelled:
                    yield from self._draw_window([job], i)
                    yield from self._revise([job], i)
            if not job.is_cancelled:
                finished = self._finish(job)
                yield job.one, Progress(job.n_steps + 1, job.n_steps + 1, "drawing")
                if job.remark:
                    yield job.one, Notice(job.remark)
                yield job.one, finished

    def _close_up(self, request: ImageRequest) -> CloseUp | None:
        """The part of an edit that is drawn by itself; the same for all pictures of a request."""
        if request not in self._parts:
            self._parts[request] = close_up(request)
        return self._parts[request]

    def _draw_part(
        self, one: ImageTask, part: CloseUp, cancel: CancelToken
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Draw a part of an edit, and set it into the whole."""
        task = ImageTask(part.request, one.index, one.id)  # equal to `one`, and cancelled with it
        for _, event in self.draw([task], cancel):
            if isinstance(event, Picture | Preview):
                whole = part.pasted(event.pixels)
                if one.request.background == "opaque":
                    whole = codec.over(whole, np.full_like(whole, 255))
                yield one, replace(event, pixels=whole)
            else:
                yield one, event

    def scene(self, one: ImageTask) -> Scene | None:
        """The scene that a picture from text shows, if it names several things."""
        if self._scenes is None or one.request.source is not None:
            return None
        return self._scenes.scene(one)

    def _draw_scene(
        self, one: ImageTask, scene: Scene, cancel: CancelToken
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Draw a scene by itself; one candidate unless the request asks for more."""
        assert self._scenes
        request, config = one.request, self.sampling(one.request.quality)
        if one.index == 0:
            yield from ((one, Notice(text)) for text in self._cut(request.prompt))
        n, n_steps, best, tries = request.best_of or 1, scene.n_steps(config), -2.0, 0
        while tries == 0 or (
            tries == 1 and request.retry_below is not None and best < request.retry_below
        ):
            stage = "trying again" if tries else "drawing"
            for partial in self._scenes.draw(scene, one, config, range(tries * n, (tries + 1) * n)):
                done = n_steps if tries else partial.done
                yield one, Progress(done, n_steps + 1, stage)
                if not tries and done in _preview_steps(n_steps, request.previews):
                    seen = self._scene_picture(scene, partial.codes[0], request.size, 0, False)
                    yield one, Preview(one.index, _on(seen, scene, request), done, n_steps)
            scores = self._scenes.scores(scene, partial.codes)
            if scores.max() > best:
                best, codes = float(scores.max()), partial.codes[scores.argmax()]
            tries += 1
        if cancel.is_cancelled(one):
            return
        px = min(scene.layout.columns, scene.layout.rows) * cell_px(self.network)
        n_passes = 1 if min(request.size.width, request.size.height) <= px * _FACTOR else 2
        whole = self._scene_picture(scene, codes, request.size, n_passes, self.draws_flat_art)
        yield one, Progress(n_steps + 1, n_steps + 1, "drawing")
        whole = _on(whole, scene, request)
        yield one, Picture(whole, request.prompt, one.seed, one.index, self.model, best)

    def _scene_picture(
        self, scene: Scene, codes: Ints, size: Size, n_passes: int, is_flat: bool
    ) -> Pixels:
        assert self._scenes
        small, px = self._scenes.pixels(scene, codes), cell_px(self.network)
        left, top, right, bottom = scene.box
        box = left * px, top * px, right * px, bottom * px
        return scene_picture(self.network, small, box, size, n_passes, is_flat=is_flat)

    def sampling(self, quality: str) -> SamplingConfig:
        """How a quality is drawn; chosen for the weights, and stored with them."""
        config = SamplingConfig(**self.network.config["sampling"][quality])
        # A step draws at least one cell, so there cannot be more steps than cells.
        return replace(config, n_steps=min(config.n_steps, self.network.shape.n_cells))

    def _config(self, request: ImageRequest) -> SamplingConfig:
        config = self.sampling(request.quality)
        return replace(config, n_candidates=request.best_of or config.n_candidates)

    def _job(self, one: ImageTask, cancel: CancelToken) -> _Job:
        request = one.request
        begun = self._starts.get(request)
        if begun is None:
            begun = self._starts[request] = start(self.network, request)
        hidden = begun.hidden_of(one.seed, one.index)
        return _Job(
            one,
            cancel,
            begun,
            self._config(request),
            self._prompt(one),
            plan(begun.canvas, hidden),
            begun.codes.copy(),
            ~hidden,
        )

    def _remarks(self, job: _Job) -> Iterator[str]:
        request = job.one.request
        yield from self._cut(request.prompt)
        if (
            isinstance(request.source, Edit)
            and request.source.given_mask is None
            and job.start.placed
        ):
            yield "No mask was given: what is clear in the picture was drawn, the rest kept"

    def _cut(self, prompt: str) -> Iterator[str]:
        if n_cut := self._text(prompt)[1]:
            yield (
                f"The prompt is longer than the {self.network.max_text - 1} tokens that "
                f"{self.model} reads; its last {n_cut} were not read"
            )

    def _draw_window(self, jobs: list[_Job], i: int) -> Iterator[tuple[ImageTask, Event]]:
        """Draw window `i` of jobs; the last step leaves it in their codes."""
        for partial in self._partials(jobs, i):
            yield from self._told(jobs, i, partial)
        parts = np.split(partial.codes, len(jobs))
        for job, codes in zip(jobs, parts, strict=True):
            best = self._choose(job, codes) if i == 0 and not job.is_cancelled else 0
            places = job.windows[i].places
            job.codes[places], job.drawn[places] = codes[best], True

    def _revise(self, jobs: list[_Job], i: int) -> Iterator[tuple[ImageTask, Event]]:
        """Look at window `i` of jobs once more, and draw its least likely cells anew."""
        first = jobs[0]
        n_steps = count_revise_steps(first.config, int(first.windows[i].hidden.sum()))
        if not n_steps or not first.is_told(i):
            return
        places = [job.windows[i].places for job in jobs]
        prompt, nothing = self._texts(jobs)
        partials = revise_codes(
            self.network,
            prompt,
            nothing,
            np.stack([job.codes[own] for job, own in zip(jobs, places, strict=True)]),
            first.windows[i].hidden,
            np.stack(
                [
                    self._numbers(job, 0, REVISING)[own]
                    for job, own in zip(jobs, places, strict=True)
                ]
            ),
            first.config,
        )
        for partial in partials:
            yield from self._told(jobs, i, partial)
        for job, own, codes in zip(jobs, places, partial.codes, strict=True):
            job.codes[own] = codes
            if i == 0:
                job.score = float(self._scores(job, codes[None])[0])

    def _told(
        self, jobs: list[_Job], i: int, partial: Partial
    ) -> Iterator[tuple[ImageTask, Event]]:
        """A step of window `i` of jobs, whose candidates are the rows of `partial`."""
        for job, codes in zip(jobs, np.split(partial.codes, len(jobs)), strict=True):
            job.n_done += 1
            yield job.one, Progress(job.n_done, job.n_steps + 1, "drawing")
            if job.n_done in _preview_steps(job.n_steps, job.one.request.previews):
                seen = self._preview(job, i, replace(partial, codes=codes))
                yield job.one, Preview(job.one.index, seen, job.n_done, job.n_steps)

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
        (prompt, nothing), allowed_codes = self._texts(jobs), None
        if not first.is_told(i):
            prompt, nothing = self.nothing, None
            allowed_codes = _corners(first.codes[first.windows[0].places], shape.grid)
        return draw_codes(
            self.network,
            prompt.repeat(rows, axis=0),
            None if nothing is None else nothing.repeat(rows, axis=0),
            np.stack(numbers),
            first.config,
            None if window.hidden.all() else Known(first.codes[window.places], ~window.hidden),
            allowed_codes,
        )

    def _texts(self, jobs: list[_Job]) -> tuple[Ints, Ints | None]:
        """What jobs draw, (B, T), and no prompt beside it for guidance, if there is a prompt."""
        prompt = np.concatenate([job.prompt for job in jobs])
        if not jobs[0].one.request.prompt:
            return prompt, None
        nothing = np.zeros_like(prompt)
        nothing[:, 0] = NULL
        return prompt, nothing

    def _numbers(self, job: _Job, candidate: int, purpose: int = DRAWING) -> Floats:
        one, n_cells, n_groups = job.one, job.start.canvas.n_cells, self.network.shape.n_groups
        return uniforms(one.seed, one.index, candidate, n_cells, n_groups, purpose)

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

    def _preview(self, job: _Job, i: int, partial: Partial) -> Pixels:
        """The canvas with window `i` as it stands now, first candidate."""
        places = job.windows[i].places
        codes, drawn = job.codes.copy(), job.drawn.copy()
        codes[places], drawn[places] = partial.codes[0], partial.drawn
        whole = replace(partial, codes=codes[None], drawn=drawn)
        return self._picture(filled_in(whole, job.start.canvas.columns)[0], job, n_passes=1)

    def _finish(self, job: _Job) -> Picture:
        one, px = job.one, self.network.config["model"]["image_tokenizer"]["image_px"]
        shorter = min(one.request.size.width, one.request.size.height)
        n_passes = 1 if shorter <= px * _FACTOR else 2
        finished = self._picture(job.codes, job, n_passes, is_flat=self.draws_flat_art)
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

    def _picture(self, codes: Ints, job: _Job, n_passes: int, *, is_flat: bool = False) -> Pixels:
        """Codes (n_cells, n_groups) of the canvas as the picture that was asked for."""
        start = job.start
        if start.placed is not None:
            whole = picture_in(self.network, codes, start, n_passes, is_flat=is_flat)
        else:
            whole = picture(self.network, codes, start.canvas, n_passes, is_flat=is_flat)
            if start.behind is not None:
                whole = codec.over(whole, start.behind)
        if job.one.request.background == "opaque":
            whole = codec.over(whole, np.full_like(whole, 255))
        return whole


def _on(whole: Pixels, scene: Scene, request: ImageRequest) -> Pixels:
    """A scene's picture on the ground that its prompt names, or that the request asks for."""
    ground = scene.ground or ((255, 255, 255) if request.background == "opaque" else None)
    if ground is None or request.background == "transparent":
        return whole
    behind = np.empty_like(whole)
    behind[:] = (*ground, 255)
    return codec.over(whole, behind)


def _is_cut_out(request: ImageRequest) -> bool:
    """Whether a picture is to be given back without its ground, and nothing drawn."""
    source = request.source
    return (
        isinstance(source, Edit)
        and source.given_mask is None
        and request.background != "opaque"
        and ground.asks_only_to_clear(request.prompt)
    )


def _without_ground(pixels: Pixels) -> tuple[Pixels, str]:
    """A picture with its ground clear; else the same picture, and what to say of it."""
    found = ground.cleared(pixels)
    return (pixels, _GROUND_STAYS) if found is None else (found, "")


def _corners(codes: Ints, grid: int) -> Ints:
    """The codes (4, n_groups) at a square's corners, where there is background if anywhere."""
    return codes[[0, grid - 1, grid * (grid - 1), grid**2 - 1]]


def _preview_steps(n_steps: int, n_previews: int) -> set[int]:
    """After which steps to show how far a picture is: evenly, and never after the last."""
    return {n_steps * (i + 1) // (n_previews + 1) for i in range(n_previews)} - {0, n_steps}
