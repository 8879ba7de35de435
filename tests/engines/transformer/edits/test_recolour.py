"""Edits that only want another colour."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from limner.data import colours
from limner.engines.base import ImageTask, Notice, Picture
from limner.engines.transformer.edits import recolour
from limner.imaging import codec
from limner.request import Edit, ImageRequest, Size
from limner.text.shades import colour_of as colour_of_words

Pixels = NDArray[np.uint8]
RED = (221, 46, 68)


def circle(ground: tuple[int, int, int, int], x: int = 80) -> Pixels:
    """A red circle."""
    image = Image.new("RGBA", (256, 256), ground)
    ImageDraw.Draw(image).ellipse((x, 80, x + 100, 180), fill=RED)
    return np.array(image)


def painted(pixels: Pixels, prompt: str, mask: Pixels | None = None, **values: object) -> Picture:
    """The recoloured picture."""
    request = ImageRequest(prompt, size=Size(256, 256), source=Edit(pixels, mask), seed=1, **values)  # type: ignore[arg-type]
    wish = recolour.wish(request)
    assert wish
    events = list(recolour.recoloured(ImageTask(request, 0), wish, "m"))
    assert any(isinstance(event, Notice) for event in events)
    [picture] = [event for event in events if isinstance(event, Picture)]
    return picture


def colour_of(pixels: Pixels) -> str | None:
    """The name of a part's colour."""
    return colours.tint_of(codec.premultiply(np.ascontiguousarray(pixels))).natural


@pytest.mark.parametrize("ground", [(0, 0, 0, 0), (255, 255, 255, 255), (60, 180, 80, 255)])
@pytest.mark.parametrize("colour", ["blue", "yellow", "black"])
def test_subject_changes_and_nothing_else(ground: tuple[int, int, int, int], colour: str) -> None:
    before = circle(ground)
    picture = painted(before, f"a red circle, make it {colour}")
    assert colour_of(picture.pixels[110:150, 110:150]) == colour
    assert np.array_equal(picture.pixels[:70], before[:70])
    assert np.array_equal(picture.pixels[..., 3], before[..., 3])
    assert picture.revised_prompt == f"a {colour} circle"


@pytest.mark.parametrize("colour", ["#1abc9c", "teal", "light blue"])
def test_exact_colours_are_painted(colour: str) -> None:
    _, exact = colour_of_words(colour, "en")
    assert exact is not None
    picture = painted(circle((0, 0, 0, 0)), f"a red circle, make it {colour}")
    np.testing.assert_allclose(picture.pixels[130, 130, :3].astype(int), exact, atol=12)
    assert picture.revised_prompt == f"a {colour} circle"


def test_only_under_the_mask() -> None:
    before = np.maximum(circle((0, 0, 0, 0), 10), circle((0, 0, 0, 0), 140))
    mask = np.full((256, 256), 255, np.uint8)
    mask[:, :128] = 0
    picture = painted(before, "make it green", mask)
    assert colour_of(picture.pixels[110:150, 40:80]) == "green"
    assert np.array_equal(picture.pixels[:, 128:], before[:, 128:])
    assert picture.revised_prompt is None


def test_subject_without_a_colour_is_drawn_anew() -> None:
    grey = circle((0, 0, 0, 0))
    grey[..., :3] = 150
    request = ImageRequest("a stone, make it blue", size=Size(256, 256), source=Edit(grey), seed=1)
    wish = recolour.wish(request)
    assert wish
    assert not list(recolour.recoloured(ImageTask(request, 0), wish, "m"))
    anew = recolour.drawn_anew(request)
    assert anew.prompt == "a blue stone"
    assert isinstance(anew.source, Edit)
    assert anew.source.is_whole


@pytest.mark.parametrize("prompt", ["a hat", "give it a blue background", "a blue circle"])
def test_other_edits_are_drawn(prompt: str) -> None:
    source = Edit(circle((0, 0, 0, 0)))
    assert recolour.wish(ImageRequest(prompt, size=Size(256, 256), source=source)) is None
    assert recolour.wish(ImageRequest("a cat, make it blue")) is None
