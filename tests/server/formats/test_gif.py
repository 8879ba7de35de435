"""GIFs that move, by the API: drawn, refused, addressed, kept, recovered, drawn again."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import OpenAI
from PIL import Image

import limner
from limner.cli import main
from limner.imaging import codec
from tests.server.helpers import (
    EDITS,
    HISTORY,
    GatedEngine,
    Server,
    assert_openai_error,
    picture_file,
    running,
)

ASKED = {"output_format": "gif", "seed": 7}


def _look(data: bytes) -> tuple[str | None, tuple[int, int], int, int]:
    """Format, size, number of frames and time of each, all frames decoded."""
    with Image.open(io.BytesIO(data)) as image:
        n = image.n_frames  # type: ignore[attr-defined]
        frames = set()
        for number in range(n):
            image.seek(number)
            frames.add(image.convert("RGBA").tobytes())
        assert len(frames) == n
        return image.format, image.size, n, int(image.info["duration"])


def _unpacked(answer: Any) -> bytes:
    return base64.b64decode(answer.json()["data"][0]["b64_json"], validate=True)


def test_the_client_gets_nine_frames(client: OpenAI) -> None:
    answer = client.images.generate(
        prompt="a cat", model="gpt-image-2.6-sunburst", size="512x512", output_format="gif"
    )
    assert answer.data is not None
    data = base64.b64decode(answer.data[0].b64_json or "")
    assert _look(data) == ("GIF", (512, 512), 9, 200)
    assert len(data) <= 1_000_000
    assert (answer.output_format, answer.svg_usage) == ("gif", None)
    assert answer.background == "opaque"


def test_the_client_chooses_frames(client: OpenAI) -> None:
    for count, asked_ms, told_ms in ((2, 96, 100), (16, 40, 40), (3, 10_000_000, 655_350)):
        answer = client.images.generate(
            prompt="a cat",
            model="gpt-image-2.6-flare",
            size="256x256",
            output_format="gif",
            frame_count=count,
            frame_duration_ms=asked_ms,
        )
        assert answer.data is not None
        data = base64.b64decode(answer.data[0].b64_json or "")
        assert _look(data) == ("GIF", (256, 256), count, told_ms)


def test_an_edit_moves(client: OpenAI) -> None:
    answer = client.images.edit(
        image=("a.png", picture_file(64, mode="RGB", colour="blue")),
        prompt="a hat",
        model="gpt-image-2.5-flare",
        size="256x256",
        output_format="gif",
        frame_count=4,
    )
    assert answer.data is not None
    assert _look(base64.b64decode(answer.data[0].b64_json or ""))[2] == 4


@pytest.mark.parametrize("model", ["testcard", "gpt-image-2.6-flare"])
def test_addresses_and_several(server: Server, model: str) -> None:
    answer = server.generate(**ASKED, model=model, response_format="url", n=2, frame_count=2)
    urls = [item["url"] for item in answer.json()["data"]]
    assert len({server.http.get(url).content for url in urls}) == 2
    for url in urls:
        assert url.partition("?")[0].endswith(".gif")
        assert server.http.head(url).headers["content-type"] == "image/gif"


def test_the_same_seed_is_the_same_bytes_everywhere(server: Server, tmp_path: Path) -> None:
    data = _unpacked(server.generate(**ASKED))
    command = [sys.executable, "-m", "limner", "draw", "a cat", "--engine", "testcard"]
    command += ["--size", "256x256", "--seed", "7", "-o", str(tmp_path / "cat.gif")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "cat.gif").read_bytes() == data
    [picture] = limner.generate("a cat", size="256x256", seed=7, engine="testcard")
    assert picture.gif() == data
    png = codec.decode(_unpacked(server.generate(seed=7, response_format="b64_json")))
    assert np.abs(codec.decode(data).astype(int) - png)[..., :3].mean() < 4


def test_what_is_clear_is_told(server: Server) -> None:
    for background in ("transparent", "opaque"):
        answer = server.generate(**ASKED, background=background, frame_count=2)
        assert answer.json()["background"] == background
        alpha = codec.decode(_unpacked(answer))[..., 3]
        assert (alpha.min() == 0) == (background == "transparent")


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"stream": True}, "stream", "GIF output does not support streaming"),
        ({"partial_images": 1}, "partial_images", "does not support partial images"),
        ({"output_compression": 50}, "output_compression", "does not support output_compression"),
        ({"frame_count": 1}, "frame_count", "Expected a value >= 2"),
        ({"frame_count": 17}, "frame_count", "Expected a value <= 16"),
        ({"frame_count": "9"}, "frame_count", "expected an integer, but got a string"),
        ({"frame_duration_ms": 0}, "frame_duration_ms", "Expected a value >= 1"),
        ({"output_format": "png", "frame_count": 4}, "frame_count", "output_format 'gif'"),
        ({"output_format": "svg", "frame_duration_ms": 9}, "frame_duration_ms", "'gif'"),
        ({"svg": {"model": "m"}}, "svg", "output_format 'svg'"),
    ],
)
def test_refusals(server: Server, body: dict[str, Any], param: str, words: str) -> None:
    for model in ("testcard", "gpt-image-2.6-flare"):
        response = server.generate(**ASKED | {"model": model} | body)
        assert response.status_code == 400
        assert words in assert_openai_error(response, 400, response.json()["error"]["code"], param)


def test_a_mask_is_refused(server: Server) -> None:
    files = {"image": picture_file(64, mode="RGB"), "mask": picture_file(64)}
    for model in ("testcard", "gpt-image-2.5-flare"):
        answer = server.edit(files, output_format="gif", model=model)
        assert "masks" in assert_openai_error(answer, 400, "invalid_value", "mask")


def test_giant_frames_are_refused(server: Server) -> None:
    answer = server.generate(**ASKED, model="testcard", size="2048x1024")
    assert "2,000,000 pixels" in assert_openai_error(answer, 400, "invalid_value", "size")
    fits = server.generate(**ASKED, model="testcard", size="1536x1024", frame_count=2)
    assert fits.status_code == 200


def test_an_engine_without_flat_art_is_refused(gated: Server, engine: GatedEngine) -> None:
    answer = gated.generate(**ASKED, model="gated")
    message = assert_openai_error(answer, 400, "unsupported_operation", "output_format")
    assert "Engine gated draws no flat art, so its pictures cannot be GIF" in message
    assert engine.started == []


def test_history_replay_and_recovery(
    own: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: Any = {"output_format": "gif", "frame_count": 3, "frame_duration_ms": 80}
    first = own.ask({"idempotency-key": "mine"}, **asked)
    row = own.http.get(f"{HISTORY}/{first.headers['x-request-id']}").json()
    assert {name: row["parameters"][name] for name in asked} == asked
    [picture] = row["pictures"]
    assert picture["format"] == "gif"
    assert own.http.get(picture["url"]).content == _unpacked(first)
    with running(own.service.settings) as other:
        again = other.ask({"idempotency-key": "mine"}, **asked)
        assert again.headers["idempotent-replayed"] == "true"
        assert first.json() | {"created": 0} == again.json() | {"created": 0}
    text = codec.read_text(_unpacked(first))
    assert (text["seed"], text["model"]) == (first.headers["x-limner-seed"], "testcard")
    if own.service.settings.store:
        return
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "lost"))
    kept = tmp_path / "lost" / "history"
    kept.mkdir(parents=True)
    (kept / ("img-" + "A" * 24 + ".gif")).write_bytes(_unpacked(first))
    assert main(["history", "recover"]) == 0
    assert capsys.readouterr().err.startswith("1 adopted, 0 skipped")


def test_it_is_no_picture_to_edit(server: Server) -> None:
    url = server.generate(**ASKED, response_format="url").json()["data"][0]["url"]
    answer = server.http.post(EDITS, json={"prompt": "a hat", "images": [{"image_url": url}]})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_file_mimetype"


def test_the_description_knows_it(server: Server) -> None:
    body = server.http.get("/openapi.json").json()["paths"]["/v1/images/generations"]["post"]
    schema = body["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert "gif" in schema["output_format"]["enum"]
    count = schema["frame_count"]
    assert (count["minimum"], count["maximum"], count["default"]) == (2, 16, 9)
    assert schema["frame_duration_ms"]["default"] == 200
