"""Pictures in JSON, in every form that clients send them."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from tests.server.helpers import (
    EDITS,
    Server,
    assert_openai_error,
    make_settings,
    picture_file,
    running,
)

_NAMED = {"prompt": "a hat", "model": "testcard", "response_format": "b64_json", "seed": 7}


def _photo(side: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (side, side, 4), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


SMALL, LARGE = _photo(40), _photo(300)  # the text of the large one goes to a file


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _lines(data: bytes) -> str:
    return base64.encodebytes(data).decode().replace("\n", "\r\n")


def _data_url(data: bytes) -> str:
    return "data:image/png;base64," + _b64(data)


FORMS: dict[str, Any] = {
    "image": lambda data: {"image": _data_url(data)},
    "image of base64": lambda data: {"image": _b64(data)},
    "base64 in lines": lambda data: {"image": _lines(data)},
    "base64 for addresses": lambda data: {"image": base64.urlsafe_b64encode(data).decode()},
    "data URL in lines": lambda data: {"image": "data:image/png;base64,\n" + _lines(data)},
    "space around": lambda data: {"image": f"\n {_data_url(data)}\n"},
    "array": lambda data: {"image": [_b64(data)]},
    "image[]": lambda data: {"image[]": [_data_url(data)]},
    "image as object": lambda data: {"image": {"image_url": _data_url(data)}},
    "images as string": lambda data: {"images": _b64(data)},
    "images as object": lambda data: {"images": {"b64_json": _b64(data)}},
    "images of strings": lambda data: {"images": [_data_url(data)]},
    "images of objects": lambda data: {"images": [{"image_url": _data_url(data)}]},
    "url in image_url": lambda data: {"images": [{"image_url": {"url": _data_url(data)}}]},
    "with a type": lambda data: {
        "images": [{"type": "image_url", "image_url": {"url": _data_url(data), "detail": "auto"}}]
    },
    "b64_json": lambda data: {"images": [{"b64_json": _lines(data)}]},
    "null beside it": lambda data: {"images": [_b64(data)], "image": None, "mask": ""},
}


def _post(server: Server, **body: Any) -> httpx2.Response:
    return server.http.post(EDITS, json=_NAMED | body)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["short", "long"])
@pytest.mark.parametrize("form", FORMS)
def test_a_picture_arrives_as_in_a_form(server: Server, form: str, data: bytes) -> None:
    expected = server.edit([("image", ("a.png", data, "image/png"))], **_NAMED)
    response = _post(server, **FORMS[form](data))
    assert response.status_code == 200, response.text
    assert response.json()["data"] == expected.json()["data"]


MASK = picture_file(40)


@pytest.mark.parametrize(
    "value",
    [
        _b64(MASK),
        _data_url(MASK),
        {"image_url": _data_url(MASK)},
        {"image_url": {"url": _data_url(MASK)}},
        {"b64_json": _lines(MASK)},
    ],
)
def test_a_mask_in_the_same_forms(server: Server, value: Any) -> None:
    parts = [("image", ("a.png", SMALL, "image/png")), ("mask", ("m.png", MASK, "image/png"))]
    expected = server.edit(parts, **_NAMED)
    response = _post(server, image=_b64(SMALL), mask=value)
    assert response.status_code == 200, response.text
    assert response.json()["data"] == expected.json()["data"]


def test_several_pictures_in_an_array(server: Server) -> None:
    response = _post(server, image=[_b64(SMALL), _data_url(LARGE), {"b64_json": _b64(SMALL)}])
    assert "the other 2 were not used" in response.headers["x-limner-notice"]


@pytest.mark.parametrize("history", [True, False])
def test_a_picture_of_this_server_by_its_address(tmp_path: Path, history: bool) -> None:
    with running(make_settings(tmp_path, history=history)) as server:
        address = server.generate().json()["data"][0]["url"]
        file = server.http.get(address).content
        expected = server.edit([("image", ("a.png", file, "image/png"))], **_NAMED).json()["data"]
        relative = address.removeprefix(server.url)
        for value in (address, relative, f"https://by.another.name{relative}"):
            for body in ({"image": value}, {"images": [{"image_url": {"url": value}}]}):
                response = _post(server, **body)
                assert response.status_code == 200, response.text
                assert response.json()["data"] == expected


@pytest.fixture(scope="module")
def drawn(server: Server) -> str:
    return str(server.generate().json()["data"][0]["url"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"), "signature"),
        (lambda url: url.replace("se=", "se=9"), "signature"),
        (lambda url: url.partition("?")[0], "signature"),
        (lambda url: url.replace("img-", "img-/"), "data:image/png;base64"),
        (lambda url: "http://127.0.0.1:9/a.png", "data:image/png;base64"),
        (lambda url: "file:///etc/passwd", "data:image/png;base64"),
        (lambda url: "http://[", "data:image/png;base64"),
        (lambda url: "/etc/passwd.png", "data:image/png;base64"),
        (lambda url: "apple.png", "data:image/png;base64"),
        (lambda url: "data:image/png,plain", "data:image/png;base64"),
        (lambda url: "http://127.0.0.1/" + "a" * 100_000, "data:image/png;base64"),
        (lambda url: "é" * 100_000, "data:image/png;base64"),
        (lambda url: "QUJD=QUJD", "data:image/png;base64"),
    ],
)
def test_other_addresses_are_refused_with_what_is_taken(
    server: Server, drawn: str, change: Any, words: str
) -> None:
    response = _post(server, image=change(drawn))
    assert words in assert_openai_error(response, 400, "invalid_value", "image")


def test_an_address_that_has_ended(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        address = server.generate().json()["data"][0]["url"]
        for path in server.stored:
            path.unlink()
        message = assert_openai_error(_post(server, image=address), 400, "invalid_value", "image")
        assert "no longer" in message


def test_stored_pictures_count_as_if_they_were_sent(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        address = server.generate(size="1024x1024").json()["data"][0]["url"]
        budget = server.app.state.body_budget
        budget.limit_bytes = 100_000
        response = _post(server, images=[address] * 16)
        assert_openai_error(response, 503, "server_is_overloaded")
        assert budget.n_bytes == 0


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"image": 1}, "invalid_type", "image"),
        ({"image": [1, 2, 3]}, "invalid_type", "image[0]"),
        ({"image": [[]]}, "invalid_type", "image[0]"),
        ({"image": []}, "empty_array", "image"),
        ({"image": [{}]}, "missing_required_parameter", "image[0].image_url"),
        ({"image": {"image_url": {}}}, "missing_required_parameter", "image.image_url.url"),
        ({"image": {"image_url": 1}}, "invalid_type", "image.image_url"),
        ({"image": {"b64_json": 1}}, "invalid_type", "image.b64_json"),
        ({"image": {"file_id": "file-1"}}, "image_file_not_found", "image.file_id"),
        ({"image": _b64(SMALL), "images": [_b64(SMALL)]}, "invalid_value", "images"),
        ({"image": _b64(SMALL), "mask": [_b64(SMALL)]}, "invalid_type", "mask"),
        ({"image": _b64(b"no")}, "unsupported_file_mimetype", "image"),
        ({"image": ""}, "missing_required_parameter", "images"),
        ({"image": [_b64(SMALL)] * 17}, "array_above_max_length", "image"),
    ],
)
def test_what_is_no_picture(server: Server, body: Any, code: str, param: str) -> None:
    assert_openai_error(_post(server, **body), 400, code, param)
