"""Edits of a whole picture by a prompt of several things."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from limner.engines.base import Notice, Picture
from limner.engines.transformer.edits.scene_anew import DRAWN_ANEW
from limner.engines.transformer.engine import TransformerEngine
from limner.request import Edit, ImageRequest, Size
from limner.storage.checkpoints.weights import find

SCENE = "a red apple to the left of a blue car"


@pytest.fixture(scope="module")
def engine() -> TransformerEngine:
    return TransformerEngine.load(find("nano"), threads=1)


def drawn(
    engine: TransformerEngine, prompt: str, source: Edit | None, **changes: Any
) -> tuple[Picture, list[str]]:
    """The picture, and what is said of it."""
    values: dict[str, Any] = {"size": Size(256, 256), "quality": "low", "seed": 1} | changes
    events = list(engine.generate(ImageRequest(prompt, source=source, **values)))
    [picture] = [event for event in events if isinstance(event, Picture)]
    return picture, [event.text for event in events if isinstance(event, Notice)]


def opaque() -> Edit:
    return Edit(np.full((256, 256, 4), (230, 200, 60, 255), np.uint8))


@pytest.mark.parametrize("background", ["auto", "opaque", "transparent"])
def test_scene_is_drawn_as_from_text(engine: TransformerEngine, background: str) -> None:
    edited, notices = drawn(engine, SCENE, opaque(), background=background)
    plain = "transparent" if background == "transparent" else "opaque"
    fresh, _ = drawn(engine, SCENE, None, background=plain)
    assert (edited.pixels == fresh.pixels).all()
    assert DRAWN_ANEW in notices


def test_one_thing_keeps_its_layout(engine: TransformerEngine) -> None:
    _, notices = drawn(engine, "a red apple", opaque())
    assert DRAWN_ANEW not in notices


def test_what_a_mask_keeps_is_kept(engine: TransformerEngine) -> None:
    source = opaque()
    mask = np.full((256, 256), 255, np.uint8)
    mask[:, 128:] = 0
    edited, notices = drawn(engine, SCENE, Edit(source.pixels, mask))
    assert (edited.pixels[:, :120] == source.pixels[:, :120]).all()
    assert DRAWN_ANEW not in notices
