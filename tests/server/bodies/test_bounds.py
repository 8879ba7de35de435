"""What a sender can make the server hold or do is bounded: bodies, uploads, unread answers."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from limner.engines import registry
from limner.engines.base import (
    NEVER,
    CancelToken,
    Capabilities,
    Engine,
    Event,
    ImageTask,
    Picture,
    Preview,
)
from limner.engines.testcard import CardEngine
from limner.errors import DataError
from limner.imaging.decode_upload import MAX_JPEG_SCANS, MAX_PIXELS
from limner.server.http import delivery, middleware
from limner.server.input_pictures import decoders
from limner.server.input_pictures.decoders import Decoder
from limner.server.openai import moderations
from limner.storage.db.keys import KeyStore, Limits
from tests.server.helpers import (
    BODY,
    EDITS,
    GENERATIONS,
    HISTORY,
    GatedEngine,
    Server,
    assert_openai_error,
    make_settings,
    open_picture,
    picture_file,
    running,
    wait_until,
)
from tests.support.hostile import many_scans

PNG = picture_file()
MODERATIONS = "/v1/moderations"
_NAMED = {"model": "gpt-image-1", "size": "1024x1024", "seed": "7"}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    """A server whose state the test may change."""
    with running(make_settings(tmp_path)) as server:
        yield server


@contextmanager
def _begun(
    server: Server, path: str, kind: str, body: bytes, n_bytes: int, *headers: str
) -> Iterator[socket.socket]:
    """A connection on which `body` of `n_bytes` promised ones was sent."""
    head = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-type: {kind}"]
    head += [f"content-length: {n_bytes}", *headers]
    port = int(server.url.rsplit(":", 1)[1])
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", port))
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        yield connection


# Bodies.


@pytest.mark.parametrize(
    "start",
    [b'{"images":[' + b"[],", b'{"prompt":"x",' + b'"":0,', b'{"prompt":[' + b"1,"],
    ids=["arrays", "names", "numbers"],
)
def test_json_of_many_values_is_refused_before_it_is_parsed(server: Server, start: bytes) -> None:
    head, unit = start[:11], start[11:]
    if b'"":0' in start:
        head, unit = b'{"prompt":"x",', b'"":0,'
    body = head + unit * 100_000
    headers = {"content-type": "application/json"}
    response = server.http.post(EDITS, content=body, headers=headers)
    message = assert_openai_error(response, 400, "json_too_complex")
    assert "10,000 values" in message


def test_json_of_escaped_quotes_or_many_brackets_is_refused(server: Server) -> None:
    headers = {"content-type": "application/json"}
    quotes = b'{"images":"' + b'\\"' * 300_000
    response = server.http.post(EDITS, content=quotes, headers=headers)
    assert "escaped quotes" in assert_openai_error(response, 400, "json_too_complex")
    deep = b'{"images":' + b"[" * 17
    response = server.http.post(EDITS, content=deep, headers=headers)
    assert "16 deep" in assert_openai_error(response, 400, "json_too_complex")


@pytest.mark.parametrize("escape", ["", "/", "+", "/+"])
def test_long_pictures_in_json_arrive_as_in_a_form(server: Server, escape: str) -> None:
    rng = np.random.default_rng(1)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (600, 600, 4), np.uint8)).save(file, "PNG")
    picture = file.getvalue()
    form = server.edit([("image", ("a.png", picture, "image/png"))], **_NAMED)
    text = base64.b64encode(picture).decode()
    body = {
        **_NAMED,
        "seed": 7,
        "prompt": "a hat",
        "images": [{"image_url": f"data:image/png;base64,{text}"}],
    }
    sent = json.dumps(body)
    if "/" in escape:  # as PHP writes it
        sent = sent.replace("/", "\\/")
    if "+" in escape:  # as .NET writes it
        sent = sent.replace("+", "\\u002B")
    headers = {"content-type": "application/json"}
    answer = server.http.post(EDITS, content=sent, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == form.json()["data"]


def test_long_prompt_in_json_is_no_picture(server: Server) -> None:
    picture = {"image_url": "data:image/png;base64," + base64.b64encode(PNG).decode()}
    prompt = "画" * 32_000  # 192 kB once escaped
    body = {"images": [picture], "prompt": prompt}
    assert server.http.post(EDITS, json=body).status_code == 200
    response = server.http.post(EDITS, json=body | {"prompt": prompt + "画"})
    assert_openai_error(response, 400, "string_above_max_length", "prompt")
    response = server.http.post(EDITS, json=body | {"prompt": "a" * 2_000_000})
    assert_openai_error(response, 400, "string_above_max_length", "prompt")


def test_unfinished_bodies_have_a_budget_together(small: Server) -> None:
    small.app.state.body_budget.limit_bytes = 1_000_000
    start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    picture = PNG + bytes(500_000)
    files = [("image", ("a.png", picture, "image/png"))]
    with _begun(small, EDITS, "multipart/form-data; boundary=b", start + bytes(900_000), 2_000_000):
        wait_until(lambda: small.app.state.body_budget.n_bytes > 800_000)
        response = small.edit(files)
        assert_openai_error(response, 503, "server_is_overloaded")
        assert response.headers["retry-after"] == "5"
        assert small.generate().status_code == 200  # small bodies pass
    wait_until(lambda: small.app.state.body_budget.n_bytes == 0)
    assert small.edit(files).status_code == 200
    assert small.app.state.body_budget.n_bytes == 0


@pytest.mark.parametrize("limits", [Limits(requests_per_minute=1), Limits(pictures_per_day=1)])
def test_limits_of_a_key_come_before_its_body(
    small: Server, monkeypatch: pytest.MonkeyPatch, limits: Limits
) -> None:
    monkeypatch.setattr(middleware, "DRAIN_S", 0.1)
    key = KeyStore(small.service.database).create("one", ("draw",), limits)
    small.service.keys.read()
    authorization = f"authorization: Bearer {key}"
    headers = {"authorization": f"Bearer {key}"}
    assert small.http.post(GENERATIONS, json=BODY, headers=headers).status_code == 200
    kind = "multipart/form-data; boundary=b"
    with _begun(small, EDITS, kind, b"--b\r\n", 50_000_000, authorization) as connection:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 429")


def test_moderation_takes_few_characters(server: Server) -> None:
    most = moderations.MAX_CHARS
    assert server.http.post(MODERATIONS, json={"input": "\ufdfa" * most}).status_code == 200
    halves = ["\ufdfa" * (most // 2), "x" * (most // 2 + 1)]
    response = server.http.post(MODERATIONS, json={"input": halves})
    assert_openai_error(response, 400, "string_above_max_length", "input")


def test_uploads_lie_in_the_home(small: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    response = small.edit([("image", ("a.png", PNG + bytes(3_000_000), "image/png"))])
    assert response.status_code == 200, response.text


# Decoding.


def test_jpeg_of_many_scans_is_refused(server: Server) -> None:
    files = [("image", ("a.jpg", many_scans(15_000, 2048), "image/jpeg"))]
    message = assert_openai_error(server.edit(files, **_NAMED), 400, "invalid_image", "image")
    assert f"more than {MAX_JPEG_SCANS} scans" in message


def test_decoding_ends_when_the_sender_leaves(small: Server) -> None:
    picture = many_scans(MAX_JPEG_SCANS, 4096)
    start = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-image-1\r\n'
    start += b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na hat\r\n'
    start += b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body = start + picture + b"\r\n--b--\r\n"
    before = set(_decoding())
    with _begun(small, EDITS, "multipart/form-data; boundary=b", body, len(body)):
        wait_until(lambda: _decoding() - before)
        [pid] = _decoding() - before
    wait_until(lambda: pid not in _decoding())
    wait_until(lambda: small.is_idle)
    assert small.edit([("image", ("a.png", PNG, "image/png"))]).status_code == 200


def _decoding() -> set[int]:
    """The ids of this process's decoders."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, command = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if (
            int(status.rpartition(")")[2].split()[1]) == os.getpid()
            and b"decode_process" in command
        ):
            found.add(int(folder.name))
    return found


def test_decoder_that_is_ended_says_why(tmp_path: Path) -> None:
    decoder = Decoder(tmp_path)
    file = io.BytesIO(many_scans(MAX_JPEG_SCANS, 4096))
    path = tmp_path / "a.jpg"
    path.write_bytes(file.getvalue())
    for number, words in (
        (signal.SIGXCPU, "processor time"),
        (signal.SIGSEGV, "ended the process"),
    ):
        decoder = Decoder(tmp_path)
        with path.open("rb") as picture:
            header = decoder.open("image", picture, MAX_PIXELS)
            assert (header.width, header.height) == (4096, 4096)
            assert decoder.pid
            threading.Timer(0.2, os.kill, (decoder.pid, number)).start()
            with pytest.raises(DataError, match=words):
                decoder.edit(None)
        assert not decoder.is_usable
        decoder.kill()


def test_idle_decoders_end(small: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "IDLE_S", 0.1)
    before = _decoding()
    assert small.edit([("image", ("a.png", PNG, "image/png"))]).status_code == 200
    wait_until(lambda: not _decoding() - before)
    assert small.edit([("image", ("a.png", PNG, "image/png"))]).status_code == 200


def test_photo_with_a_second_picture_inside_is_one_picture(server: Server) -> None:
    file = io.BytesIO()
    small = Image.new("RGB", (32, 24), "blue")
    Image.new("RGB", (64, 48), "red").save(file, "MPO", save_all=True, append_images=[small])
    response = server.edit([("image", ("a.jpg", file.getvalue(), "image/jpeg"))], **_NAMED)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("size", [(6000, 4000), (8064, 6048)], ids=["24 MP", "48 MP"])
def test_photos_of_many_pixels_are_read(server: Server, size: tuple[int, int]) -> None:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(file, "JPEG", quality=60)
    files = [("image", ("a.jpg", file.getvalue(), "image/jpeg"))]
    response = server.edit(files, model="testcard", response_format="b64_json", size="256x256")
    assert response.status_code == 200, response.text
    card = np.asarray(open_picture(response.json()["data"][0]["b64_json"]).convert("RGB"))
    assert (np.abs(card[15:40, 15:60].astype(int) - (200, 30, 30)).max(axis=-1) < 12).mean() > 0.9
    bomb = io.BytesIO()
    Image.new("L", (16_000, 8_000)).save(bomb, "JPEG")
    response = server.edit([("image", ("a.jpg", bomb.getvalue(), "image/jpeg"))], **_NAMED)
    assert "16000x8000" in assert_openai_error(response, 400, "invalid_image", "image")


def test_waiting_edits_keep_the_size_that_is_drawn(
    gated: Server, engine: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.capabilities = CardEngine.capabilities
    seen: list[Any] = []
    draw = GatedEngine.draw

    def noted(
        self: GatedEngine, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        seen.extend(task.request.source for task in tasks)
        return draw(self, tasks, cancel)

    monkeypatch.setattr(GatedEngine, "draw", noted)
    engine.let_all_go()
    mask = np.full((2048, 2048, 4), 255, np.uint8)
    mask[:16, :16] = 0
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    files = [("image", ("a.png", picture_file(2048), "image/png"))]
    files.append(("mask", ("m.png", file.getvalue(), "image/png")))
    response = gated.edit(files, size="256x256")
    assert response.status_code == 200, response.text
    [source] = seen
    assert source.pixels.shape == (256, 256, 4)
    assert source.mask.shape == (256, 256)
    assert (source.mask == 0).sum() == 4
    assert not source.is_own_mask


# Answers.


@dataclass
class NoiseEngine(Engine):
    """Draws noise, which no encoder makes small, with a preview before each picture."""

    name: str = "noise"
    model: str = "noise"
    drawn: list[int] = field(default_factory=list)
    capabilities: Capabilities = field(default=Capabilities(previews=True))

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Yield a preview and a picture of each."""
        for one in tasks:
            size = one.request.size
            pixels = np.random.default_rng(one.index).integers(
                0, 256, (size.height, size.width, 4), np.uint8
            )
            yield one, Preview(one.index, pixels, 1, 2)
            self.drawn.append(one.index)
            yield one, Picture(pixels, one.request.prompt, one.seed, one.index, self.model)


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> NoiseEngine:
    """An engine whose pictures are larger than the buffers of a connection."""
    engine = NoiseEngine()
    info = registry.EngineInfo("noise", "", "limner.engines.testcard", None, lambda *_: engine)
    monkeypatch.setitem(registry.BUILT_IN, "noise", info)
    return engine


def test_unread_stream_is_held_back_and_cut(
    noise: NoiseEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "STALL_S", 5.0)
    with running(make_settings(tmp_path, engine="noise")) as server:
        store = KeyStore(server.service.database)
        key = store.create("one", ("draw",), Limits(concurrent=1))
        server.service.keys.read()
        headers = {"authorization": f"Bearer {key}"}
        sent = {"prompt": "a cat", "n": 10, "size": "1024x1024", "model": "noise"}
        body = json.dumps(sent | {"stream": True, "partial_images": 1}).encode()
        kind, mine = "application/json", f"authorization: Bearer {key}"
        with _begun(server, GENERATIONS, kind, body, len(body), mine):
            wait_until(lambda: len(noise.drawn) >= 2, timeout_s=30)
            refused = httpx2.post(server.url + GENERATIONS, json=BODY, headers=headers, timeout=30)
            assert_openai_error(refused, 429, "rate_limit_exceeded")  # it is not gone yet

            def state() -> str:
                page = httpx2.get(server.url + HISTORY, headers=headers, timeout=30).json()
                return str(page["data"][0]["status"])

            wait_until(lambda: state() != "running" and state() != "drawing", timeout_s=40)
            assert state() == "cancelled"
        assert len(noise.drawn) <= 5  # what the connection buffers, and two more
        again = httpx2.post(server.url + GENERATIONS, json=BODY, headers=headers, timeout=30)
        assert again.status_code == 200


def test_stream_that_is_read_gets_all(noise: NoiseEngine, tmp_path: Path) -> None:
    with running(make_settings(tmp_path, engine="noise")) as server:
        body = {"prompt": "a cat", "n": 4, "size": "256x256", "stream": True, "partial_images": 1}
        with server.http.stream("POST", GENERATIONS, json=body | {"model": "noise"}) as response:
            text = "".join(response.iter_text())
    assert text.count("event: image_generation.completed") == 4
    assert text.count("event: image_generation.partial_image") == 4


def test_key_counts_until_a_whole_answer_has_gone(
    noise: NoiseEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "STALL_S", 5.0)
    with running(make_settings(tmp_path, engine="noise")) as server:
        store = KeyStore(server.service.database)
        key = store.create("one", ("draw",), Limits(concurrent=1))
        server.service.keys.read()
        headers = {"authorization": f"Bearer {key}"}
        sent = {"prompt": "a cat", "n": 3, "size": "1024x1024", "model": "noise"}
        body = json.dumps(sent | {"response_format": "b64_json"}).encode()
        kind, mine = "application/json", f"authorization: Bearer {key}"

        def again() -> httpx2.Response:
            return httpx2.post(server.url + GENERATIONS, json=BODY, headers=headers, timeout=30)

        with _begun(server, GENERATIONS, kind, body, len(body), mine) as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            assert_openai_error(again(), 429, "rate_limit_exceeded")
            wait_until(lambda: again().status_code == 200, timeout_s=40)
