"""An edit whose prompt describes the whole picture draws what the picture has not yet."""

import numpy as np
import pytest

from limner.arrays import Pixels
from limner.engines.base import Notice, Picture
from limner.engines.transformer.edits.missing_things import missing_things
from limner.engines.transformer.engine import TransformerEngine
from limner.engines.transformer.prompts import Prompts
from limner.planning.plan import Named, Reading
from limner.request import Edit, ImageRequest, Size
from limner.storage.checkpoints.weights import find

SIZE = Size(512, 512)
CAR = Reading((Named("a house"), Named("a red car")))


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
    mask = np.full((512, 512), 255, np.uint8)
    mask[64:448, 256:] = 0
    values = {"size": SIZE, "quality": "low", "seed": 1, "source": Edit(house, mask)} | changes
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


@pytest.mark.parametrize("prompt", ["a red car", "a cat and a rocket", "a house"])
def test_other_prompts_are_drawn_as_they_are(
    engine: TransformerEngine, house: Pixels, prompt: str
) -> None:
    reading = Prompts(engine.backend).reading(prompt)
    assert missing_things(engine.backend, house, reading) is None


def test_a_picture_without_a_plain_ground_is_not_looked_at(engine: TransformerEngine) -> None:
    noise: Pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 4)).astype(np.uint8)
    noise[..., 3] = 255
    assert missing_things(engine.backend, noise, CAR) is None


def test_a_clear_picture_has_nothing(engine: TransformerEngine) -> None:
    assert missing_things(engine.backend, np.zeros((512, 512, 4), np.uint8), CAR) is None


def test_a_style_is_kept(engine: TransformerEngine, house: Pixels) -> None:
    found = missing_things(engine.backend, house, Reading(CAR.things, style="3D style"))
    assert found is not None
    assert found.prompt == "a red car, 3D style"
