"""What is drawn: shapes of the answers by era, and bytes that are what they claim."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from limner.imaging.codec import read_text
from limner.imaging.provenance.check import check
from tests.server.helpers import Server, make_settings, open_picture, running

GPT_KEYS = ["created", "background", "data", "output_format", "quality", "size", "usage"]


def _generate(server: Server, **body: Any) -> dict[str, Any]:
    response = server.generate(**body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize(
    ("body", "container", "is_gpt"),
    [
        ({}, "url", False),
        ({"model": ""}, "url", False),
        ({"model": "dall-e-2"}, "url", False),
        ({"model": "testcard"}, "url", False),
        ({"model": "testcard", "quality": "low", "background": "opaque"}, "url", False),
        ({"response_format": "b64_json"}, "b64_json", False),
        ({"quality": "low"}, "b64_json", True),
        ({"size": "auto"}, "b64_json", True),
        ({"background": "auto"}, "b64_json", True),
        ({"output_format": "jpeg"}, "b64_json", True),
        ({"partial_images": 0, "stream": False}, "url", False),
        ({"output_format": "webp", "response_format": "url"}, "url", True),
        ({"model": "gpt-image-1", "size": "auto"}, "b64_json", True),
        ({"model": "chatgpt-image-latest", "size": None}, "b64_json", True),
        ({"model": "gpt-image-2.6-flare", "size": "1024x1024"}, "b64_json", True),
        ({"model": "gpt-image-1", "size": "auto", "response_format": "url"}, "url", True),
    ],
)
def test_shape_of_the_answer(
    server: Server, body: dict[str, Any], container: str, is_gpt: bool
) -> None:
    answer = _generate(server, **body)
    assert list(answer) == (GPT_KEYS if is_gpt else ["created", "data"])
    assert [list(item) for item in answer["data"]] == [[container]]
    if is_gpt:
        assert answer["background"] in ("opaque", "transparent")
        assert answer["size"] in ("256x256", "1024x1024")


@pytest.mark.parametrize(
    "path", ["/v1//images/generations", "//v1/images/generations/", "/v1images/generations"]
)
def test_paths_that_clients_make(server: Server, path: str) -> None:
    body = {"prompt": "a cat", "size": "256x256"}
    # The full address, or the client would read // as the name of a host.
    response = server.http.post(f"{server.url}{path}?api-version=1", json=body)
    assert response.status_code == 200
    assert server.http.post("/images/generations", json=body).status_code == 200
    assert server.http.get("/models").json()["object"] == "list"


@pytest.mark.parametrize(("format", "pillow"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_bytes_are_of_the_format(server: Server, format: str, pillow: str) -> None:
    answer = _generate(server, output_format=format, size="512x512")
    picture = open_picture(answer["data"][0]["b64_json"])
    assert (picture.format, picture.size) == (pillow, (512, 512))
    assert answer["output_format"] == format


def test_compression_makes_smaller_files(server: Server) -> None:
    lengths = [
        len(
            _generate(server, output_format="jpeg", output_compression=quality, seed=1)["data"][0][
                "b64_json"
            ]
        )
        for quality in (5, 95)
    ]
    assert lengths[0] < lengths[1] / 2


@pytest.mark.parametrize(("background", "said"), [("transparent", True), ("opaque", False)])
def test_background_is_real(server: Server, background: str, said: bool) -> None:
    answer = _generate(server, background=background)
    alpha = open_picture(answer["data"][0]["b64_json"]).convert("RGBA").getchannel("A")
    assert (alpha.getextrema()[0] == 0) == said
    assert answer["background"] == background


def test_n_pictures_differ_and_are_counted(server: Server) -> None:
    answer = _generate(server, n=3, quality="high", prompt="two words", user="someone")
    assert len({item["b64_json"] for item in answer["data"]}) == 3
    assert answer["quality"] == "high"
    assert answer["safety_identifier"] == "someone"
    assert answer["usage"] == {
        "input_tokens": 2,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 2},
        "output_tokens": 192,
        "output_tokens_details": {"image_tokens": 192, "text_tokens": 0},
        "total_tokens": 194,
    }


def test_same_seed_same_bytes_as_the_command_line(server: Server, tmp_path: Path) -> None:
    answers = [_generate(server, seed=7, n=n, response_format="b64_json") for n in (1, 2)]
    first, again = (answer["data"][0]["b64_json"] for answer in answers)
    assert first == again
    url = _generate(server, seed=7)["data"][0]["url"]
    command = [sys.executable, "-m", "limner", "draw", "a cat", "--engine", "testcard"]
    command += ["--size", "256x256", "--seed", "7", "-o", str(tmp_path / "cat.png")]
    command += ["--background", "opaque"]  # as DALL·E's names draw, which the label says
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert server.http.get(url).content == (tmp_path / "cat.png").read_bytes()
    other = _generate(server, seed=8, response_format="b64_json")["data"][0]["b64_json"]
    assert other != first


@pytest.mark.parametrize("prompt", ["一只红苹果", "🦊 ‏שועל", "x" * 32_000, "a\tb\x07c"])
def test_any_text_can_be_drawn(tmp_path: Path, prompt: str) -> None:
    body = {"prompt": prompt, "model": "testcard", "response_format": "b64_json"}
    with running(make_settings(tmp_path / "home", label="full")) as server:
        answer = _generate(server, **body)
    data = base64.b64decode(answer["data"][0]["b64_json"], validate=True)
    assert read_text(data)["prompt"] == prompt
    found = check(data)
    assert (found.label, found.parameters and found.parameters["prompt"]) == ("holds", prompt)


def test_openapi_describes_every_route(server: Server) -> None:
    described = server.http.get("/openapi.json").json()
    paths = described["paths"].items()
    posts = [path for path, item in paths if "requestBody" in item.get("post", {})]
    assert posts == [
        "/v1/images/generations",
        "/v1/images/edits",
        "/v1/images/variations",
        "/v1/images/look",
        "/v1/responses",
        "/v1/chat/completions",
        "/v1/files",
        "/v1/images/check",
        "/v1/moderations",
        "/session",
    ]
    for path in posts:
        assert {"200", "400", "401", "408"} <= set(described["paths"][path]["post"]["responses"])


def test_health_and_readiness(server: Server) -> None:
    assert server.http.get("/health").json()["status"] == "ok"
    ready = server.http.get("/ready")
    assert (ready.status_code, ready.json()["engines"]) == (200, {"testcard": True})
