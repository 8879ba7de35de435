"""The loop: draw, look, apply the advice, draw again. Of at most three drawings the best is kept.

The same head scores candidates while an engine draws and looks here, so a drawing that is good
enough for it need not be so for an independent judge: see docs/how-to/refine.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from limner.arrays import Pixels
from limner.engines.base import (
    NEVER,
    BatchKey,
    CancelToken,
    Engine,
    Event,
    ImageTask,
    Notice,
    Picture,
    Progress,
)
from limner.recognition.checks import Check
from limner.recognition.look import Look
from limner.request import ImageRequest

MAX_ROUNDS = 3
BEST_OF = (4, 8)  # candidates of the second and of the third drawing, unless more are asked for

LookAt = Callable[[Pixels, str], Look]


@dataclass(frozen=True, eq=False)
class Attempt:
    """One drawing and what a look at it said."""

    request: ImageRequest
    picture: Picture
    look: Look

    @property
    def is_good(self) -> bool:
        """Whether all that was asked for is there; words that are unknown do not count."""
        return not self.unmet

    @property
    def unmet(self) -> list[Check]:
        """The checks that do not hold."""
        return [check for check in self.look.checks if not check.is_met]

    @property
    def rank(self) -> tuple[int, float]:
        """Larger is better."""
        return -len(self.unmet), self.look.match or 0.0

    def told(self, asked: ImageRequest) -> dict[str, Any]:
        """What was tried, as plain values; those with a part of the prompt are named for it."""
        about: dict[str, Any] = {"seed": self.request.seed}
        if self.request.best_of != asked.best_of:
            about["best_of"] = self.request.best_of
        if self.request.prompt != asked.prompt:
            about["prompt"] = self.request.prompt
        if self.unmet:
            about["prompt_unmet"] = [check.words for check in self.unmet]
        return about


class Refining(Engine):
    """An engine whose pictures are looked at; draws those again that are not good enough.

    Only pictures of requests with `refine`. The result depends on what an engine's pictures depend
    on, so a seed gives the same picture again.
    """

    def __init__(self, engine: Engine, look: LookAt) -> None:
        self._engine, self._look = engine, look
        self.name, self.model = engine.name, engine.model
        self.max_concurrency, self.capabilities = engine.max_concurrency, engine.capabilities

    def batch_key(self, task: ImageTask) -> BatchKey:
        """That of the engine."""
        return self._engine.batch_key(task)

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Draw `tasks` together, then those again that are not good enough, one by one."""
        begun: list[tuple[ImageTask, Attempt]] = []
        for task, event in self._engine.draw(tasks, cancel):
            if not task.request.refine:
                yield task, event
            elif isinstance(event, Picture):
                begun.append((task, self._attempt(task, task.request, event)))
            else:
                yield task, _in_round(event, 0)
        for task, first in begun:
            yield from ((task, event) for event in self._refined(task, first, cancel))

    def _refined(self, task: ImageTask, first: Attempt, cancel: CancelToken) -> Iterator[Event]:
        attempts = [first]
        while len(attempts) < MAX_ROUNDS and not attempts[-1].is_good:
            request = next_request(task.request, attempts)
            again = replace(task, request=request)  # equal to `task`, and cancelled with it
            drawn = None
            for _, event in self._engine.draw([again], cancel):
                if isinstance(event, Progress):
                    yield _in_round(event, len(attempts))
                elif isinstance(event, Picture):
                    drawn = event
            if drawn is None:  # cancelled
                return
            attempts.append(self._attempt(task, request, drawn))
        best = max(attempts, key=lambda attempt: attempt.rank)  # of equals the first
        kept = attempts.index(best)
        yield Notice(_summary(task, attempts, kept))
        tried = tuple(attempt.told(task.request) for attempt in attempts)
        yield _as_asked(best, task.request, {"kept": kept + 1, "tries": tried})

    def _attempt(self, task: ImageTask, request: ImageRequest, picture: Picture) -> Attempt:
        return Attempt(request, picture, self._look(picture.pixels, task.request.prompt))


def next_request(asked: ImageRequest, attempts: Sequence[Attempt]) -> ImageRequest:
    """What to draw after `attempts`, by the advice of the last look."""
    assert asked.seed is not None
    number = len(attempts)
    latest = attempts[-1]
    prompt = latest.request.prompt
    for advice in latest.look.advice:
        if advice.do in ("drop_words", "list_things") and latest.request.prompt == asked.prompt:
            prompt = str(advice.values["prompt"])
            break
    return replace(
        asked,
        prompt=prompt,
        seed=seed_of(asked.seed, number),
        best_of=max(BEST_OF[number - 1], asked.best_of or 1),
        previews=0,
    )


def seed_of(seed: int, number: int) -> int:
    """The seed of drawing `number` (from 1) after the first, from the request's seed."""
    digest = hashlib.sha256(f"refine {seed} {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _in_round(event: Event, number: int) -> Event:
    """Progress of one drawing as a part of that of all; other events as they are."""
    if not isinstance(event, Progress):
        return event
    stage = event.stage if number == 0 else f"{event.stage} again"
    return Progress(number * event.total + event.done, MAX_ROUNDS * event.total, stage)


def _as_asked(best: Attempt, asked: ImageRequest, refined: dict[str, Any]) -> Picture:
    """The kept picture as one of the request: its seed, with how it came about."""
    assert asked.seed is not None
    revised = best.request.prompt if best.request.prompt != asked.prompt else None
    return replace(
        best.picture,
        prompt=asked.prompt,
        seed=asked.seed,
        revised_prompt=best.picture.revised_prompt or revised,
        refined=refined,
    )


def _summary(task: ImageTask, attempts: Sequence[Attempt], kept: int) -> str:
    """A sentence about what was tried."""
    said = []
    for number, attempt in enumerate(attempts, 1):
        how = f"{number}. seed {attempt.request.seed}"
        if attempt.request.best_of != task.request.best_of:
            how += f", best_of {attempt.request.best_of}"
        if attempt.request.prompt != task.request.prompt:
            how += f", prompt '{attempt.request.prompt}'"
        missed = ", ".join(check.words for check in attempt.unmet)
        said.append(f"{how} ({f'not seen: {missed}' if missed else 'good enough'})")
    return f"Picture {task.index + 1} was refined: {'; '.join(said)}. Drawing {kept + 1} was kept"
