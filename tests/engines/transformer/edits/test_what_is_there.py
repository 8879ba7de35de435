"""An edit whose prompt describes the whole picture draws what the picture lacks."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.arrays import Pixels
from limner.engines.base import Notice, Picture
from limner.engines.transformer.edits.close_up import close_up
from limner.engines.transformer.edits.what_is_there import There, ThingsThere
from limner.engines.transformer.engine import TransformerEngine
from limner.engines.transformer.prompts import Prompts
from limner.request import Edit, ImageRequest, Size
from limner.storage.checkpoints.weights import find

SIZE = Size(512, 512)
RIGHT = np.full((512, 512), 255, np.uint8)
RIGHT[64:448, 256:] = 0

Mask = NDArray[np.uint8]


@pytest.fixture(scope="module")
def engine() -> TransformerEngine:
    """The weights that ship: what is tested here is learned."""
    return TransformerEngine.load(find("nano"), threads=1)


def _drawn(engine: TransformerEngine, request: ImageRequest) -> tuple[Picture, list[str]]:
    events = list(engine.generate(request))
    [picture] = [event for event in events if isinstance(event, Picture)]
    return picture, [event.text for event in events if isinstance(event, Notice)]


@pytest.fixture(scope="module")
def house(engine: TransformerEngine) -> Pixels:
    """A house in the left half of a clear canvas."""
    alone, _ = _drawn(engine, ImageRequest("a house", size=Size(256, 256), seed=1))
    whole = np.zeros((512, 512, 4), np.uint8)
    whole[128:384, :256] = alone.pixels
    return whole


def _edit(house: Pixels, prompt: str, **changes: object) -> ImageRequest:
    values = {"size": SIZE, "quality": "low", "seed": 1, "source": Edit(house, RIGHT)} | changes
    return ImageRequest(prompt, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prompt", "asked", "there"),
    [
        ("a house and a red car", "a red car", "a house"),
        ("a red car next to a house", "a red car", "a house"),
        ("two houses", "a house", "a house"),
        ("一座房子和一辆红色的汽车", "一辆红色的汽车", "一座房子"),
    ],
)
def test_what_is_there_is_not_drawn_again(
    engine: TransformerEngine, house: Pixels, prompt: str, asked: str, there: str
) -> None:
    picture, told = _drawn(engine, _edit(house, prompt))
    assert told == [f"The picture has '{there}' around the mask: '{asked}' is drawn"]
    assert picture.prompt == prompt
    alone, _ = _drawn(engine, _edit(house, asked))
    assert np.array_equal(picture.pixels, alone.pixels)


def _there(engine: TransformerEngine, before: Pixels, prompt: str, mask: Mask) -> There | None:
    part = close_up(replace(_edit(before, prompt), source=Edit(before, mask)))
    assert part is not None
    return ThingsThere(engine.backend).of(part, Prompts(engine.backend).reading(prompt))


@pytest.mark.parametrize("prompt", ["a red car", "a cat and a rocket", "a house"])
def test_other_prompts_are_drawn_as_they_are(
    engine: TransformerEngine, house: Pixels, prompt: str
) -> None:
    assert _there(engine, house, prompt, RIGHT) is None


def test_a_thing_under_the_mask_is_not_there(engine: TransformerEngine, house: Pixels) -> None:
    left = np.ascontiguousarray(RIGHT[:, ::-1])
    assert _there(engine, house, "a house and a red car", left) is None


def test_a_thing_that_the_mask_cuts_goes_on(engine: TransformerEngine) -> None:
    before, _ = _drawn(engine, ImageRequest("a butterfly", size=SIZE, quality="low", seed=3))
    after, told = _drawn(engine, _edit(before.pixels, "a butterfly"))
    mirrored = after.pixels[:, ::-1, 3] > 128
    alike = mirrored == (before.pixels[..., 3] > 128)
    assert alike[:, :256].mean() > 0.9  # the new wing is as large as the old one
    assert np.array_equal(after.pixels[:, :256], before.pixels[:, :256])
    assert told == []


def test_a_picture_without_a_plain_ground_is_not_looked_at(engine: TransformerEngine) -> None:
    noise: Pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 4)).astype(np.uint8)
    noise[..., 3] = 255
    assert _there(engine, noise, "a house and a red car", RIGHT) is None


def test_a_clear_picture_has_nothing(engine: TransformerEngine) -> None:
    clear = np.zeros((512, 512, 4), np.uint8)
    assert _there(engine, clear, "a house and a red car", RIGHT) is None


def test_a_style_is_kept(engine: TransformerEngine, house: Pixels) -> None:
    there = _there(engine, house, "a house and a red car, flat Fluent style", RIGHT)
    assert there is not None
    assert there.left == "a red car, flat fluent style"


def test_what_is_under_the_mask_may_touch_what_is_there(
    engine: TransformerEngine, house: Pixels
) -> None:
    touching = house.copy()
    touching[200:300, 200:500] = [40, 90, 220, 255]
    there = _there(engine, touching, "a house and a red car", RIGHT)
    assert there is not None
    assert there.left == "a red car"
