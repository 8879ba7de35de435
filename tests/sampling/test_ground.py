"""The ground of a picture made clear, where it can be told from the subject."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from limner.arrays import Pixels
from limner.sampling.ground import asks_only_to_clear, cleared

RED = (220, 30, 40, 255)


def _picture(ground: Image.Image, box: tuple[int, int, int, int] | None = None) -> Pixels:
    """A red disc on `ground`."""
    image = ground.convert("RGBA")
    width, height = image.size
    disc = box or (width // 4, height // 4, width * 3 // 4, height * 3 // 4)
    ImageDraw.Draw(image).ellipse(disc, fill=RED)
    return np.array(image)


def _plain(width: int = 200, height: int = 200, colour: str = "white") -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def _gradient(side: int = 200) -> Image.Image:
    rows = np.linspace(90, 250, side).astype(np.uint8)
    plane = np.repeat(rows[:, None], side, axis=1)
    return Image.fromarray(np.stack([plane // 2, plane, np.full_like(plane, 250)], axis=-1))


def _as_jpeg(pixels: Pixels) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(file, "JPEG", quality=80)
    return np.array(Image.open(file).convert("RGBA"))


@pytest.mark.parametrize("side", [64, 200, 256, 700])
@pytest.mark.parametrize("colour", ["white", "black", "#7fb0e0"])
def test_a_plain_ground_becomes_clear_and_the_subject_stays(side: int, colour: str) -> None:
    before = _picture(_plain(side, side, colour))
    after = cleared(before)
    assert after is not None
    is_red = (before == RED).all(axis=-1)
    assert (after[~is_red][:, 3] == 0).all()
    assert (after[is_red] == before[is_red]).all()


@pytest.mark.parametrize(("width", "height"), [(600, 200), (200, 600), (1000, 997)])
def test_pictures_of_any_shape(width: int, height: int) -> None:
    after = cleared(_picture(_plain(width, height)))
    assert after is not None
    assert after.shape == (height, width, 4)
    assert after[0, 0, 3] == 0
    assert tuple(after[height // 2, width // 2]) == RED


def test_a_gradient_becomes_clear() -> None:
    before = _picture(_gradient())
    after = cleared(before)
    assert after is not None
    is_red = (before == RED).all(axis=-1)
    assert (after[~is_red][:, 3] == 0).mean() > 0.99
    assert (after[is_red][:, 3] == 255).mean() > 0.99


def test_the_noise_of_a_jpeg_is_of_the_ground() -> None:
    clean = _picture(_plain(400, 400, "#d0e8d0"))
    after = cleared(_as_jpeg(clean))
    assert after is not None
    is_red = (clean == RED).all(axis=-1)
    assert (after[~is_red][:, 3] == 0).mean() > 0.98
    assert (after[is_red][:, 3] == 255).mean() > 0.98


def test_soft_edges_lose_the_colour_of_the_ground() -> None:
    large = Image.fromarray(_picture(_plain(800, 800))).resize((200, 200), Image.Resampling.BOX)
    after = cleared(np.array(large))
    assert after is not None
    is_soft = (after[..., 3] > 60) & (after[..., 3] < 255)
    assert is_soft.sum() > 50
    # Red on white is pink at its edge; without the white it is red again.
    assert np.abs(after[is_soft][:, :3].astype(int) - RED[:3]).max() < 60


def test_a_subject_that_is_cut_by_the_border() -> None:
    before = _picture(_plain(), (60, 120, 140, 260))  # below the lower border
    after = cleared(before)
    assert after is not None
    assert after[0, 0, 3] == 0
    assert tuple(after[199, 100]) == RED


def test_what_the_subject_encloses_stays() -> None:
    before = _picture(_plain())
    before[90:110, 90:110] = (255, 255, 255, 255)
    after = cleared(before)
    assert after is not None
    assert after[100, 100, 3] == 255


def test_a_clear_ground_stays_as_it_is() -> None:
    before = _picture(_plain())
    before[(before == 255).all(axis=-1)] = 0
    after = cleared(before)
    assert after is not None
    assert (after == before).all()


def _noise() -> Pixels:
    pixels = np.random.default_rng(1).integers(0, 256, (200, 200, 4), np.uint8)
    pixels[..., 3] = 255
    return pixels


def _checks() -> Pixels:
    return _picture(
        Image.fromarray((np.indices((200, 200)).sum(axis=0) // 12 % 2 * 200).astype(np.uint8))
    )


@pytest.mark.parametrize(
    "pixels",
    [_noise(), _checks(), np.array(_plain().convert("RGBA")), _noise()[:3, :3]],
    ids=["noise", "checks", "nothing but ground", "tiny"],
)
def test_what_cannot_be_told_is_left(pixels: Pixels) -> None:
    assert cleared(pixels) is None


def test_a_maze_ends() -> None:
    """The worst case for a search along rows and columns: a corridor that winds for ever."""
    pixels = np.full((256, 256, 4), 255, np.uint8)
    pixels[2:-2:4, 2:-2] = RED
    pixels[4:-2:8, 2:-6] = (255, 255, 255, 255)
    assert cleared(pixels) is not None


def test_a_large_picture() -> None:
    after = cleared(_picture(_plain(3840, 2160)))
    assert after is not None
    assert after[5, 5, 3] == 0


@pytest.mark.parametrize(
    "prompt",
    [
        "remove the background",
        "Remove background.",
        "Please remove the background from this image",
        "Can you remove the background of the photo?",
        "make the background transparent",
        "transparent background",
        "去掉背景",
        "请把背景去掉",
        "移除图片的背景",
        "把背景变成透明",
        "抠图",
    ],
)
def test_prompts_that_ask_for_nothing_else(prompt: str) -> None:
    assert asks_only_to_clear(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "remove the background and add a hat",
        "a cat on a transparent background",
        "a red background",
        "remove the hat",
        "背景换成红色",
        "",
        "please " * 5000,
    ],
)
def test_prompts_that_ask_for_more(prompt: str) -> None:
    assert not asks_only_to_clear(prompt)
