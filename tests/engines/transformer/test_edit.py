"""The default engine with a picture to begin with, and on canvases that are no square."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.arrays import Pixels
from limner.engines.base import Picture, Preview, Progress
from limner.engines.transformer.backends.onnx_runtime import OnnxBackend
from limner.engines.transformer.engine import TransformerEngine
from limner.imaging.codec import resize
from limner.request import (
    Edit,
    ImageRequest,
    Quality,
    Size,
    Variation,
)

SQUARE = Size(128, 128)


@pytest.fixture(scope="module")
def engine(tiny_weights: Path) -> TransformerEngine:
    return TransformerEngine.load(tiny_weights, threads=1)


def picture(size: Size = SQUARE, seed: int = 1) -> Pixels:
    """A picture with shapes, opaque and without a clear pixel."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (8, 8, 4)).astype(np.uint8)
    small[..., 3] = 255
    return resize(small, size.width, size.height)


def mask(size: Size = SQUARE, share: float = 0.5) -> Pixels:
    """Alpha that is clear in the lower right, on `share` of each side."""
    alpha = np.full((size.height, size.width), 255, np.uint8)
    alpha[round(size.height * (1 - share)) :, round(size.width * (1 - share)) :] = 0
    return alpha


def request(source: Edit | Variation | None, prompt: str = "a blue star", **values: Any) -> Any:
    given: dict[str, Any] = {"size": SQUARE, "seed": 5, "quality": "low", "source": source} | values
    return ImageRequest("" if isinstance(source, Variation) else prompt, **given)


def drawn(engine: TransformerEngine, asked: ImageRequest) -> list[Pixels]:
    return [event.pixels for event in engine.generate(asked) if isinstance(event, Picture)]


@contextmanager
def counted(engine: TransformerEngine) -> Iterator[dict[str, int]]:
    """How often each graph runs, and how many cells are asked for."""
    counts: dict[str, int] = {"asked": 0, "enlarged": 0}
    backend = engine.backend
    assert isinstance(backend, OnnxBackend)
    real = backend.run

    def run(graph: str, **inputs: Any) -> Any:
        counts[graph] = counts.get(graph, 0) + 1
        if graph == "step":
            counts["asked"] += inputs["places"].shape[1]
        if graph == "upscale1":
            counts["enlarged"] += inputs["pictures"][0, 0].size
        return real(graph, **inputs)

    with patch.object(backend, "run", run):
        yield counts


@settings(max_examples=15)
@given(
    box=st.tuples(*[st.integers(0, 127)] * 2, *[st.integers(1, 128)] * 2),
    seed=st.integers(0, 2**63 - 1),
    is_opaque=st.booleans(),
)
def test_outside_the_mask_every_bit_stays_and_inside_it_is_drawn(
    engine: TransformerEngine, box: tuple[int, int, int, int], seed: int, is_opaque: bool
) -> None:
    top, left, tall, wide = box
    source = picture()
    if not is_opaque:
        source[..., 3] = np.random.default_rng(2).integers(0, 256, source.shape[:2])
    alpha = np.full(source.shape[:2], 255, np.uint8)
    alpha[top : top + tall, left : left + wide] = 0
    [result] = drawn(engine, request(Edit(source, alpha), seed=seed))
    assert np.array_equal(result[alpha > 0], source[alpha > 0])
    hidden = source.copy()
    hidden[alpha == 0] = 77
    assert np.array_equal(drawn(engine, request(Edit(hidden, alpha), seed=seed))[0], result)


@pytest.mark.parametrize("quality", ["low", "high"])
def test_a_seed_gives_the_same_bytes_alone_and_in_company(
    engine: TransformerEngine, quality: Quality
) -> None:
    source = picture()
    for asked in (
        request(Edit(source, mask()), quality=quality),
        request(Edit(source), quality=quality),
        request(Variation(source), quality=quality),
        request(None, size=Size(224, 128), quality=quality),
    ):
        several = drawn(engine, dataclasses.replace(asked, n=3))
        assert np.array_equal(drawn(engine, asked)[0], several[0])
        assert len({one.tobytes() for one in several}) == 3
        again = drawn(engine, dataclasses.replace(asked, n=3))
        assert [one.tobytes() for one in again] == [one.tobytes() for one in several]
        [other] = drawn(engine, dataclasses.replace(asked, seed=6))
        assert not np.array_equal(other, several[0])


def test_the_prompt_decides_what_an_edit_draws(engine: TransformerEngine) -> None:
    for alpha in (mask(), None):
        edit = Edit(picture(), alpha)
        pictures = [drawn(engine, request(edit, prompt))[0] for prompt in ("a star", "an apple")]
        assert not np.array_equal(pictures[0], pictures[1])


def test_the_picture_decides_what_is_drawn(engine: TransformerEngine) -> None:
    for kind in (Edit, Variation):
        pictures = [drawn(engine, request(kind(picture(seed=seed))))[0] for seed in (1, 2)]
        assert not np.array_equal(pictures[0], pictures[1])
    around = [drawn(engine, request(Edit(picture(seed=seed), mask())))[0] for seed in (1, 2)]
    assert not np.array_equal(around[0][mask() == 0], around[1][mask() == 0])


def test_clear_pixels_are_the_mask_of_a_picture_without_one(engine: TransformerEngine) -> None:
    source = picture()
    source[mask() == 0] = 0
    for edit in (Edit(source), Edit(picture(), mask())):
        [found] = (e for e in engine.generate(request(edit)) if isinstance(e, Picture))
        assert np.array_equal(found.pixels[mask() > 0], source[mask() > 0])
        assert found.pixels[mask() == 0].any()


def test_cost_follows_what_is_clear(engine: TransformerEngine) -> None:
    counts = []
    for share in (None, 0.5, 0.25):
        source = None
        if share is not None:
            pixels = picture()
            pixels[mask(share=share) == 0] = 0
            source = Edit(pixels)
        with counted(engine) as found:
            drawn(engine, request(source, quality="high"))
        counts.append(found)
    whole, quarter, least = counts
    assert (whole["step"], whole["asked"]) == (16, 16)
    assert (quarter["step"], quarter["asked"]) == (4, 4)
    assert (least["step"], least["asked"]) == (1, 1)
    assert least["enlarged"] < whole["enlarged"]


@pytest.mark.parametrize(("kind", "asked"), [(Edit, 15), (Variation, 8)])
def test_a_picture_drawn_anew_keeps_some_cells(
    engine: TransformerEngine, kind: Any, asked: int
) -> None:
    with counted(engine) as found:
        drawn(engine, request(kind(picture()), quality="high"))
    assert found["asked"] == asked  # of 16


def test_a_variation_runs_without_guidance(engine: TransformerEngine) -> None:
    rows = set()
    real = engine.backend.step

    def step(memory: Any, cache: Any, *rest: Any) -> Any:
        rows.add(len(cache))
        return real(memory, cache, *rest)

    engine.backend.step = step  # type: ignore[assignment, method-assign]
    try:
        drawn(engine, request(Variation(picture())))
    finally:
        del engine.backend.step
    assert rows == {1}


def test_high_quality_takes_the_candidate_that_suits_best(engine: TransformerEngine) -> None:
    for source in (Edit(picture(), mask()), Variation(picture())):
        asked = request(source, quality="high")
        scores = []
        for n_candidates in (1, 2):
            engine.backend.config["sampling"]["high"]["n_candidates"] = n_candidates
            found = [event for event in engine.generate(asked) if isinstance(event, Picture)]
            scores.append(found[0].score)
        assert scores[1] is not None
        assert scores[0] is not None
        # One picture and two agree to float precision, not to the bit.
        assert scores[1] >= scores[0] - 1e-6


@pytest.mark.parametrize(
    "size", ["64x64", "320x128", "128x384", "256x144", "1536x1024", "1040x1024"]
)
def test_other_sizes_are_drawn_cell_by_cell(engine: TransformerEngine, size: str) -> None:
    asked = request(None, size=Size.parse(size), quality="medium")
    with counted(engine) as found:
        [result] = drawn(engine, asked)
    assert result.shape == (asked.size.height, asked.size.width, 4)
    longer, shorter = max(result.shape[:2]), min(result.shape[:2])
    assert found["asked"] == 4 * -(-4 * longer // shorter)  # each cell of the canvas once
    halves = np.array_split(result, 2, axis=int(asked.size.width > asked.size.height))
    assert np.unique(result).size > 20
    assert not np.array_equal(halves[0], halves[1])


def test_a_long_picture_continues_the_corners_of_its_middle_square(
    engine: TransformerEngine,
) -> None:
    squares: list[Any] = []
    backend = engine.backend
    assert isinstance(backend, OnnxBackend)
    real = backend.run

    def run(graph: str, **inputs: Any) -> Any:
        if graph == "pixels":
            squares.append(inputs["codes"][0])
        return real(graph, **inputs)

    with patch.object(backend, "run", run):
        drawn(engine, request(None, size=Size(384, 128), quality="medium"))
    first, _, middle, _, last = squares  # two cells from one to the next
    corners = {tuple(middle[place]) for place in (0, 3, 12, 15)}
    assert {tuple(cell) for cell in np.concatenate([first, last])} <= corners
    assert len({tuple(cell) for cell in middle}) > len(corners)


@pytest.mark.parametrize("kind", [Edit, Variation])
def test_sources_of_other_shapes_and_sizes(engine: TransformerEngine, kind: Any) -> None:
    long = picture(Size(90, 41))
    for size in (SQUARE, Size(208, 96)):
        [result] = drawn(engine, request(kind(long), size=size))
        assert result.shape == (size.height, size.width, 4)
    alpha = np.full((41, 90), 255, np.uint8)
    alpha[:, 60:] = 0
    [result] = drawn(engine, request(Edit(long, alpha)))
    assert not result[:34].any()  # a picture of another shape leaves this free, and clear


def test_an_odd_size_is_kept_to_the_pixel(engine: TransformerEngine) -> None:
    size = Size(101, 77)
    source, alpha = picture(size), mask(size)
    [result] = drawn(engine, request(Edit(source, alpha), size=size))
    assert np.array_equal(result[alpha > 0], source[alpha > 0])
    assert not np.array_equal(result, source)


def test_previews_and_progress_of_edits_and_long_pictures(engine: TransformerEngine) -> None:
    for asked in (
        request(Edit(picture(), mask(share=0.75)), previews=2, n=2),
        request(Variation(picture()), previews=2, n=2),
        request(None, size=Size(224, 128), previews=2, n=2),
        request(Edit(picture()), size=Size(224, 128), previews=2, n=2),
    ):
        events = list(engine.generate(asked))
        steps = [event for event in events if isinstance(event, Progress)]
        assert [step.done for step in steps] == list(range(1, steps[0].total + 1))
        assert {step.total for step in steps} == {len(steps)}
        previews = [event for event in events if isinstance(event, Preview)]
        assert {preview.index for preview in previews} == {0, 1}
        for preview in previews:
            assert preview.pixels.shape == (asked.size.height, asked.size.width, 4)
        plain = drawn(engine, dataclasses.replace(asked, previews=0))
        pictures = [event.pixels for event in events if isinstance(event, Picture)]
        assert all(np.array_equal(*pair) for pair in zip(pictures, plain, strict=True))


def test_an_opaque_background_is_opaque_and_keeps_opaque_pixels(engine: TransformerEngine) -> None:
    source, alpha = picture(), mask()
    [result] = drawn(engine, request(Edit(source, alpha), background="opaque"))
    assert (result[..., 3] == 255).all()
    assert np.array_equal(result[alpha > 0], source[alpha > 0])
