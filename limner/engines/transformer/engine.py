"""The engine of limner's own transformer: batches pictures and dispatches each to its drawer."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

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
from limner.engines.transformer import qualities
from limner.engines.transformer.backend import Backend, image_px
from limner.engines.transformer.backends import choose
from limner.engines.transformer.conditioning import Start, start
from limner.engines.transformer.edits import other_ground, recolour, scene_anew
from limner.engines.transformer.edits.close_up import CloseUp, close_up
from limner.engines.transformer.edits.each_thing import EachThing, each_thing, vary_each
from limner.engines.transformer.edits.what_is_there import ThingsThere
from limner.engines.transformer.job import Job
from limner.engines.transformer.prompts import Prompts
from limner.engines.transformer.scenes.drawing import SceneDrawer
from limner.engines.transformer.scenes.scene import Scene
from limner.engines.transformer.scenes.user_boxes import BOXES, BoxDrawer, given_boxes
from limner.engines.transformer.windows import Events, WindowDrawer
from limner.imaging import codec
from limner.request import ImageRequest, Size
from limner.sampling.canvas import Canvas, plan
from limner.sampling.sampling import SamplingConfig
from limner.storage.checkpoints import weights

if TYPE_CHECKING:
    from limner.settings import Settings

_MAX_ROWS = 16  # of a batch, candidates counted: with more, a step takes as much longer
_MAX_CONCURRENCY = 4  # each holds a batch and a picture that is enlarged in memory


class TransformerEngine(Engine):
    """Draws with the networks of a backend.

    Pictures from text of one quality and about one length of text share their first square: rows
    of the same matrix products. No row sees another, and a text is padded to a length that it
    alone decides, so that a seed gives the same picture alone and in company. The cells of scenes
    of equal sizes are drawn together in the same way. All else is done picture by picture.
    """

    name = "transformer"

    def __init__(self, backend: Backend, batch: int = 8) -> None:
        """batch: pictures drawn together at most."""
        self.backend = backend
        self.model = str(backend.config["name"])
        # A step runs on one core.
        self.max_concurrency = min(backend.threads, _MAX_CONCURRENCY)
        # Only weights that say so: a photograph would fall into blotches.
        self.draws_flat_art = backend.config.get("art") == "flat"
        self._prompts = Prompts(backend)
        self.capabilities = Capabilities(
            edit=True,
            vary=True,
            mask=True,
            max_batch=max(1, min(batch, _MAX_ROWS)),
            previews=True,
            transparent=True,
            flat_art=self.draws_flat_art,
            score=True,
            options=(BOXES,),
            styles=tuple((style.en, style.zh) for style in self._prompts.styles),
        )
        self._batch = batch
        self._windows = WindowDrawer(backend, self._prompts)
        self._scenes = SceneDrawer.of(backend, self._prompts)
        self._boxes = BoxDrawer(self, self._prompts)
        self._there = ThingsThere(backend)
        self._starts: WeakKeyDictionary[ImageRequest, Start] = WeakKeyDictionary()
        self._apart: WeakKeyDictionary[ImageRequest, EachThing | None] = WeakKeyDictionary()
        self._parts: WeakKeyDictionary[ImageRequest, CloseUp | None] = WeakKeyDictionary()

    @classmethod
    def load(
        cls,
        folder: Path,
        threads: int = 0,
        batch: int = 8,
        *,
        backend: str = "auto",
        device: str = "auto",
    ) -> TransformerEngine:
        """Draw from a weights folder; `backends.choose.load` says what is chosen and raised."""
        return cls(choose.load(folder, backend, device, threads), batch)

    def count_cells(self, size: Size) -> int:
        """Cells of a picture of `size`."""
        return Canvas(size, self.backend.shape.grid).n_cells

    def count_tokens(self, text: str) -> int:
        """Text tokens of a prompt, before any cut."""
        return self._prompts.count_tokens(text)

    def sampling(self, quality: str) -> SamplingConfig:
        """How a quality is drawn."""
        return qualities.sampling(self.backend, quality)

    def scene(self, one: ImageTask) -> Scene | None:
        """The scene that a picture from text shows, if it names several things, in no given box."""
        if self._scenes is None or one.request.source is not None or given_boxes(one.request):
            return None
        return self._scenes.scene(one)

    def batch_key(self, task: ImageTask) -> BatchKey:
        """Pictures from text share by quality and length of text, whatever their sizes.

        Scenes share if as many cells of as many things are drawn, wherever these are.
        """
        request = task.request
        if request.source is not None or given_boxes(request):
            return BatchKey(task, 1)
        config = self._config(request)
        if self._scenes and (scene := self.scene(task)):
            config = replace(config, n_candidates=request.best_of or 1)
            key: Hashable = config, self._scenes.share_key(scene, task)
        else:
            key = config, self._prompts.tokens(task).shape[1]
        return BatchKey(key, max(1, min(self._batch, _MAX_ROWS // config.n_candidates)))

    def draw(self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER) -> Events:
        """Draw pictures that share; see `engines.base.Engine`."""
        left = []
        for task in tasks:
            events = self._edited_pixels(task)
            if not events:
                drawn, events = self._drawn_for(task)
                left.append(drawn)
            yield from ((task, event) for event in events)
        if len(left) == 1:
            yield from self._draw_alone(left[0], cancel)
        elif left:
            yield from self._draw_together(left, cancel)

    def _edited_pixels(self, task: ImageTask) -> list[Event]:
        """All events of an edit that changes only the ground or a colour; none for other tasks."""
        if ground := other_ground.wish(task.request, self._prompts.reading):
            return [*other_ground.on_other_ground(task, ground, self.model)]
        if wish := recolour.wish(task.request):
            return [*recolour.recoloured(task, wish, self.model)]
        return []

    def _drawn_for(self, task: ImageTask) -> tuple[ImageTask, list[Event]]:
        """What the network draws for a task, and what is said of it."""
        request = task.request
        if recolour.wish(request):
            request = recolour.drawn_anew(request)
        if self._scenes and not given_boxes(request):
            scene = scene_anew.as_scene(request, self._prompts.reading)
            if scene:
                remarks: list[Event] = [Notice(scene_anew.DRAWN_ANEW)] if task.index == 0 else []
                return replace(task, request=scene), remarks
        return replace(task, request=request), []

    def _draw_alone(self, one: ImageTask, cancel: CancelToken) -> Events:
        """Draw a picture that may be a scene, or an edit of a small part."""
        if given_boxes(one.request):
            yield from ((one, event) for event in self._boxes.draw(one, cancel))
        elif part := self._close_up(one.request):
            yield from self._draw_part(one, part, cancel)
        elif found := self._things_apart(one.request):
            yield from ((one, event) for event in vary_each(self, one, found, cancel))
        else:
            yield from self._draw_together([one], cancel)

    def _draw_together(self, tasks: Sequence[ImageTask], cancel: CancelToken) -> Events:
        """Draw pictures that are all scenes, or none."""
        scenes = [(task, scene) for task in tasks if (scene := self.scene(task))]
        self.backend.load_ahead(layouts=bool(scenes))
        if scenes and self._scenes:
            config = self.sampling(tasks[0].request.quality)
            yield from self._scenes.draw(scenes, config, cancel)
        else:
            yield from self._draw_squares(tasks, cancel)

    def _close_up(self, request: ImageRequest) -> CloseUp | None:
        """The part of an edit that is drawn by itself; the same for all pictures of a request."""
        if request not in self._parts:
            part = close_up(request)
            self._parts[request] = part and self._of_what_is_there(part)
        return self._parts[request]

    def _of_what_is_there(self, part: CloseUp) -> CloseUp | None:
        """A part whose prompt leaves out what the picture has.

        None if the picture has all of it and the mask cuts some: the whole is then drawn on.
        """
        reading = self._prompts.reading(part.request.prompt)
        there = self._there.of(part, reading)
        if there is None:
            return part
        if not there.left:
            return None
        request = replace(part.request, prompt=there.left)
        return replace(part, request=request, there=there.names)

    def _things_apart(self, request: ImageRequest) -> EachThing | None:
        """The things of a variation's source, if there are several on a plain ground."""
        if request not in self._apart:
            self._apart[request] = each_thing(request)
        return self._apart[request]

    def _draw_part(self, one: ImageTask, part: CloseUp, cancel: CancelToken) -> Events:
        """Draw a part of an edit, and set it into the whole."""
        task = replace(one, request=part.request)  # equal to `one`, and cancelled with it
        if part.there and one.index == 0:
            yield one, Notice(part.remark())
        for _, event in self.draw([task], cancel):
            if isinstance(event, Picture | Preview):
                whole = part.pasted(event.pixels)
                if one.request.background == "opaque":
                    whole = codec.over(whole, np.full_like(whole, 255))
                event = replace(event, pixels=whole)
                if isinstance(event, Picture):
                    event = replace(event, prompt=one.request.prompt)
                yield one, event
            else:
                yield one, event

    def _draw_squares(self, tasks: Sequence[ImageTask], cancel: CancelToken) -> Events:
        """Draw pictures square by square: the first one of all together, the others of each."""
        jobs = [self._job(task, cancel) for task in tasks]
        for job in jobs:
            if job.one.index == 0:
                yield from ((job.one, Notice(text)) for text in self._remarks(job))
        yield from self._windows.draw(jobs, 0)
        for job in jobs:
            if not job.is_cancelled and not job.takes_paint(self.backend):
                job.prompt = self._prompts.told_colour(job.one)
                job.adjustment = replace(job.adjustment, colour=None)
                yield from self._windows.draw_again(job)
        for job in jobs:
            least = job.one.request.retry_below
            if least is not None and job.score < least and not job.is_cancelled:
                yield from self._windows.try_again(job)
        yield from self._windows.revise(jobs, 0)
        for job in jobs:
            for i in range(1, len(job.windows)):
                if not job.is_cancelled:
                    yield from self._windows.draw([job], i)
                    yield from self._windows.revise([job], i)
            if not job.is_cancelled:
                yield from self._finish(job)

    def _job(self, one: ImageTask, cancel: CancelToken) -> Job:
        request = one.request
        begun = self._starts.get(request)
        if begun is None:
            begun = self._starts[request] = start(self.backend, request)
        hidden = begun.hidden_of(one.seed, one.index)
        return Job(
            one,
            cancel,
            begun,
            self._config(request),
            self._prompts.tokens(one),
            plan(begun.canvas, hidden),
            begun.codes.copy(),
            ~hidden,
            self._prompts.said(request).ground,
            self._prompts.is_outlined(request),
            self._prompts.adjustment(one),
        )

    def _config(self, request: ImageRequest) -> SamplingConfig:
        config = self.sampling(request.quality)
        return replace(config, n_candidates=request.best_of or config.n_candidates)

    def _remarks(self, job: Job) -> Iterator[str]:
        if remark := self._prompts.remark(job.one.request):
            yield remark
        yield from job.remarks()

    def _finish(self, job: Job) -> Events:
        """The finished picture of a job, and what is to be said of it."""
        one, request, remark = job.one, job.one.request, ""
        shorter = min(request.size.width, request.size.height)
        n_passes = qualities.count_passes(image_px(self.backend), shorter)
        pixels = job.picture(self.backend, job.codes, n_passes, is_flat=self.draws_flat_art)
        if request.source is not None and request.background == "transparent":
            pixels, remark = other_ground.without_ground(pixels)
        yield one, Progress(job.n_steps + 1, job.n_steps + 1, "drawing")
        if remark:
            yield one, Notice(remark)
        yield one, Picture(pixels, request.prompt, one.seed, one.index, self.model, job.score)


def build(settings: Settings) -> TransformerEngine:
    """The engine that the settings describe."""
    folder = weights.find(settings.weights)
    return TransformerEngine.load(
        folder,
        settings.threads,
        settings.batch,
        backend=settings.backend,
        device=settings.device,
    )
