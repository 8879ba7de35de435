"""A picture is the same bytes alone and in any batch; who shares one, and what a batch tells."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from limner.engines.base import (
    Event,
    ImageTask,
    Notice,
    Picture,
    Preview,
    Progress,
    ProgressTracker,
)
from limner.engines.testcard import CardEngine
from limner.engines.transformer.engine import TransformerEngine
from limner.request import (
    SIZES,
    Edit,
    ImageRequest,
    Size,
    Variation,
)
from limner.storage.checkpoints.weights import find
from tests.engines.cancelled import Cancelled

LONG = "a small red fox asleep under a tree in the snow, beside a house with a blue door and a dog"
PROMPTS = ("a red apple", "一只红色的苹果", LONG, "雪地里的一棵树下睡着一只小狐狸", "a panda")
SIZES_DRAWN = (SIZES[0], Size(384, 256), Size(64, 96))


def _wanted(quality: str, n: int) -> list[ImageTask]:
    """Pictures of many kinds: languages, lengths of text, sizes, seeds, indexes."""
    kinds = zip(itertools.cycle(PROMPTS), itertools.cycle(SIZES_DRAWN), range(n), strict=False)
    return [
        ImageTask(
            ImageRequest(
                prompt,
                n=3,
                size=size,
                seed=seed * 7919,
                quality=quality,  # type: ignore[arg-type]
                retry_below=0.0 if seed % 2 else None,  # about half of random weights' scores
            ),
            seed % 3,
        )
        for prompt, size, seed in kinds
    ]


def _batches(
    engine: TransformerEngine, wanted: list[ImageTask], most: int
) -> Iterator[list[ImageTask]]:
    by_key = defaultdict(list)
    for one in wanted:
        by_key[engine.batch_key(one).key].append(one)
    for group in by_key.values():
        size = min(most, engine.batch_key(group[0]).most)
        yield from (group[start : start + size] for start in range(0, len(group), size))


def _drawn(engine: TransformerEngine, batch: Sequence[ImageTask]) -> dict[ImageTask, Picture]:
    return {one: event for one, event in engine.draw(batch) if isinstance(event, Picture)}


def _alone(engine: TransformerEngine, wanted: list[ImageTask]) -> dict[ImageTask, Picture]:
    drawn: dict[ImageTask, Picture] = {}
    for one in wanted:
        drawn |= _drawn(engine, [one])
    return drawn


def _check_same(alone: dict[ImageTask, Picture], engine: TransformerEngine, most: int) -> int:
    """Compare with what was drawn alone; returns the size of the largest batch."""
    sizes = []
    for batch in _batches(engine, list(alone), most):
        sizes.append(len(batch))
        for one, together in _drawn(engine, batch).items():
            expected = alone[one]
            assert np.array_equal(together.pixels, expected.pixels), one
            assert (together.score, together.index) == (expected.score, one.index)
    return max(sizes)


@pytest.fixture(scope="module")
def alone(tiny_weights: Path) -> dict[str, dict[ImageTask, Picture]]:
    """Pictures of each quality, drawn alone."""
    engine = TransformerEngine.load(tiny_weights, threads=1)
    return {quality: _alone(engine, _wanted(quality, 10)) for quality in ("low", "medium", "high")}


@pytest.mark.parametrize(("most", "threads"), [(2, 2), (3, 1), (8, 1), (8, 2)])
def test_same_bytes_alone_and_in_any_batch(
    tiny_weights: Path, alone: dict[str, dict[ImageTask, Picture]], most: int, threads: int
) -> None:
    engine = TransformerEngine.load(tiny_weights, threads)
    for drawn in alone.values():
        _check_same(drawn, engine, most)


@pytest.mark.slow
def test_same_bytes_with_the_weights_that_ship() -> None:
    alone = _alone(TransformerEngine.load(find("nano"), threads=1), _wanted("low", 9))
    assert _check_same(alone, TransformerEngine.load(find("nano"), threads=2), 8) >= 4


@pytest.mark.slow
@pytest.mark.parametrize(("quality", "n"), [("low", 24), ("medium", 14), ("high", 6)])
def test_same_bytes_in_batches_of_every_size(quality: str, n: int) -> None:
    engines = [TransformerEngine.load(find("nano"), threads, batch=64) for threads in (1, 2)]
    alone = _alone(engines[0], _wanted(quality, n))
    for engine, most in itertools.product(engines, (2, 4, 8, 16)):
        _check_same(alone, engine, most)


@pytest.fixture(scope="module")
def shipped() -> TransformerEngine:
    """The weights that ship: others draw no scenes."""
    return TransformerEngine.load(find("nano"), threads=1)


SCENES = ("a cat and a dog", "a car to the left of a red apple", "一只猫和一只狗")


def test_scenes_of_different_layouts_are_the_same_bytes_alone_and_together(
    shipped: TransformerEngine,
) -> None:
    requests = [
        ImageRequest(prompt, 2, Size(64, 64), "low", seed) for seed, prompt in enumerate(SCENES)
    ]
    together = [ImageTask(request, index) for request in requests for index in range(request.n)][:4]
    assert len({shipped.batch_key(one).key for one in together}) == 1
    layouts = {scene.layout for one in together if (scene := shipped.scene(one))}
    assert len(layouts) > 1
    drawn = _drawn(shipped, together)
    # On two threads an idle core takes half of a step's rows.
    in_halves = TransformerEngine.load(find("nano"), threads=2)
    for engine, one in ((shipped, together[1]), (in_halves, together[2])):
        [alone] = _drawn(engine, [one]).values()
        assert np.array_equal(drawn[one].pixels, alone.pixels)
        assert drawn[one].score == alone.score


def test_scenes_share_with_scenes_of_as_many_things(shipped: TransformerEngine) -> None:
    def key(prompt: str, **values: object) -> object:
        return shipped.batch_key(ImageTask(ImageRequest(prompt, seed=1, **values), 0)).key  # type: ignore[arg-type]

    assert key("a cat and a dog") == key("a car beside a house", size=Size(256, 256))
    assert key("a cat and a dog") != key("a cat, a dog and a house")
    assert key("a cat and a dog") != key("a cat and a dog", quality="low")
    assert key("a cat and a dog") != key("a cat and a dog", size=Size(512, 256))
    assert key("a cat and a dog") != key("a cat and a dog", best_of=2)
    assert key("a cat and a dog") != key("a cat")


def test_a_cancelled_scene_is_not_finished_and_the_others_are(shipped: TransformerEngine) -> None:
    request = ImageRequest("a cat and a dog", n=2, size=Size(64, 64), quality="low", seed=1)
    tasks = [ImageTask(request, index) for index in range(2)]
    cancelled = Cancelled()
    finished = []
    for one, event in shipped.draw(tasks, cancelled):
        cancelled.tasks.add(tasks[0])
        if isinstance(event, Picture):
            finished.append(one)
    assert finished == tasks[1:]


def test_who_shares_a_batch(tiny_weights: Path) -> None:
    engine = TransformerEngine.load(tiny_weights, batch=8)

    def batch_key(prompt: str = "a cat", **values: object) -> object:
        return engine.batch_key(ImageTask(ImageRequest(prompt, seed=1, **values), 0)).key  # type: ignore[arg-type]

    assert batch_key() == batch_key("two dogs", size=SIZES[0]) == batch_key(size=Size(1536, 1024))
    assert batch_key() != batch_key(quality="low")
    assert batch_key() != batch_key(LONG)
    source = np.zeros((64, 64, 4), np.uint8)
    assert batch_key(source=Edit(source)) != batch_key(source=Edit(source))
    assert batch_key("", source=Variation(source)) != batch_key("", source=Variation(source))


def test_a_batch_has_room_for_so_many_rows(tiny_weights: Path) -> None:
    one = ImageTask(ImageRequest("a cat", seed=1, quality="low"), 0)
    for batch, most in ((1, 1), (3, 3), (64, 16)):
        assert TransformerEngine.load(tiny_weights, batch=batch).batch_key(one).most == most
    engine = TransformerEngine.load(tiny_weights, batch=64)
    n_candidates = engine.sampling("high").n_candidates
    high = ImageTask(ImageRequest("a cat", seed=1, quality="high"), 0)
    assert engine.batch_key(high).most == 16 // n_candidates < 16


def test_cancelled_ones_are_not_finished_and_the_others_are(tiny_weights: Path) -> None:
    engine = TransformerEngine.load(tiny_weights, threads=1)
    request = ImageRequest("a cat", n=3, size=Size(384, 256), seed=1)
    wanted = [ImageTask(request, index) for index in range(3)]
    cancelled = Cancelled()
    finished = {}
    for one, event in engine.draw(wanted, cancelled):
        cancelled.tasks.add(wanted[1])
        if isinstance(event, Picture):
            finished[one.index] = event
    assert sorted(finished) == [0, 2]
    [alone] = _drawn(engine, [ImageTask(request, 2)]).values()
    assert np.array_equal(alone.pixels, finished[2].pixels)


def test_a_batch_of_an_engine_that_draws_one_at_a_time() -> None:
    wanted = [
        ImageTask(ImageRequest("a cat", n=2, size=SIZES[0], seed=1), index) for index in (0, 1)
    ]
    engine = CardEngine()
    assert engine.batch_key(wanted[0]).most == 1
    assert engine.batch_key(wanted[0]).key != engine.batch_key(wanted[1]).key
    told = [(one.index, type(event)) for one, event in engine.draw(wanted)]
    assert told == [(index, kind) for index in (0, 1) for kind in [Progress] * 4 + [Picture]]


# --- what is told of a request whose pictures are drawn in any order ---


def _told(tracker: ProgressTracker, events: list[tuple[int, Event]]) -> list[Event]:
    return [told for index, event in events if (told := tracker.add(index, event))]


def test_progress_of_pictures_adds_up() -> None:
    events = [(0, Progress(1, 2, "a")), (1, Progress(1, 2, "a")), (1, Progress(2, 2, "b"))]
    told = _told(ProgressTracker(2), [*events, (0, Progress(2, 2, "b"))])
    assert told == [
        Progress(done, 4, stage) for done, stage in ((1, "a"), (2, "a"), (3, "b"), (4, "b"))
    ]


def test_a_picture_with_a_step_more_is_an_equal_share() -> None:
    steps = [(0, Progress(done, 4, "")) for done in range(1, 5)]
    steps += [(1, Progress(done, 5, "")) for done in range(1, 6)]
    told = _told(ProgressTracker(2), list(steps))
    assert told == [Progress(done, 8, "") for done in range(1, 9)]


def test_what_was_told_is_not_told_again_when_a_picture_is_begun_anew() -> None:
    preview = Preview(0, np.zeros((4, 4, 4), np.uint8), 1, 2)
    begun: list[tuple[int, Event]] = [(0, Notice("cut")), (0, Progress(1, 2, "")), (0, preview)]
    tracker = ProgressTracker(1)
    assert len(_told(tracker, begun)) == 3
    assert _told(tracker, [*begun, (0, Progress(2, 2, ""))]) == [Progress(2, 2, "")]
