"""`markup` of edits: what is drawn on it is edited, and the rest of the picture stays."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from openai import OpenAI
from PIL import Image

from limner.imaging import codec
from tests.server.helpers import EDITS, Server, assert_openai_error, open_picture, picture_file

PHOTO = picture_file(64, mode="RGB", colour="orange")
ASKED = {"seed": "5", "size": "256x256", "response_format": "b64_json"}


def _overlay(alpha: int = 255, side: int = 64) -> bytes:
    """A red stroke of this alpha on a clear ground."""
    pixels = np.zeros((side, side, 4), np.uint8)
    pixels[side // 4 : side // 2, : side // 2] = [255, 0, 0, alpha]
    return codec.encode(pixels)


def _mask() -> bytes:
    """The mask that says the same."""
    pixels = np.full((64, 64, 4), 255, np.uint8)
    pixels[16:32, :32, 3] = 0
    return codec.encode(pixels)


def _drawn(answer: Any) -> bytes:
    assert answer.status_code == 200, answer.text
    return base64.b64decode(answer.json()["data"][0]["b64_json"])


@pytest.mark.parametrize("alpha", [255, 90, 1])
@pytest.mark.parametrize("model", ["testcard", "gpt-image-2.5-flare"])
def test_what_is_drawn_on_is_edited(server: Server, alpha: int, model: str) -> None:
    asked = ASKED | {"model": model}
    masked = _drawn(server.edit({"image": PHOTO, "mask": _mask()}, **asked))
    marked = _drawn(server.edit({"image": PHOTO, "markup": _overlay(alpha)}, **asked))
    assert marked == masked
    assert marked != _drawn(server.edit({"image": PHOTO}, **asked))


def test_json_says_the_same(server: Server) -> None:
    def url(data: bytes) -> dict[str, str]:
        return {"image_url": "data:image/png;base64," + base64.b64encode(data).decode()}

    body = {"prompt": "a hat", "images": [url(PHOTO)], "seed": 5, "size": "256x256"}
    answers = [
        server.http.post(EDITS, json=body | {name: url(data)})
        for name, data in (("mask", _mask()), ("markup", _overlay()))
    ]
    assert _drawn(answers[0]) == _drawn(answers[1])


def test_the_client_sends_it(server: Server) -> None:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        answer = client.images.edit(
            image=("a.png", PHOTO),
            markup=("markup.png", _overlay()),
            prompt="a hat",
            model="gpt-image-2.5-sunburst",
            size="1024x1024",
        )
    assert answer.data is not None
    assert open_picture(answer.data[0].b64_json or "").size == (1024, 1024)


def test_without_a_model_it_is_of_the_gpt_era(server: Server) -> None:
    answer = server.edit({"image": PHOTO, "markup": _overlay()})
    assert answer.status_code == 200, answer.text
    assert "usage" in answer.json()


def test_it_follows_the_orientation_of_the_picture(server: Server) -> None:
    """A photograph of 48x96 that EXIF turns is one of 96x48."""
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (96, 48), "orange").save(file, "JPEG", exif=exif)
    upright = np.zeros((96, 48, 4), np.uint8)
    upright[:20, :20] = 255
    sent = {"image": file.getvalue(), "markup": codec.encode(upright)}
    assert server.edit(sent, size="256x256").status_code == 200
    sent["markup"] = codec.encode(np.ascontiguousarray(upright.transpose(1, 0, 2)))
    answer = server.edit(sent, size="256x256")
    message = assert_openai_error(answer, 400, "invalid_markup_image_format", "markup")
    assert "markup is 96x48 pixels and the image 48x96" in message


@pytest.mark.parametrize(
    ("markup", "words"),
    [
        (picture_file(64), "nothing is drawn on it"),
        (_overlay(side=32), "markup is 32x32 pixels and the image 64x64"),
        (picture_file(64, colour="red"), "it must be transparent where nothing is to be edited"),
        (picture_file(64, mode="RGB"), "missing alpha channel"),
        (picture_file(64, format="WEBP"), "must be a PNG"),
        (b"no picture", "must be a PNG"),
    ],
    ids=["clear", "small", "full", "opaque", "webp", "text"],
)
def test_what_says_nothing_is_refused(server: Server, markup: bytes, words: str) -> None:
    for model in ("testcard", "gpt-image-2.5-flare", "dall-e-2"):
        answer = server.edit({"image": picture_file(64), "markup": markup}, model=model)
        message = assert_openai_error(answer, 400, "invalid_markup_image_format", "markup")
        assert words in message


def test_damaged_and_misplaced_ones_are_refused(server: Server) -> None:
    answer = server.edit({"image": PHOTO, "markup": _overlay()[:60]})
    assert_openai_error(answer, 400, "invalid_image", "markup")
    answer = server.edit({"image": PHOTO, "mask": _mask()[:60]})
    assert_openai_error(answer, 400, "invalid_image", "mask")
    answer = server.edit({"image": PHOTO[:60], "mask": _mask()})
    assert_openai_error(answer, 400, "invalid_image", "image")
    answer = server.edit({"image": PHOTO, "markup": _overlay(), "mask": _mask()})
    assert "cannot be combined" in assert_openai_error(answer, 400, "invalid_value", "markup")
    answer = server.edit({"image": PHOTO}, markup="red")
    assert_openai_error(answer, 400, "invalid_type", "markup")
    answer = server.generate(markup="red")
    assert_openai_error(answer, 400, "unknown_parameter", "markup")
    assert_openai_error(
        server.edit({"markup": _overlay()}), 400, "missing_required_parameter", "image"
    )
