"""Weights that draw flat art: crisp pictures, the same alone and in company, edits kept exact."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.engines.base import Picture, Preview
from limner.engines.transformer.engine import TransformerEngine
from limner.imaging.codec import composite
from limner.request import (
    Edit,
    ImageRequest,
    Size,
    Variation,
)
from limner.storage.checkpoints import weights

SQUARE = Size(256, 256)


@pytest.fixture(scope="module")
def flat_weights(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = weights.read(tiny_weights)
    contents = {
        name: found.file(name).read_bytes() for name in found.entries if name != "config.json"
    }
    folder = tmp_path_factory.mktemp("weights") / "flat"
    return weights.write(folder, {**found.config, "art": "flat"}, contents=contents).path


@pytest.fixture(scope="module")
def engine(flat_weights: Path) -> TransformerEngine:
    return TransformerEngine.load(flat_weights, threads=1)


def drawn(engine: TransformerEngine, **values: Any) -> list[Picture]:
    given: dict[str, Any] = {"prompt": "a red apple", "size": SQUARE, "seed": 3} | values
    asked = ImageRequest(**given)
    found = [event for event in engine.generate(asked) if isinstance(event, Picture)]
    return sorted(found, key=lambda picture: picture.index)


def test_only_weights_that_say_so_draw_flat(engine: TransformerEngine, tiny_weights: Path) -> None:
    soft = TransformerEngine.load(tiny_weights, threads=1)
    assert engine.draws_flat_art
    assert not soft.draws_flat_art
    [flat], [old] = drawn(engine), drawn(soft)
    steps = [np.abs(np.diff(composite(p.pixels).astype(int), axis=1)).mean() for p in (flat, old)]
    assert steps[0] < 0.7 * steps[1]  # the tiny model draws noise, of which areas keep less


def test_a_seed_gives_the_same_bytes_alone_and_in_company(engine: TransformerEngine) -> None:
    several = drawn(engine, n=3)
    assert np.array_equal(drawn(engine)[0].pixels, several[0].pixels)
    again = drawn(engine, n=3)
    assert [p.pixels.tobytes() for p in again] == [p.pixels.tobytes() for p in several]
    assert several[0].svg() == again[0].svg()
    assert len({p.pixels.tobytes() for p in several}) == 3


@pytest.mark.parametrize("size", [Size(64, 64), Size(512, 256), Size(256, 752), Size(1024, 1024)])
def test_pictures_of_any_size_and_shape(engine: TransformerEngine, size: Size) -> None:
    [picture] = drawn(engine, size=size)
    assert picture.pixels.shape == (size.height, size.width, 4)


def test_an_edit_keeps_every_bit_outside_its_mask(engine: TransformerEngine) -> None:
    source = np.random.default_rng(0).integers(0, 256, (250, 270, 4)).astype(np.uint8)
    for opaque in (False, True):
        if opaque:
            source[..., 3] = 255
        mask = np.full(source.shape[:2], 255, np.uint8)
        mask[100:180, 40:200] = 0
        size = Size(270, 250)
        [picture] = drawn(engine, source=Edit(source, mask), size=size)
        assert np.array_equal(picture.pixels[mask > 0], source[mask > 0])
        assert not np.array_equal(picture.pixels, source)


def test_what_is_clear_is_drawn_behind_the_rest(engine: TransformerEngine) -> None:
    source = np.full((256, 256, 4), 255, np.uint8)
    source[64:192, 64:192] = 0
    [picture] = drawn(engine, source=Edit(source))
    assert np.array_equal(picture.pixels[:64], source[:64])
    [varied] = drawn(engine, prompt="", source=Variation(source))
    assert varied.pixels.shape == source.shape


def test_previews_and_opaque_grounds(engine: TransformerEngine) -> None:
    asked = ImageRequest("a star", size=SQUARE, seed=1, previews=2, background="opaque")
    events = list(engine.generate(asked))
    assert any(isinstance(event, Preview) for event in events)
    [picture] = [event for event in events if isinstance(event, Picture)]
    assert (picture.pixels[..., 3] == 255).all()


def test_the_shipped_weights_say_what_they_draw() -> None:
    config = json.loads((weights.SHIPPED / "nano" / "config.json").read_text())
    assert config["art"] == "flat"


def test_another_kind_of_art_is_drawn_as_before(tiny_weights: Path, tmp_path: Path) -> None:
    found = weights.read(tiny_weights)
    folder = tmp_path / "photo"
    shutil.copytree(tiny_weights, folder)
    contents = {
        name: found.file(name).read_bytes() for name in found.entries if name != "config.json"
    }
    weights.write(folder, {**found.config, "art": "photo"}, contents=contents, replace=True)
    assert not TransformerEngine.load(folder, threads=1).draws_flat_art
