"""Things in boxes that people gave: each in its box, the rest clear or of the prompt's ground."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.engines.base import ImageTask, Notice, Picture, Progress
from limner.engines.transformer.engine import TransformerEngine
from limner.errors import InvalidRequest
from limner.request import Edit, ImageRequest, Size

TWO = "a cat: 0,0,50,50; a red apple: 50,25,50,75"


@pytest.fixture(scope="module")
def engine(tiny_weights: Path) -> TransformerEngine:
    return TransformerEngine.load(tiny_weights, threads=1)


def asked(boxes: str = TWO, **values: Any) -> ImageRequest:
    given: dict[str, Any] = {"size": Size(256, 128), "seed": 3, "quality": "low"} | values
    return ImageRequest("a still life", options={"boxes": boxes}, **given)


def drawn(engine: TransformerEngine, request: ImageRequest) -> list[Picture]:
    engine.check(request)
    return [event for event in engine.generate(request) if isinstance(event, Picture)]


def test_things_stand_in_their_boxes_and_nowhere_else(engine: TransformerEngine) -> None:
    [picture] = drawn(engine, asked())
    seen = picture.pixels[..., 3] > 0
    assert seen.shape == (128, 256)
    rows, columns = np.nonzero(seen)
    # Squares at the middle of the boxes: 64 px of 128 x 64, 96 px of 128 x 96.
    inside = (rows < 64) & (columns >= 32) & (columns < 96)
    inside |= (rows >= 32) & (columns >= 144) & (columns < 240)
    assert inside.all()
    assert seen[:, :128].any()
    assert seen[:, 128:].any()
    assert picture.score is not None


def test_a_seed_draws_the_same_again_and_equal_words_differ(engine: TransformerEngine) -> None:
    twins = "a cat: 0,0,50,100; a cat: 50,0,50,100"
    first, second = drawn(engine, asked(twins, n=2))
    assert np.array_equal(drawn(engine, asked(twins))[0].pixels, first.pixels)
    assert not np.array_equal(first.pixels, second.pixels)
    assert not np.array_equal(first.pixels[:, :128], first.pixels[:, 128:])


def test_boxes_are_drawn_alone_and_tell_their_progress(engine: TransformerEngine) -> None:
    task = ImageTask(asked(), 0)
    assert engine.batch_key(task).most == 1
    steps = [event for _, event in engine.draw([task]) if isinstance(event, Progress)]
    assert [(step.done, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]


def test_a_box_beyond_the_picture_is_refused(engine: TransformerEngine) -> None:
    with pytest.raises(InvalidRequest, match="beyond the picture"):
        engine.check(asked("a cat: 60,0,50,50"))


def test_an_edit_says_that_it_uses_no_boxes(engine: TransformerEngine) -> None:
    source = Edit(np.full((128, 256, 4), 255, np.uint8))
    events = list(engine.generate(asked(source=source)))
    told = [event.text for event in events if isinstance(event, Notice)]
    assert any(text.startswith("Not used: boxes") for text in told)
    assert any(isinstance(event, Picture) for event in events)
