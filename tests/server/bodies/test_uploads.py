"""Pictures that are sent: every way clients send them, and every way they are wrong."""

from __future__ import annotations

import base64
import io
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limner.server.http import middleware
from tests.server.helpers import EDITS, VARIATIONS, Server, assert_openai_error, picture_file
from tests.support.hostile import animation, bomb

PNG = picture_file()
OCTETS = "application/octet-stream"
ACCEPTED = None  # in place of the code of an error


def assert_drawn(response: httpx2.Response, n: int = 1) -> None:
    assert response.status_code == 200, response.text
    assert len(response.json()["data"]) == n


def _part(name: str, data: bytes = PNG, filename: str = "a.png", kind: str = OCTETS) -> Any:
    return (name, (filename, data, kind))


@pytest.mark.parametrize("name", ["image", "image[]", "image[0]"])
@pytest.mark.parametrize("kind", [OCTETS, "image/png", "text/plain", ""])
@pytest.mark.parametrize("filename", ["image", "upload", "blob", "ü 图.PNG", 'a"b.jpg'])
def test_names_and_types_of_parts_do_not_matter(
    server: Server, name: str, kind: str, filename: str
) -> None:
    response = server.edit([_part(name, filename=filename, kind=kind)], size="256x256")
    assert_drawn(response)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_formats_of_the_gpt_models(server: Server, format: str) -> None:
    data = picture_file(40, 30, mode="RGB", format=format)
    response = server.edit([_part("image", data)], model="gpt-image-1")
    assert_drawn(response)


def test_files_may_come_before_values_and_in_chunks(server: Server) -> None:
    line = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    body = line % (b"image", b'; filename="a.png"', PNG) + line % (b"prompt", b"", b"a hat")
    body += line % (b"n", b"", b"2") + line % (b"stream", b"", b"False") + b"--b--\r\n"

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    headers = {"content-type": 'Multipart/Form-Data; BOUNDARY="b"'}
    response = server.http.post(EDITS, content=chunks(), headers=headers)
    assert_drawn(response, n=2)


def test_sixteen_pictures_and_no_more(server: Server) -> None:
    assert_drawn(server.edit([_part("image[]")] * 16))
    response = server.edit([_part("image[]")] * 17)
    assert_openai_error(response, 400, "array_above_max_length", "image")
    assert_openai_error(server.edit([_part("image[]")] * 50), 400, "invalid_form")
    two = server.edit([_part("image")] * 2, model="dall-e-2")
    assert_openai_error(two, 400, "array_above_max_length", "image")


def test_picture_sent_as_a_field_for_every_byte_is_answered_fast(server: Server) -> None:
    line = b'--b\r\nContent-Disposition: form-data; name="image[%d]"\r\n\r\n137\r\n'
    body = b"".join(line % index for index in range(50_000)) + b"--b--\r\n"
    started_s = time.process_time()  # of the server too, which is in this process
    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = server.http.post(EDITS, content=body, headers=headers)
    message = assert_openai_error(response, 400, "invalid_type", "image")
    assert "as a file with a name" in message
    assert time.process_time() - started_s < 10
    few = server.http.post(EDITS, files={"image[0]": (None, "137"), "prompt": (None, "a hat")})
    assert_openai_error(few, 400, "invalid_type", "image[0]")


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "unsupported_file_mimetype", "The file is empty"),
        (b"hello", "unsupported_file_mimetype", "Supported file formats are 'image/jpeg'"),
        (picture_file(format="GIF", mode="P"), "unsupported_file_mimetype", "'image/gif'"),
        (PNG[:60], "invalid_image", "damaged"),
        (PNG[:8], "invalid_image", "damaged"),
        (picture_file(100, format="JPEG", mode="RGB")[:300], "invalid_image", "damaged"),
        (picture_file(20_000, 1), "invalid_image", "20000x1"),
        (bomb(20_000), "invalid_image", "400000000 pixels"),
        (bomb(8_000), "invalid_image", "8000x8000"),
        (bomb(4_096), "invalid_image", "damaged"),
        (animation(), "invalid_image", "animated: it has 2 frames"),
    ],
    ids=[
        "empty",
        "text",
        "gif",
        "cut",
        "head",
        "cut jpeg",
        "long",
        "bomb",
        "small bomb",
        "short",
        "animated",
    ],
)
def test_wrong_picture(server: Server, data: bytes, code: str, words: str) -> None:
    response = server.edit([_part("image", data)], model="gpt-image-1")
    message = assert_openai_error(response, 400, code, "image")
    assert words in message


@pytest.mark.parametrize(
    "data",
    [picture_file(format="JPEG", mode="RGB"), b"x", PNG + bytes(4_000_000)],
    ids=["jpeg", "text", "4 MB"],
)
@pytest.mark.parametrize("path", [EDITS, VARIATIONS])
def test_dalle2_takes_png_below_4_mb(server: Server, path: str, data: bytes) -> None:
    values = {"model": "dall-e-2"} | ({"prompt": "a hat"} if path == EDITS else {})
    response = server.http.post(path, data=values, files=[_part("image", data)])
    message = assert_openai_error(response, 400, "invalid_image_format", "image")
    assert message == "Uploaded image must be a PNG and less than 4 MB."


def test_dalle2_takes_squares_with_transparency(server: Server) -> None:
    named = {"model": "dall-e-2"}
    response = server.edit([_part("image", picture_file(64, 32))], **named)
    assert "must be square" in assert_openai_error(response, 400, "invalid_image_format", "image")
    solid = picture_file(mode="RGB")
    assert "got RGB" in assert_openai_error(
        server.edit([_part("image", solid)], **named), 400, None, "image"
    )
    with_mask = server.edit([_part("image", solid), _part("mask")], **named)
    assert_drawn(with_mask)
    variation = server.http.post(VARIATIONS, files=[_part("image", solid)])
    assert_drawn(variation)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (picture_file(mode="RGB"), "missing alpha channel"),
        (picture_file(32), "mask size does not match image size: 32x32, and the image is 64x64"),
        (picture_file(colour=(0, 0, 0, 255)), "nothing to edit"),
        (picture_file(format="WEBP"), "must be a PNG"),
    ],
)
def test_wrong_mask(server: Server, mask: bytes, words: str) -> None:
    response = server.edit([_part("image"), _part("mask", mask)])
    message = assert_openai_error(response, 400, "invalid_mask_image_format", "mask")
    assert message.startswith("Invalid mask image format - ")
    assert words in message


def test_jpeg_is_turned_upright_before_it_is_compared_with_its_mask(server: Server) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (40, 20)).save(file, "JPEG", exif=exif)
    for width, height, code in ((20, 40, ACCEPTED), (40, 20, "invalid_mask_image_format")):
        files = [_part("image", file.getvalue()), _part("mask", picture_file(width, height))]
        response = server.edit(files, model="gpt-image-1")
        assert response.json().get("error", {}).get("code") == code


@pytest.mark.parametrize(
    ("values", "param", "code"),
    [
        ({"n": "two"}, "n", "invalid_type"),
        ({"n": "1.5"}, "n", "invalid_type"),
        ({"n": "٣"}, "n", "invalid_type"),
        ({"n": "11"}, "n", "integer_above_max_value"),
        ({"stream": "maybe"}, "stream", "invalid_type"),
        ({"quality": "best"}, "quality", "invalid_value"),
        ({"prompt": ""}, "prompt", "empty_string"),
        ({"bogus[]": "1"}, "bogus[]", "unknown_parameter"),
        ({"style": "vivid"}, "style", "unknown_parameter"),
    ],
)
def test_wrong_value_in_a_form(server: Server, values: Any, param: str, code: str) -> None:
    assert_openai_error(server.edit([_part("image")], **values), 400, code, param)


def test_parts_that_are_missing_or_misplaced(server: Server) -> None:
    none = server.http.post(EDITS, data={"prompt": "x"}, files={"n": (None, "1")})
    assert_openai_error(none, 400, "missing_required_parameter", "image")
    plural = server.edit([_part("images")])
    assert "use 'image' or 'image[]'" in assert_openai_error(plural, 400, "invalid_value", "images")
    file = server.http.post(EDITS, files=[_part("image"), _part("prompt")])
    assert "got a file" in assert_openai_error(file, 400, "invalid_type", "prompt")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("text/plain", "unsupported_content_type"),
        ("application/x-www-form-urlencoded", "unsupported_content_type"),
        ("multipart/form-data", "invalid_form"),
        ("multipart/form-data; boundary=b", "invalid_form"),
    ],
)
def test_body_that_is_no_form(server: Server, kind: str, code: str) -> None:
    for path in (EDITS, VARIATIONS):
        response = server.http.post(path, content=b"prompt=x", headers={"content-type": kind})
        assert_openai_error(response, 400, code)


def _url(data: bytes = PNG) -> dict[str, str]:
    return {"image_url": "data:image/png;base64," + base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"images": [_url()]}, ACCEPTED, None),
        ({"images": [_url()] * 2, "mask": _url()}, ACCEPTED, None),
        ({}, "missing_required_parameter", "images"),
        ({"images": []}, "empty_array", "images"),
        ({"images": None}, "missing_required_parameter", "images"),
        ({"images": ["x"]}, "invalid_value", "images[0]"),
        ({"images": [{}]}, "missing_required_parameter", "images[0].image_url"),
        ({"images": [{"file_id": "file-1"}]}, "image_file_not_found", "images[0].file_id"),
        ({"images": [{"image_url": "http://127.0.0.1/a.png"}]}, "invalid_value", None),
        ({"images": [{"image_url": "data:image/png;base64,@"}]}, "invalid_value", None),
        ({"images": [_url(b"no")]}, "unsupported_file_mimetype", "images"),
        ({"images": [_url()] * 17}, "array_above_max_length", "images"),
        ({"image": _url()}, ACCEPTED, None),
    ],
)
def test_edit_in_json(server: Server, body: Any, code: str | None, param: str | None) -> None:
    response = server.http.post(EDITS, json={"prompt": "a hat"} | body)
    if code is ACCEPTED:
        assert_drawn(response)
        return
    expected = param or response.json()["error"]["param"]
    assert_openai_error(response, 400, code, expected)


def test_upload_beyond_the_limit_is_read_to_its_end_and_refused(server: Server) -> None:
    response = server.edit([_part("image", PNG + bytes(50_000_000))], model="gpt-image-1")
    assert_openai_error(response, 400, "image_too_large", "image")
    response = server.edit([_part("image", bytes(101_000_000))])
    assert_openai_error(response, 400, "request_too_large")


def test_who_stops_in_the_middle_of_an_upload_is_let_go(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "SLOW_S", 0.2)
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as connection:
        head = f"POST {EDITS} HTTP/1.1\r\nhost: localhost\r\n"
        head += "content-type: multipart/form-data; boundary=b"
        connection.sendall(f"{head}\r\ncontent-length: 1000\r\n\r\n--b\r\n".encode())
        connection.settimeout(20)
        answer = b""
        while not answer.endswith(b"}}"):  # head and body come one after the other
            answer += connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"request_timeout"' in answer


_NAMES = st.sampled_from(
    ["image", "image[]", "image[3]", "mask", "prompt", "n", "size", "model", "stream", "svg[model]"]
) | st.text(max_size=8)
_VALUES = (
    st.sampled_from([PNG, PNG[:50], b"1", b"true", b"gpt-image-1", b"1024x1024", b"dall-e-2", b""])
    | st.binary(max_size=40)
    | st.text(max_size=10).map(str.encode)
)
_PARTS = st.lists(st.tuples(_NAMES, _VALUES, st.booleans()), max_size=6)


@settings(max_examples=60)
@given(parts=_PARTS, cut=st.integers(0, 400) | st.none(), path=st.sampled_from([EDITS, VARIATIONS]))
def test_no_form_makes_the_server_fail(
    server: Server, parts: list[tuple[str, bytes, bool]], cut: int | None, path: str
) -> None:
    body = b""
    for name, value, is_file in parts:
        disposition = f'form-data; name="{name}"' + '; filename="f"' * is_file
        body += b"--b\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n"
        body += value + b"\r\n"
    body = (body + b"--b--\r\n")[:cut]
    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = server.http.post(path, content=body, headers=headers)
    if response.status_code == 200:
        assert PNG in body
        return
    error = response.json()["error"]
    assert_openai_error(response, 400, error["code"], error["param"])
