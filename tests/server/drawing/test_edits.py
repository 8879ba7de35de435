"""Edits and variations over HTTP: shapes of the answer by era, sizes, notices and refusals."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.server.helpers import (
    EDITS,
    GENERATIONS,
    VARIATIONS,
    Server,
    assert_openai_error,
    make_settings,
    open_picture,
    picture_file,
    running,
)

PNG = picture_file()


def image(data: bytes = PNG) -> list[Any]:
    return [("image", ("a.png", data))]


@pytest.mark.parametrize(
    ("values", "container"),
    [
        ({}, "url"),
        ({"model": "dall-e-2"}, "url"),
        ({"model": "dall-e-3"}, "url"),
        ({"model": "gpt-image-1"}, "b64_json"),
        ({"model": "gpt-image-2"}, "b64_json"),
        ({"background": "opaque"}, "b64_json"),
        ({"model": "testcard"}, "url"),
        ({"model": "gpt-image-1", "response_format": "url"}, "url"),
        ({"response_format": "b64_json"}, "b64_json"),
    ],
)
def test_every_era_gets_its_answer(server: Server, values: Any, container: str) -> None:
    answer = server.edit(image(), **values).json()
    assert [container in item for item in answer["data"]] == [True]
    assert ("usage" in answer) == ("gpt" in str(values) or "background" in values)
    if "background" in values:
        return  # not a parameter of variations
    varied = server.http.post(VARIATIONS, data=values, files=image()).json()
    assert [container in item for item in varied["data"]] == [True]
    assert "revised_prompt" not in varied["data"][0]


def test_seed_and_n(server: Server) -> None:
    def pictures(path: str, **values: Any) -> list[str]:
        values = {"response_format": "b64_json", "size": "256x256", "seed": "7"} | values
        if path == EDITS:
            values["prompt"] = "a hat"
        response = server.http.post(path, data=values, files=image())
        assert response.headers["x-limner-seed"] == "7"
        return [item["b64_json"] for item in response.json()["data"]]

    for path in (EDITS, VARIATIONS):
        three = pictures(path, n="3")
        assert len(set(three)) == 3
        assert pictures(path) == three[:1]


@pytest.mark.parametrize(
    ("width", "height", "values", "size"),
    [
        (96, 64, {"model": "gpt-image-1"}, (1536, 1024)),
        (64, 96, {"model": "gpt-image-1", "size": "auto"}, (1024, 1536)),
        (70, 64, {"model": "gpt-image-2"}, (1024, 1024)),
        (96, 64, {"model": "gpt-image-1", "size": "1024x1024"}, (1024, 1024)),
        (96, 64, {"model": "gpt-image-2", "size": "1824x1024"}, (1824, 1024)),
        (101, 77, {"model": "testcard"}, (101, 77)),
        (101, 77, {"model": "testcard", "size": "320x160"}, (320, 160)),
        (64, 64, {"model": "dall-e-2"}, (1024, 1024)),
        (64, 64, {"size": "512x512"}, (512, 512)),
    ],
)
def test_size_of_an_edit(
    server: Server, width: int, height: int, values: Any, size: tuple[int, int]
) -> None:
    data = values | {"response_format": "b64_json"}
    answer = server.edit(image(picture_file(width, height)), **data).json()
    assert open_picture(answer["data"][0]["b64_json"]).size == size
    assert answer.get("size", f"{size[0]}x{size[1]}") == f"{size[0]}x{size[1]}"


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("dall-e-2", ["256x256", "512x512", "1024x1024"]),
        ("dall-e-3", ["1024x1024", "1792x1024", "1024x1792"]),
        ("gpt-image-1", ["1024x1024", "1536x1024", "1024x1536", "auto"]),
        ("gpt-image-2", ["1824x1024", "1024x1824", "2560x1440", "auto"]),
    ],
)
def test_every_size_of_a_model_is_drawn(server: Server, model: str, sizes: list[str]) -> None:
    for size in sizes:
        body = {"prompt": "a cat", "model": model, "size": size, "response_format": "b64_json"}
        [item] = server.http.post(GENERATIONS, json=body).json()["data"]
        width, height = open_picture(item["b64_json"]).size
        assert f"{width}x{height}" == ("1024x1024" if size == "auto" else size)


def test_more_pictures_than_one_are_noted(server: Server) -> None:
    part = ("image[]", ("a.png", PNG))
    for n, words in ((2, "the other one was not used"), (4, "the other 3 were not used")):
        response = server.edit([part] * n)
        assert response.status_code == 200
        assert response.headers["x-limner-notice"] == f"The first picture was edited; {words}"
    assert "x-limner-notice" not in server.edit([part]).headers
    streamed = server.edit([part] * 2, stream="true")
    assert "not used" in streamed.headers["x-limner-notice"]


def test_stream_of_an_edit(server: Server) -> None:
    response = server.edit(image(), stream="true", partial_images="1", n="2")
    lines = [line for line in response.text.splitlines() if line.startswith("data: ")]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert [event["type"] for event in events] == [
        "image_edit.partial_image",
        "image_edit.completed",
    ] * 2
    assert events[1]["usage"]["input_tokens_details"]["image_tokens"] == 64
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    body = {"prompt": "a hat", "images": [{"image_url": url}], "stream": True}
    assert "event: image_edit.completed" in server.http.post(EDITS, json=body).text


def test_blocked_prompt_of_an_edit(server: Server) -> None:
    assert_openai_error(server.edit(image(), prompt="gore"), 400, "content_policy_violation")


def test_an_engine_that_cannot_is_named(gated: Server) -> None:
    response = gated.edit(image(), size="256x256")
    message = assert_openai_error(response, 400, "unsupported_operation")
    assert "Engine gated cannot edit pictures" in message
    response = gated.http.post(VARIATIONS, files=image())
    message = assert_openai_error(response, 400, "unsupported_operation")
    assert "Engine gated cannot draw variations" in message


@pytest.fixture(scope="module")
def drawing(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the default engine."""
    home = tmp_path_factory.mktemp("drawing")
    values = {"engine": "transformer", "weights": str(tiny_weights), "threads": 1}
    with running(make_settings(home, **values)) as server:
        yield server


def test_the_default_engine_edits_within_the_mask(drawing: Server) -> None:
    rng = np.random.default_rng(3)
    source = rng.integers(0, 256, (256, 256, 4)).astype(np.uint8)
    values = {"size": "256x256", "response_format": "b64_json", "background": "transparent"}
    alpha = np.full((256, 256), 255, np.uint8)
    alpha[40:150, 100:180] = 0
    mask = np.dstack([source[..., :3], alpha])
    files = [
        ("image", ("a.png", _png(source))),
        ("mask", ("m.png", _png(mask))),
    ]
    answer = drawing.edit(files, **values, n="2").json()
    results = [np.array(open_picture(item["b64_json"])) for item in answer["data"]]
    for result in results:
        assert np.array_equal(result[alpha > 0], source[alpha > 0])
        assert not np.array_equal(result, source)
    assert not np.array_equal(results[0], results[1])
    large = drawing.edit(files, model="gpt-image-1", size="1536x1024")
    assert open_picture(large.json()["data"][0]["b64_json"]).size == (1536, 1024)


def test_the_default_engine_varies_and_tells_what_it_took_for_a_mask(drawing: Server) -> None:
    source = np.zeros((64, 64, 4), np.uint8)
    source[16:48, 16:48] = (200, 40, 40, 255)
    values = {"size": "256x256", "n": "2", "response_format": "b64_json"}
    answer = drawing.http.post(VARIATIONS, data=values, files=image(_png(source))).json()
    assert len({item["b64_json"] for item in answer["data"]}) == 2
    response = drawing.edit(image(_png(source)), size="256x256")
    assert "what is transparent in the picture was drawn" in response.headers["x-limner-notice"]


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
