"""Whatever is sent, and whoever leaves: a clear refusal, nothing kept, and the next one is served.

What single fields and files may be is in test_errors and test_uploads; here are the attacks.
"""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import struct
import tempfile
import threading
import zlib
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limner.server.http import middleware
from tests.compat.trial import serving
from tests.server.helpers import (
    EDITS,
    GENERATIONS,
    VARIATIONS,
    Server,
    assert_openai_error,
    make_settings,
    picture_file,
    running,
    wait_until,
)

MODERATIONS = "/v1/moderations"


def _check(response: httpx2.Response) -> None:
    """An answer is as asked for, or a refusal in the envelope; never a failure of the server."""
    assert response.status_code < 500, response.text
    if response.status_code != 200:
        error = response.json()["error"]
        assert_openai_error(response, response.status_code, error["code"], error["param"])


# json.dumps writes lone surrogates as escapes, as some clients do.
_TEXTS = st.sampled_from(
    ["a cat", "", " ", "\ud83d", "\0", "\x1b[2J", "auto", "256x256", "9" * 400, "gpt-image-1"]
) | st.text(st.characters(exclude_categories=()), max_size=8)
_NUMBERS = (
    st.sampled_from([0, 1, -1, 2**63, 10**400, True, False, None, 1.5, 1e308]) | st.integers()
)
_VALUES = st.recursive(
    _TEXTS | _NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(
    [
        *("model", "n", "size", "quality", "style", "background", "output_format", "stream"),
        *("output_compression", "partial_images", "response_format", "user", "seed", "svg"),
        *("safety_identifier", "moderation", "input", "images", "mask", "prompt"),
    ]
)
_BODIES = st.dictionaries(_NAMES | st.text(max_size=4), _VALUES, max_size=5)


@settings(max_examples=100)
@given(body=_BODIES, path=st.sampled_from([GENERATIONS, GENERATIONS, MODERATIONS, EDITS]))
def test_no_json_makes_the_server_fail(server: Server, body: dict[str, Any], path: str) -> None:
    if path == GENERATIONS:
        body = {"prompt": "a cat", "size": "256x256"} | body
    headers = {"content-type": "application/json"}
    _check(server.http.post(path, content=json.dumps(body), headers=headers))


@settings(max_examples=40)
@given(data=st.binary(max_size=200), kind=st.sampled_from(["application/json", "a/b+json", ""]))
def test_no_bytes_make_the_server_fail(server: Server, data: bytes, kind: str) -> None:
    response = server.http.post(GENERATIONS, content=data, headers={"content-type": kind})
    assert response.status_code == 400
    _check(response)


def test_nested_as_deep_as_can_be_read(server: Server) -> None:
    for depth in (100, 900, 5_000):
        for name in ("user", "prompt", "bogus"):
            nested = b"[" * depth + b"]" * depth
            content = b'{"prompt": "a cat", "size": "256x256", "%s": %s}' % (name.encode(), nested)
            _check(server.http.post(GENERATIONS, content=content))


def _saved(mode: str, format: str, size: tuple[int, int] = (40, 40), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, format, **options)
    return file.getvalue()


def _text_bomb() -> bytes:
    """A PNG of one pixel with a compressed text of 200 MB."""
    png = _saved("RGBA", "PNG", (1, 1))
    packed = zlib.compress(bytes(200_000_000), 9)
    chunk = b"zTXt" + b"Comment\0\0" + packed
    bomb = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:33] + bomb + png[33:]


def _moving_webp() -> bytes:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return file.getvalue()


_PHOTO = Image.effect_noise((200, 200), 90).convert("RGB")


def _cut(format: str) -> bytes:
    file = io.BytesIO()
    _PHOTO.save(file, format)
    return file.getvalue()[: len(file.getvalue()) // 2]


@pytest.mark.parametrize(
    "data",
    [
        *(_text_bomb(), _moving_webp(), _cut("WEBP"), _cut("PNG"), _cut("JPEG")),
        _saved("1", "PNG", (9000, 1)),
    ],
    ids=["text bomb", "moving webp", "cut webp", "cut png", "cut jpeg", "long"],
)
def test_broken_and_hostile_pictures_are_refused(server: Server, data: bytes) -> None:
    files = [("image", ("a.png", data, "image/png"))]
    response = server.edit(files, model="gpt-image-1")
    assert_openai_error(response, 400, "invalid_image", "image")


@pytest.mark.parametrize(
    ("mode", "format"),
    [("1", "PNG"), ("P", "PNG"), ("I;16", "PNG"), ("LA", "PNG"), ("CMYK", "JPEG"), ("L", "JPEG")],
)
@pytest.mark.parametrize("size", [(1, 1), (40, 30)])
def test_pictures_of_any_kind_are_read(
    server: Server, mode: str, format: str, size: tuple[int, int]
) -> None:
    files = [("image", ("a", _saved(mode, format, size), "image/png"))]
    response = server.edit(files, model="gpt-image-1")
    _check(response)
    assert response.status_code == 200 or "picture is" not in response.text


def test_data_url_has_a_limit(server: Server) -> None:
    address = "data:image/png;base64," + "A" * 21_000_000
    body = {"prompt": "a hat", "images": [{"image_url": address}]}
    response = server.http.post(EDITS, json=body)
    assert_openai_error(response, 400, "string_above_max_length", "images[0].image_url")


def test_what_is_refused_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    big = picture_file() + bytes(4_500_000)  # large enough to be put down in a file while read
    with running(make_settings(tmp_path)) as server:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            for body in ({"prompt": "gore"}, {"n": 11}, {"size": "1x1"}, {"model": "x"}):
                assert server.generate(**body).status_code == 400
            for path in (EDITS, VARIATIONS):
                files = [("image", ("a.png", big, "image/png"))]
                refused = server.http.post(path, files=files, data={"model": "dall-e-2"})
                assert refused.status_code == 400
            assert server.http.post(GENERATIONS, content=b'{"prompt": "a cat"').status_code == 400
        assert server.stored == []
        assert list((tmp_path / "tmp").iterdir()) == []
        assert len(os.listdir("/proc/self/fd")) <= before + 2


def _send(server: Server, path: str, kind: str, body: bytes, length: int) -> socket.socket:
    """A connection on which `body` of `length` promised bytes was sent."""
    connection = socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\n"
    connection.sendall(f"{head}content-length: {length}\r\n\r\n".encode() + body)
    connection.settimeout(20)
    return connection


_FORM_START = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + b"\0"
_BEGINNINGS = [
    (GENERATIONS, "application/json", b'{"prompt": "a'),
    (EDITS, "multipart/form-data; boundary=b", _FORM_START),
    (EDITS, "application/json", b'{"images": ['),
    (VARIATIONS, "multipart/form-data; boundary=b", _FORM_START),
    (MODERATIONS, "application/json", b'{"input": "'),
]
_IDS = ["generation", "edit", "edit in JSON", "variation", "moderation"]


@pytest.mark.parametrize(("path", "kind", "start"), _BEGINNINGS, ids=_IDS)
def test_who_stops_sending_is_told(
    server: Server, monkeypatch: pytest.MonkeyPatch, path: str, kind: str, start: bytes
) -> None:
    monkeypatch.setattr(middleware, "SLOW_S", 0.2)
    with _send(server, path, kind, start, 5000) as connection:
        answer = b""
        while not answer.endswith(b"}}"):  # head and body come one after the other
            answer += connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"request_timeout"' in answer


@pytest.mark.parametrize(("path", "kind", "start"), _BEGINNINGS, ids=_IDS)
def test_who_leaves_while_sending_is_no_failure(
    server: Server, caplog: pytest.LogCaptureFixture, path: str, kind: str, start: bytes
) -> None:
    with caplog.at_level(logging.INFO, logger="limner.server"):
        _send(server, path, kind, start, 5000).close()
        wait_until(lambda: f"POST '{path}' 499" in caplog.text)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_many_who_leave_take_no_thread_with_them(server: Server) -> None:
    """The pool keeps some 40 idle threads for the next calls; busy ones would bar the last call."""
    before = threading.active_count()
    for path, kind, start in _BEGINNINGS * 32:
        _send(server, path, kind, start, 5000).close()
    assert server.generate().status_code == 200
    assert threading.active_count() < before + 80  # of the 160 that would be theirs


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


@pytest.mark.slow
def test_memory_stays_bounded_under_large_pictures(tmp_path: Path) -> None:
    """Eight at a time send four pictures of 16 million pixels each.

    Two are decoded at a time, and each of up to four threads draws in one.
    """
    picture = _saved("RGBA", "PNG", (4096, 4096), compress_level=1)
    files = [("image[]", ("a.png", picture, "image/png"))] * 4
    with (
        serving(tmp_path) as server,
        httpx2.Client(base_url=server.address, timeout=110) as http,
    ):

        def send() -> None:
            _check(http.post(EDITS, data={"prompt": "x", "model": "gpt-image-1"}, files=files))

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert http.get("/health").status_code == 200
        n_threads = min(os.cpu_count() or 1, 4)
        assert _peak_mb(server.pid) < 1200 + 600 * n_threads
