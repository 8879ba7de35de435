"""Bodies that clients and proxies compress: gzip and deflate are read, within the same limits."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.server.helpers import (
    BODY,
    EDITS,
    GENERATIONS,
    Server,
    assert_openai_error,
    make_settings,
    open_picture,
    picture_file,
    running,
)

JSON = {"content-type": "application/json"}


def _raw_deflate(data: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeezer.compress(data) + squeezer.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", _raw_deflate),
    "identity": ("identity", bytes),
    "none": ("", bytes),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes bodies of 2 MB."""
    settings = make_settings(tmp_path_factory.mktemp("small"), max_upload_mb=2)
    with running(settings) as server:
        yield server


def _post(server: Server, path: str, content: object, encoding: str, kind: str) -> httpx2.Response:
    headers = {"content-type": kind, "content-encoding": encoding}
    return server.http.post(path, content=content, headers=headers)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ENCODERS)
def test_a_body_is_decoded(server: Server, name: str) -> None:
    encoding, encode = ENCODERS[name]
    content = encode(json.dumps(BODY).encode())
    response = _post(server, GENERATIONS, content, encoding, "application/json")
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("name", ["gzip", "deflate", "raw deflate"])
def test_a_body_in_tiny_pieces(server: Server, name: str) -> None:
    encoding, encode = ENCODERS[name]
    content = encode(json.dumps(BODY).encode())
    pieces = (content[at : at + 1] for at in range(len(content)))
    response = _post(server, GENERATIONS, pieces, encoding, "application/json")
    assert response.status_code == 200, response.text


def test_a_form_with_a_picture(server: Server) -> None:
    request = server.http.build_request(
        "POST",
        EDITS,
        data={"prompt": "a hat", "model": "gpt-image-1"},
        files={"image": ("a.png", picture_file(300))},
    )
    content, kind = gzip.compress(request.read()), request.headers["content-type"]
    response = _post(server, EDITS, content, "gzip", kind)
    assert open_picture(response.json()["data"][0]["b64_json"]).size == (1024, 1024)


def test_with_an_idempotency_key_it_is_decoded_once(server: Server) -> None:
    content = gzip.compress(json.dumps(BODY).encode())
    headers = {**JSON, "content-encoding": "gzip", "idempotency-key": "of a squeezed body"}
    first = server.http.post(GENERATIONS, content=content, headers=headers)
    plain = JSON | {"idempotency-key": "of a squeezed body"}
    again = server.http.post(GENERATIONS, content=json.dumps(BODY).encode(), headers=plain)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
def test_other_encodings_are_refused_with_what_is_read(server: Server, encoding: str) -> None:
    content = json.dumps(BODY).encode()
    response = _post(server, GENERATIONS, content, encoding, "application/json")
    message = assert_openai_error(response, 415, "unsupported_content_encoding")
    assert "gzip" in message
    assert response.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip at all",
        gzip.compress(json.dumps(BODY).encode())[:-9],
        gzip.compress(json.dumps(BODY).encode())[:-4] + b"\0\0\0\0",
        gzip.compress(json.dumps(BODY).encode()) + b"more",
    ],
    ids=["other", "cut", "wrong length", "more"],
)
def test_damaged_bodies_are_refused(server: Server, content: bytes) -> None:
    response = _post(server, GENERATIONS, content, "gzip", "application/json")
    assert_openai_error(response, 400, "invalid_content_encoding")


@pytest.mark.parametrize("path", [GENERATIONS, EDITS])
def test_a_bomb_is_refused_at_the_limit(small: Server, path: str) -> None:
    squeezer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    bomb = b"".join(squeezer.compress(bytes(1_000_000)) for _ in range(400)) + squeezer.flush()
    assert len(bomb) < 2_000_000
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _peak_bytes()
    response = _post(small, path, bomb, "gzip", "application/json")
    assert_openai_error(response, 400, "request_too_large")
    assert _peak_bytes() - before < 50_000_000
    assert small.service.is_ready


def test_a_json_body_without_pictures_keeps_its_own_limit(small: Server) -> None:
    body = json.dumps(BODY | {"user": "x" * 1_200_000}).encode()
    response = _post(small, GENERATIONS, gzip.compress(body), "gzip", "application/json")
    assert "1,000,000" in assert_openai_error(response, 400, "request_too_large")


def test_an_empty_body(server: Server) -> None:
    response = _post(server, GENERATIONS, b"", "gzip", "application/json")
    assert_openai_error(response, 400, None)


def _peak_bytes() -> int:
    """The most memory that this process has held so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1000 for line in lines if line.startswith("VmHWM"))
