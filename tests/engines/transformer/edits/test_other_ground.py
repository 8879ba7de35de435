"""Edits that only want another ground."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from limner.arrays import Pixels
from limner.data.colours import RGB_FROM_NAME
from limner.engines.base import ImageTask, Notice, Picture
from limner.engines.transformer.edits import other_ground
from limner.planning.plan import Reading
from limner.request import Edit, ImageRequest, Size

RED = (221, 46, 68)


def discs(ground: tuple[int, int, int, int], width: int = 256) -> Pixels:
    """Two red discs."""
    image = Image.new("RGBA", (width, 256), ground)
    for left in (20, 140):
        ImageDraw.Draw(image).ellipse((left, 80, left + 90, 170), fill=RED)
    return np.array(image)


def request(prompt: str, pixels: Pixels, mask: Pixels | None = None, **values: Any) -> ImageRequest:
    return ImageRequest(prompt, size=Size(256, 256), source=Edit(pixels, mask), seed=1, **values)


def read(prompt: str) -> Reading:
    """A reading of "… on a meadow", which the planner would find."""
    _, found, after = prompt.partition(" on ")
    return Reading(ground=after if found else "")


def edited(prompt: str, pixels: Pixels, **values: Any) -> tuple[Picture, str]:
    """The picture on its other ground, and what is said of it."""
    asked = request(prompt, pixels, **values)
    wish = other_ground.wish(asked, read)
    assert wish
    events = list(other_ground.on_other_ground(ImageTask(asked, 0), wish, "m"))
    [picture] = [event for event in events if isinstance(event, Picture)]
    [notice] = [event for event in events if isinstance(event, Notice)]
    return picture, notice.text


@pytest.mark.parametrize("ground", [(0, 0, 0, 0), (255, 255, 255, 255), (90, 120, 200, 255)])
def test_ground_is_painted_and_the_subject_stays(ground: tuple[int, int, int, int]) -> None:
    before = discs(ground)
    picture, notice = edited("put them on a meadow", before)
    is_red = (before == (*RED, 255)).all(axis=-1)
    assert (picture.pixels[is_red] == before[is_red]).all()
    assert (picture.pixels[~is_red] == (*RGB_FROM_NAME["green"], 255)).mean() > 0.97
    assert "painted in one colour" in notice


def test_free_space_of_another_shape_is_painted_too() -> None:
    picture, _ = edited("on a blue background", discs((255, 255, 255, 255), width=400))
    for at in ((0, 0), (2, 128), (128, 2), (253, 253)):
        assert tuple(picture.pixels[at]) == (*RGB_FROM_NAME["blue"], 255)


def test_ground_that_is_not_plain_stays_and_is_named() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 4), np.uint8)
    noise[..., 3] = 255
    picture, notice = edited("make the background green", noise)
    assert (picture.pixels == noise).all()
    assert "left as it is" in notice


def test_transparent_ground_is_no_colour() -> None:
    picture, _ = edited("remove the background", discs((255, 255, 255, 255)))
    assert picture.pixels[0, 0, 3] == 0


@pytest.mark.parametrize("background", ["auto", "opaque"])
@pytest.mark.parametrize("has_own_mask", [True, False])
def test_thing_that_is_there_already_is_not_drawn_again(
    background: str, has_own_mask: bool
) -> None:
    clear = discs((0, 0, 0, 0))
    own = np.where(clear[..., 3] == 0, 0, 255).astype(np.uint8) if has_own_mask else None
    asked = request("two red balls on a meadow", clear, background=background)
    asked = replace(asked, source=Edit(clear, own, is_own_mask=has_own_mask))
    assert other_ground.wish(asked, read) == other_ground.GroundWish(RGB_FROM_NAME["green"])


def test_other_edits_are_not_done_here() -> None:
    plain = discs((0, 0, 0, 0))
    mask = np.zeros((256, 256), np.uint8)
    whole = Edit(discs((9, 9, 9, 255)), is_whole=True)
    others = [
        request("a cat", plain),
        request("on a meadow", plain, mask),
        request("a cat on a meadow", plain, mask),
        request("on a meadow", plain, background="transparent"),
        replace(request("a cat on a meadow", plain), source=whole),
        ImageRequest("on a meadow", size=Size(256, 256)),
    ]
    assert [other_ground.wish(other, read) for other in others] == [None] * len(others)
