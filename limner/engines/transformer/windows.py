"""Squares of pictures, drawn step by step: candidates, the best of them, a second look.

The jobs that share a call have the same config, the same length of text and, after the first
window, are alone; their candidates are rows of the same matrix products.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from limner.arrays import Floats, Ints
from limner.engines.base import Event, ImageTask, Preview, Progress
from limner.engines.transformer.backend import Backend
from limner.engines.transformer.job import Job
from limner.engines.transformer.prompts import Prompts, no_prompt
from limner.engines.transformer.qualities import preview_steps
from limner.request import Variation
from limner.sampling.decoding import Known, Partial, draw_codes
from limner.sampling.revising import count_revise_steps, revise_codes
from limner.sampling.sampling import REVISING

Events = Iterator[tuple[ImageTask, Event]]


class WindowDrawer:
    """Draws the windows of jobs with a backend."""

    def __init__(self, backend: Backend, prompts: Prompts) -> None:
        self._backend, self._prompts = backend, prompts

    def draw(self, jobs: list[Job], i: int) -> Events:
        """Draw window `i` of jobs; the last step leaves it in their codes."""
        for partial in self._partials(jobs, i):
            yield from self._told(jobs, i, partial)
        parts = np.split(partial.codes, len(jobs))
        for job, codes in zip(jobs, parts, strict=True):
            best = self._choose(job, codes) if i == 0 and not job.is_cancelled else 0
            positions = job.windows[i].positions
            job.codes[positions], job.drawn[positions] = codes[best], True

    def try_again(self, job: Job) -> Events:
        """Draw as many candidates of the first window again, and keep the best of all."""
        score, codes = job.score, job.codes.copy()
        yield from self.draw_again(job)
        if job.score <= score:
            job.score, job.codes = score, codes

    def draw_again(self, job: Job) -> Events:
        """Draw the first window again, with candidates that were not drawn before."""
        for partial in self._partials([job], 0):
            candidates = partial.codes
            # It may be left at each step, but the steps were counted with one try.
            yield job.one, Progress(job.n_done, job.n_steps + 1, "trying again")
        best = self._choose(job, candidates)
        job.codes[job.windows[0].positions] = candidates[best]

    def revise(self, jobs: list[Job], i: int) -> Events:
        """Look at window `i` of jobs once more, and draw its least likely cells anew."""
        first = jobs[0]
        n_steps = count_revise_steps(first.config, int(first.windows[i].hidden.sum()))
        if not n_steps or not first.is_told(i):
            return
        prompt, nothing = self._texts(jobs)
        partials = revise_codes(
            self._backend,
            prompt,
            nothing,
            np.stack([job.codes[job.windows[i].positions] for job in jobs]),
            first.windows[i].hidden,
            np.stack([job.numbers(i, 0, REVISING) for job in jobs]),
            first.config,
        )
        for partial in partials:
            yield from self._told(jobs, i, partial)
        for job, codes in zip(jobs, partial.codes, strict=True):
            job.codes[job.windows[i].positions] = codes
            if i == 0:
                job.score = float(self._scores(job, codes[None])[0])

    def _told(self, jobs: list[Job], i: int, partial: Partial) -> Events:
        """A step of window `i` of jobs, whose candidates are the rows of `partial`."""
        for job, codes in zip(jobs, np.split(partial.codes, len(jobs)), strict=True):
            job.n_done += 1
            yield job.one, Progress(job.n_done, job.n_steps + 1, "drawing")
            if job.n_done in preview_steps(job.n_steps, job.one.request.previews):
                seen = job.preview(self._backend, i, replace(partial, codes=codes))
                yield job.one, Preview(job.one.index, seen, job.n_done, job.n_steps)

    def _partials(self, jobs: list[Job], i: int) -> Iterator[Partial]:
        """Draw window `i` on the jobs' codes so far; every job's candidates are rows."""
        first, window = jobs[0], jobs[0].windows[i]
        rows = first.config.n_candidates if i == 0 else 1
        numbers = [
            job.numbers(i, k + (job.n_tried if i == 0 else 0)) for job in jobs for k in range(rows)
        ]
        (prompt, nothing), allowed_codes = self._texts(jobs), None
        if not first.is_told(i):
            prompt, nothing = self._prompts.nothing, None
            grid = self._backend.shape.grid
            allowed_codes = _corners(first.codes[first.windows[0].positions], grid)
        return draw_codes(
            self._backend,
            prompt.repeat(rows, axis=0),
            None if nothing is None else nothing.repeat(rows, axis=0),
            np.stack(numbers),
            first.config,
            None if window.hidden.all() else Known(first.codes[window.positions], ~window.hidden),
            allowed_codes,
        )

    def _texts(self, jobs: list[Job]) -> tuple[Ints, Ints | None]:
        """What jobs draw, (B, T), and no prompt beside it for guidance, if there is a prompt."""
        prompt = np.concatenate([job.prompt for job in jobs])
        return prompt, no_prompt(prompt) if jobs[0].one.request.prompt else None

    def _choose(self, job: Job, candidates: Ints) -> int:
        """The index of the best scored candidate (N, n_cells, n_groups), whose score is kept."""
        scores = self._scores(job, candidates)
        best = int(scores.argmax())
        job.score, job.n_tried = float(scores[best]), job.n_tried + len(candidates)
        return best

    def _scores(self, job: Job, codes: Ints) -> Floats:
        """How well each candidate matches what is asked for, -1 to 1, by contrastive embeddings."""
        if isinstance(job.one.request.source, Variation):
            source = job.start.codes[job.windows[0].positions]
            wanted = self._backend.embed_image(source[None])
        else:
            wanted = self._backend.embed_text(job.prompt)
        scores: Floats = self._backend.embed_image(codes) @ wanted[0]
        return scores


def _corners(codes: Ints, grid: int) -> Ints:
    """The codes (4, n_groups) at a square's corners, where there is background if anywhere."""
    return codes[[0, grid - 1, grid * (grid - 1), grid**2 - 1]]
