"""Edits with `background: "transparent"`: the ground is clear, or the answer says why not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from limner.arrays import Pixels
from tests.server.helpers import VARIATIONS, Server, make_settings, open_picture, running

RED = (220, 30, 40, 255)


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("drawing")
    with running(make_settings(home, engine="transformer")) as server:
        yield server


def _file(pixels: Pixels, format: str = "PNG") -> list[Any]:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if format == "PNG" else image.convert("RGB")).save(file, format)
    return [("image", ("a", file.getvalue()))]


def _disc() -> Pixels:
    image = Image.new("RGBA", (256, 256), "white")
    ImageDraw.Draw(image).ellipse((60, 60, 196, 196), fill=RED)
    return np.array(image)


def _noise() -> Pixels:
    pixels = np.random.default_rng(1).integers(0, 256, (256, 256, 4), np.uint8)
    pixels[..., 3] = 255
    return pixels


def _edit(server: Server, files: list[Any], **values: str) -> tuple[Pixels, str]:
    """The picture that comes back, and the notice with it."""
    wanted = {"size": "256x256", "response_format": "b64_json", "seed": "7"} | values
    response = server.edit(files, **wanted)
    return _drawn(response)


def _drawn(response: httpx2.Response) -> tuple[Pixels, str]:
    assert response.status_code == 200, response.text
    picture = open_picture(response.json()["data"][0]["b64_json"])
    return np.array(picture.convert("RGBA")), response.headers.get("x-limner-notice", "")


@pytest.mark.parametrize("model", ["", "gpt-image-2", "nano"])
@pytest.mark.parametrize("prompt", ["remove the background", "去掉背景"])
def test_removing_the_background_keeps_the_subject(
    drawing: Server, prompt: str, model: str
) -> None:
    before = _disc()
    after, notice = _edit(
        drawing, _file(before), prompt=prompt, background="transparent", model=model
    )
    is_red = (before == RED).all(axis=-1)
    assert (after[~is_red][:, 3] == 0).all()
    assert (after[is_red] == before[is_red]).all()
    assert "not drawn anew" in notice


def test_gpt_names_need_no_word_beside_the_prompt(drawing: Server) -> None:
    after, _ = _edit(drawing, _file(_disc()), prompt="Remove the background", model="gpt-image-1")
    assert after[0, 0, 3] == 0


def test_opaque_is_opaque(drawing: Server) -> None:
    after, _ = _edit(drawing, _file(_disc()), prompt="remove the background", background="opaque")
    assert (after[..., 3] == 255).all()


def test_a_ground_that_cannot_be_told_is_left_and_said(drawing: Server) -> None:
    before = _noise()
    after, notice = _edit(
        drawing, _file(before), prompt="remove the background", background="transparent"
    )
    assert (after == before).all()
    assert "could not be told" in notice


def test_an_edit_of_a_photo_is_drawn_on_a_clear_ground(drawing: Server) -> None:
    after, notice = _edit(
        drawing, _file(_disc(), "JPEG"), prompt="a green apple", background="transparent"
    )
    assert (after[[0, 0, -1, -1], [0, -1, 0, -1], 3] == 0).all()
    assert 0.02 < (after[..., 3] > 200).mean() < 0.9
    assert notice == ""


def test_an_edit_with_a_mask_is_on_a_clear_ground(drawing: Server) -> None:
    before = _disc()
    mask = before.copy()
    mask[100:150, 100:150, 3] = 0
    [(_, mask_file)] = _file(mask)
    after, _ = _edit(
        drawing,
        [*_file(before), ("mask", mask_file)],
        prompt="a green leaf",
        background="transparent",
    )
    assert after[0, 0, 3] == 0
    assert tuple(after[80, 128]) == RED  # the subject beside the mask


def test_a_variation_of_a_photo_on_a_clear_ground_is_not_offered(drawing: Server) -> None:
    """OpenAI's API has no background for variations."""
    response = drawing.http.post(
        VARIATIONS, data={"background": "transparent"}, files=_file(_disc())
    )
    assert response.status_code == 400


def test_without_a_word_the_ground_stays(drawing: Server) -> None:
    after, notice = _edit(drawing, _file(_disc(), "JPEG"), prompt="a green apple", model="nano")
    assert (after[..., 3] == 255).all()
    assert notice == ""
