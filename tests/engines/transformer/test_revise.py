"""The default engine revises where a quality's table says so: the same bytes everywhere."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from limner.engines.base import (
    ImageTask,
    Picture,
    Preview,
    Progress,
)
from limner.engines.transformer.backends.pytorch import TorchNetwork
from limner.engines.transformer.engine import TransformerEngine
from limner.request import (
    SIZES,
    Edit,
    ImageRequest,
    Size,
)
from limner.sampling.decoding import draw_codes, last
from limner.sampling.revising import count_revise_steps, revise_codes
from limner.sampling.sampling import REVISING, uniforms
from tests.support import tiny

REQUEST = ImageRequest("a red apple", size=SIZES[0], seed=11)


@pytest.fixture(scope="module")
def plain(tiny_weights: Path) -> TransformerEngine:
    return TransformerEngine.load(tiny_weights, threads=1)


@pytest.fixture(scope="module")
def engine(tiny_weights: Path) -> TransformerEngine:
    revising = TransformerEngine.load(tiny_weights, threads=1)
    for quality in ("medium", "high"):
        revising.backend.config["sampling"][quality] |= {"revise_share": 0.5, "revise_steps": 3}
    return revising


def draw(engine: TransformerEngine, **changes: object) -> list[Picture]:
    request = dataclasses.replace(REQUEST, **changes)  # type: ignore[arg-type]
    return [event for event in engine.generate(request) if isinstance(event, Picture)]


def test_the_table_of_a_quality_decides(
    engine: TransformerEngine, plain: TransformerEngine
) -> None:
    assert plain.sampling("medium").revise_share == 0  # old tables say nothing of it
    [revised], [unrevised] = draw(engine), draw(plain)
    assert not np.array_equal(revised.pixels, unrevised.pixels)
    [low], [as_before] = draw(engine, quality="low"), draw(plain, quality="low")
    assert np.array_equal(low.pixels, as_before.pixels)


def test_pytorch_revises_alike(engine: TransformerEngine, tiny_weights: Path) -> None:
    network = TorchNetwork(tiny.read(tiny_weights).transformer)
    tokens, _ = engine.backend.text_tokenizer.encode_padded(["a red apple"], 24)
    nothing = np.zeros_like(tokens)
    nothing[:, 0] = 2
    config = engine.sampling("medium")
    codes = last(draw_codes(network, tokens, nothing, uniforms(11, 0, 0, 16, 2)[None], config))
    numbers = uniforms(11, 0, 0, 16, 2, REVISING)[None]
    hidden = np.ones(16, bool)
    revised = last(revise_codes(network, tokens, nothing, codes, hidden, numbers, config))
    assert (revised != codes).any()
    [picture] = draw(engine)
    score = engine.backend.embed_image(revised) @ engine.backend.embed_text(tokens)[0]
    assert picture.score == pytest.approx(float(score[0]), abs=1e-5)


@pytest.mark.parametrize("quality", ["medium", "high"])
def test_the_same_bytes_alone_and_in_company(engine: TransformerEngine, quality: str) -> None:
    sizes = (SIZES[0], Size(384, 256), Size(64, 96))  # in one batch: other places for each
    wanted = [
        ImageTask(dataclasses.replace(REQUEST, n=3, size=size, quality=quality), index)  # type: ignore[arg-type]
        for index, size in enumerate(sizes)
    ]
    together = {
        one.index: event.pixels for one, event in engine.draw(wanted) if isinstance(event, Picture)
    }
    for index, size in enumerate(sizes):
        alone = draw(engine, n=3, size=size, quality=quality)[index]
        assert np.array_equal(alone.pixels, together[index])


@pytest.mark.parametrize("size", [SIZES[0], Size(512, 256)])
def test_every_step_is_told(engine: TransformerEngine, size: Size) -> None:
    request = dataclasses.replace(REQUEST, size=size, previews=3)
    events = list(engine.generate(request))
    told = [event for event in events if isinstance(event, Progress)]
    assert [event.done for event in told] == list(range(1, told[0].total + 1))
    assert count_revise_steps(engine.sampling("medium"), 16) == 5
    assert len([event for event in events if isinstance(event, Preview)]) == 3


def test_an_edit_is_revised_within_its_mask_alone(
    engine: TransformerEngine, plain: TransformerEngine
) -> None:
    picture = draw(plain, background="opaque")[0].pixels
    mask = np.full(picture.shape[:2], 255, np.uint8)
    mask[:, :128] = 0
    asked = {"prompt": "a blue star", "source": Edit(picture, mask)}
    [revised], [unrevised] = draw(engine, **asked), draw(plain, **asked)
    assert np.array_equal(revised.pixels[:, 128:], picture[:, 128:])
    assert not np.array_equal(revised.pixels[:, :128], unrevised.pixels[:, :128])


def test_a_retried_picture_is_revised_too(
    engine: TransformerEngine, plain: TransformerEngine
) -> None:
    [revised], [unrevised] = draw(engine, retry_below=1.0), draw(plain, retry_below=1.0)
    assert not np.array_equal(revised.pixels, unrevised.pixels)
