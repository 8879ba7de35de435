"""`refine` and `where` over HTTP, with the rules of all parameters."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.server.helpers import (
    EDITS,
    HISTORY,
    Server,
    assert_openai_error,
    open_picture,
    two_things_file,
)


def test_refined_picture_says_what_was_tried(server: Server) -> None:
    """A test card shows no bicycle, so it is drawn three times."""
    answers = [
        server.generate(prompt="a bicycle", seed=7, refine=True, response_format="b64_json")
        for _ in range(2)
    ]
    first, second = (answer.json()["data"][0]["b64_json"] for answer in answers)
    assert first == second
    notice = answers[0].headers["x-limner-notice"]
    assert "Picture 1 was refined: 1. seed 7" in notice
    assert answers[0].headers["x-limner-seed"] == "7"
    [row] = server.http.get(HISTORY, params={"limit": 1}).json()["data"]
    assert row["parameters"]["refine"] is True
    [picture] = row["pictures"]
    assert picture["seed"] == 7
    assert len(picture["refined"]["tries"]) == 3
    assert open_picture(first).info["refined"]


def test_stream_says_what_was_tried(server: Server) -> None:
    answer = server.generate(prompt="a bicycle", refine=True, stream=True, model="gpt-image-1")
    assert ": Picture 1 was refined" in answer.text
    assert "image_generation.completed" in answer.text


def test_only_pictures_from_text_are_refined(server: Server) -> None:
    files = {"image": ("a.png", two_things_file())}
    assert_openai_error(server.edit(files, refine="true"), 400, "invalid_value", "refine")
    assert_openai_error(server.generate(refine="perhaps"), 400, "invalid_type", "refine")


def test_words_are_a_mask_in_forms_and_json(server: Server) -> None:
    """The card shows the mask, so it is the same as with the mask that the words stand for."""
    found = server.service.studio.find(pixels_of(two_things_file()), "the red circle")
    assert found.mask[125, 65]
    assert not found.mask[125, 190]
    mask = np.full((256, 256, 4), 255, np.uint8)
    mask[found.mask] = 0
    how = {"size": "256x256", "response_format": "b64_json", "seed": "7"}
    files = {"image": ("a.png", two_things_file()), "mask": ("mask.png", file_of(mask))}
    masked = server.edit(files, **how)
    by_words = server.edit({"image": files["image"]}, where="the red circle", **how)
    url = "data:image/png;base64," + base64.b64encode(two_things_file()).decode()
    body = {"image": url, "prompt": "a hat", "where": "the red circle", "seed": 7}
    json = server.http.post(EDITS, json=body | {"model": "gpt-image-1", "size": "256x256"})
    pictures = [
        pixels_of(base64.b64decode(answer.json()["data"][0]["b64_json"]))
        for answer in (masked, by_words, json, server.edit({"image": files["image"]}, **how))
    ]
    assert np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], pictures[3])


def pixels_of(data: bytes) -> NDArray[np.uint8]:
    """The pixels of a file."""
    return np.array(open_picture(base64.b64encode(data).decode()).convert("RGBA"))


def file_of(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_thing_that_is_not_there_is_refused(server: Server) -> None:
    files = {"image": ("a.png", two_things_file())}
    message = assert_openai_error(
        server.edit(files, where="the bicycle"), 400, "invalid_value", "where"
    )
    assert "which shows perhaps" in message


def test_words_and_a_mask_are_refused(server: Server) -> None:
    file = ("a.png", two_things_file())
    answer = server.edit({"image": file, "mask": file}, where="the circle")
    assert_openai_error(answer, 400, "invalid_value", "where")
    answer = server.edit({"image": file}, where="x" * 201)
    assert_openai_error(answer, 400, "invalid_value", "where")
