"""The loop: what is drawn again, what is kept, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

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
from limner.errors import InvalidRequest
from limner.imaging.provenance.label import LabelPolicy, label_of
from limner.recognition.advice import Advice
from limner.recognition.checks import Check
from limner.recognition.look import Look
from limner.recognition.refining import MAX_ROUNDS, Refining, seed_of
from limner.request import Edit, ImageRequest, Size

SIZE = Size(64, 64)


@dataclass
class PlainEngine(Engine):
    """Draws a plane whose first value is the seed modulo 251."""

    name: str = "plain"
    model: str = "plain"
    asked: list[ImageRequest] = field(default_factory=list)

    def batch_key(self, task: ImageTask) -> BatchKey:
        return BatchKey("all", 8)

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        for task in tasks:
            self.asked.append(task.request)
            yield task, Progress(1, 2, "drawing")
            if not cancel.is_cancelled(task):
                pixels = np.full((64, 64, 4), (task.seed + task.index) % 251, np.uint8)
                request = task.request
                yield task, Picture(pixels, request.prompt, task.seed, task.index, "plain")


def looks(*verdicts: int | Look) -> tuple[list[tuple[int, str]], object]:
    """A look that gives so many unmet checks, one after the other; and what it was asked."""
    asked: list[tuple[int, str]] = []
    left = [*verdicts]

    def look(pixels: np.ndarray, prompt: str) -> Look:
        asked.append((int(pixels[0, 0, 0]), prompt))
        verdict = left.pop(0)
        return verdict if isinstance(verdict, Look) else found(verdict)

    return asked, look


def found(n_unmet: int, *advice: Advice, match: float = 0.5) -> Look:
    """A look with `n_unmet` things that are not there."""
    checks = tuple(Check("subject", f"thing {n}", False, True) for n in range(n_unmet))
    return Look("", match, not n_unmet, (), checks, (), advice, "", "")


def drawn(engine: Engine, look: object, **values: object) -> list[Event]:
    """The events of a request with `refine`."""
    request = ImageRequest("a zorp cat", size=SIZE, seed=7, refine=True)
    return list(Refining(engine, look).generate(replace(request, **values)))  # type: ignore[arg-type]


def pictures(events: list[Event]) -> list[Picture]:
    """The pictures among events."""
    return [event for event in events if isinstance(event, Picture)]


def test_good_picture_is_drawn_once() -> None:
    engine = PlainEngine()
    asked, look = looks(0)
    [picture] = pictures(drawn(engine, look))
    assert len(engine.asked) == 1
    assert asked == [(7, "a zorp cat")]
    assert picture.refined == {"kept": 1, "tries": ({"seed": 7},)}


def test_best_of_three_is_kept() -> None:
    engine = PlainEngine()
    _asked, look = looks(2, 1, 2)
    events = drawn(engine, look)
    [picture] = pictures(events)
    seeds = [7, seed_of(7, 1), seed_of(7, 2)]
    assert [request.seed for request in engine.asked] == seeds
    assert [request.best_of for request in engine.asked] == [None, 4, 8]
    assert picture.pixels[0, 0, 0] == seeds[1] % 251
    assert (picture.seed, picture.prompt, picture.revised_prompt) == (7, "a zorp cat", None)
    assert picture.refined is not None
    assert picture.refined["kept"] == 2
    assert [one["seed"] for one in picture.refined["tries"]] == seeds
    [notice] = [event.text for event in events if isinstance(event, Notice)]
    assert "Drawing 2 was kept" in notice
    assert "not seen: thing 0, thing 1" in notice
    done = [(event.done, event.total) for event in events if isinstance(event, Progress)]
    assert done == [(1, 6), (3, 6), (5, 6)]


def test_of_equals_the_better_match_is_kept() -> None:
    _, look = looks(found(1, match=0.2), found(1, match=0.6), found(1, match=0.4))
    [picture] = pictures(drawn(PlainEngine(), look))
    assert picture.refined is not None
    assert picture.refined["kept"] == 2


def test_unknown_words_are_dropped_and_said() -> None:
    engine = PlainEngine()
    tip = Advice("drop_words", "drop 'zorp'", {"prompt": "a cat"})
    asked, look = looks(found(1, tip), 0)
    [picture] = pictures(drawn(engine, look))
    assert [request.prompt for request in engine.asked] == ["a zorp cat", "a cat"]
    assert [prompt for _, prompt in asked] == ["a zorp cat"] * 2
    assert (picture.prompt, picture.revised_prompt) == ("a zorp cat", "a cat")


def test_pictures_of_others_pass_through() -> None:
    engine = PlainEngine()
    asked, look = looks(1, 0)
    plain = ImageRequest("a dog", size=SIZE, seed=1)
    tasks = [ImageTask(plain, 0, "a"), ImageTask(replace(plain, refine=True), 0, "b")]
    events = [*Refining(engine, look).draw(tasks)]  # type: ignore[arg-type]
    kinds = [(task.id, type(event)) for task, event in events if not isinstance(event, Progress)]
    assert kinds == [("a", Picture), ("b", Notice), ("b", Picture)]
    assert len(asked) == 2


def test_each_picture_is_refined_by_itself() -> None:
    engine = PlainEngine()
    _asked, look = looks(0, 1, 0)
    first, second = pictures(drawn(engine, look, n=2))
    assert [first.index, second.index] == [0, 1]
    _, alone = looks(0)
    [again] = pictures(drawn(PlainEngine(), alone))
    assert np.array_equal(first.pixels, again.pixels)


def test_cancelled_loop_ends() -> None:
    @dataclass
    class AfterTwo:
        n: int = 0

        def is_cancelled(self, task: ImageTask) -> bool:
            self.n += 1
            return self.n > 1

    _, look = looks(1)
    request = ImageRequest("a cat", size=SIZE, seed=7, refine=True)
    events = Refining(PlainEngine(), look).draw([ImageTask(request, 0)], AfterTwo())  # type: ignore[arg-type]
    assert not [event for _, event in events if isinstance(event, Picture)]


def test_only_pictures_from_text_are_refined() -> None:
    with pytest.raises(InvalidRequest, match="from text") as caught:
        ImageRequest("a", source=Edit(np.zeros((64, 64, 4), np.uint8)), refine=True)
    assert caught.value.param == "refine"


@pytest.mark.parametrize(("level", "has_prompt"), [("label", False), ("full", True)])
def test_file_says_what_was_tried(level: str, has_prompt: bool) -> None:
    tip = Advice("drop_words", "drop 'zorp'", {"prompt": "a cat"})
    _, look = looks(found(1, tip), 0)
    [picture] = pictures(drawn(PlainEngine(), look))
    request = ImageRequest("a zorp cat", size=SIZE, seed=7, refine=True)
    label = label_of(request, 0, "plain", LabelPolicy(level), is_ai_engine=True)  # type: ignore[arg-type]
    refined = json.loads(replace(picture, label=label).text()["refined"])
    assert refined["kept"] == 2
    assert ("prompt" in refined["tries"][1]) == has_prompt
    assert ("prompt_unmet" in refined["tries"][0]) == has_prompt
    assert len(refined["tries"]) <= MAX_ROUNDS
