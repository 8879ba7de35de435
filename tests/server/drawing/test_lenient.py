"""What real clients send and OpenAI's newest models refuse, and what a lenient server does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.server.helpers import (
    EDITS,
    GENERATIONS,
    Server,
    assert_openai_error,
    make_settings,
    open_picture,
    picture_file,
    running,
)


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("lenient")
    with running(make_settings(home, strict=False)) as server:
        yield server


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that draws with the weights that ship."""
    home = tmp_path_factory.mktemp("drawing")
    with running(make_settings(home, engine="transformer")) as server:
        yield server


def _picture(response: httpx2.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    return open_picture(response.json()["data"][0]["b64_json"])


def _draw(server: Server, **body: Any) -> Image.Image:
    wanted = {"prompt": "a red apple", "size": "256x256", "seed": 7, "response_format": "b64_json"}
    return _picture(server.http.post(GENERATIONS, json=wanted | body))


def _is_opaque(picture: Image.Image) -> bool:
    return picture.convert("RGBA").getchannel("A").getextrema() == (255, 255)


@pytest.mark.parametrize("model", [{}, {"model": "dall-e-2"}, {"model": ""}])
def test_dalle_names_never_give_alpha(drawing: Server, model: dict[str, str]) -> None:
    assert _is_opaque(_draw(drawing, **model))


def test_an_opaque_picture_is_the_clear_one_on_white(drawing: Server) -> None:
    clear, opaque = _draw(drawing, model="nano"), _draw(drawing)
    assert not _is_opaque(clear)
    ground = Image.new("RGBA", clear.size, "white")
    assert Image.alpha_composite(ground, clear).tobytes() == opaque.convert("RGBA").tobytes()


def test_dalle_names_give_alpha_when_asked(drawing: Server) -> None:
    assert not _is_opaque(_draw(drawing, model="dall-e-2", background="transparent"))


def test_gpt_names_let_the_engine_decide(drawing: Server) -> None:
    size = {"size": "1024x1024", "quality": "low"}
    own = _draw(drawing, model="nano", **size)
    assert _draw(drawing, model="gpt-image-1", **size).tobytes() == own.tobytes()


def test_an_edit_without_a_model_takes_a_photo(drawing: Server) -> None:
    photo = picture_file(320, 200, mode="RGB", format="JPEG")
    response = drawing.http.post(
        EDITS,
        data={"prompt": "a hat", "model": "", "response_format": "b64_json"},
        files={"image": ("photo.jpg", photo, "image/jpeg")},
    )
    picture = _picture(response)
    assert picture.size == (1536, 1024)
    assert _is_opaque(picture)


@pytest.mark.parametrize("name", ["openai/gpt-image-1", "GPT-Image-1", "azure/DALL-E-3", "default"])
def test_model_names_are_understood_in_any_dress(drawing: Server, name: str) -> None:
    response = drawing.generate(model=name, size="1024x1024")
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("setting", "body", "by"),
    [
        ("b64_json", {}, "b64_json"),
        ("b64_json", {"model": ""}, "b64_json"),
        ("b64_json", {"model": "testcard"}, "b64_json"),
        ("b64_json", {"model": "default"}, "b64_json"),
        ("b64_json", {"model": "dall-e-2"}, "url"),
        ("b64_json", {"model": "dall-e-2", "response_format": "b64_json"}, "b64_json"),
        ("b64_json", {"response_format": "url"}, "url"),
        ("url", {}, "url"),
        ("url", {"model": "testcard"}, "url"),
        ("url", {"model": "gpt-image-2", "size": "1024x1024"}, "b64_json"),
    ],
)
def test_how_pictures_are_answered_by_default(
    tmp_path: Path, setting: str, body: dict[str, str], by: str
) -> None:
    with running(make_settings(tmp_path, response_format=setting)) as server:
        assert by in server.generate(**body).json()["data"][0]
        edited = server.edit([("image", ("a.png", picture_file()))], **body)
        if body.get("model") != "dall-e-2":  # which takes no further size
            assert by in edited.json()["data"][0]


# As Open WebUI sends them with the settings it comes with, apart from the address and the key.
_OPEN_WEBUI = [
    {"model": "", "size": "512x512", "response_format": "b64_json"},
    {"model": "dall-e-2", "size": "512x512", "response_format": "b64_json"},
    {"model": "gpt-image-1", "size": "512x512"},
    {"model": "gpt-image-1", "size": "auto"},
    {"model": "nano", "size": "512x512", "response_format": "b64_json"},
]


@pytest.mark.parametrize("values", _OPEN_WEBUI)
def test_open_webui_with_its_own_defaults(drawing: Server, values: dict[str, str]) -> None:
    asked = {"prompt": "a red apple", "n": 1, **values}
    drawn = drawing.http.post(GENERATIONS, json=asked)
    assert min(_picture(drawn).size) >= 512
    parts = [("image", ("a.png", picture_file(80, 60, mode="RGB"), "image/png"))]
    if values["model"] != "dall-e-2":  # its rules are those of DALL·E 2: square, with alpha
        assert _picture(drawing.edit(parts, n="1", **values)).size[0] >= 512


def test_an_unknown_model_is_refused_with_the_list(drawing: Server) -> None:
    message = assert_openai_error(
        drawing.generate(model="midjourney"), 400, "invalid_value", "model"
    )
    assert "nano" in message
    assert "gpt-image-1" in message


@pytest.mark.parametrize("model", ["gpt-image-1", "gpt-image-2"])
def test_gpt_names_draw_small_pictures(drawing: Server, model: str) -> None:
    assert _draw(drawing, model=model, size="512x512").size == (512, 512)


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ({"width": 512, "height": 256}, (512, 256)),
        ({"width": 512}, (512, 512)),
        ({"aspect_ratio": "3:2"}, (1248, 832)),
        ({"aspect_ratio": "1:1"}, (1024, 1024)),
    ],
)
def test_other_ways_to_say_a_size(
    drawing: Server, body: dict[str, Any], size: tuple[int, int]
) -> None:
    assert _draw(drawing, model="testcard", size=None, **body).size == size


def test_what_changes_nothing_is_named(drawing: Server) -> None:
    response = drawing.generate(negative_prompt="blur", sampler="Euler", strength=0.5, timeout=60)
    named = response.headers["x-limner-notice"]
    assert named == "Not used: negative_prompt, sampler, strength, timeout"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"style": "vivid"}, "style"),
        ({"complexity": "low"}, "complexity (it is for output_format svg)"),
        ({"partial_images": 2}, "partial_images (it is for stream true)"),
    ],
)
def test_a_known_parameter_that_changes_nothing_is_named(
    drawing: Server, body: dict[str, Any], named: str
) -> None:
    response = drawing.generate(**body)
    assert response.status_code == 200
    assert response.headers["x-limner-notice"] == f"Not used: {named}"


def test_empty_strings_count_as_left_out(drawing: Server) -> None:
    response = drawing.generate(
        model="", quality="", style="", background="", response_format="", user="", size=""
    )
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("body", "size", "notice"),
    [
        ({"size": "500x512"}, (512, 512), "500x512"),
        ({"size": "4000x4000", "model": "testcard"}, (3840, 3840), "4000x4000"),
        ({"size": "512X512"}, (512, 512), "512X512"),
        ({"model": "midjourney"}, (256, 256), "midjourney"),
        ({"karma": 1}, (256, 256), "Not used: karma"),
    ],
)
def test_a_lenient_server_draws_the_nearest_and_says_so(
    lenient: Server, body: dict[str, Any], size: tuple[int, int], notice: str
) -> None:
    response = lenient.generate(response_format="b64_json", **body)
    assert _picture(response).size == size
    assert notice in response.headers["x-limner-notice"]


def test_a_lenient_server_takes_minus_one_for_a_random_seed(lenient: Server) -> None:
    seeds = {lenient.generate(seed=-1).headers["x-limner-seed"] for _ in range(2)}
    assert len(seeds) == 2


def test_a_lenient_server_still_refuses_what_is_no_size(lenient: Server) -> None:
    assert_openai_error(lenient.generate(size="huge"), 400, "invalid_value", "size")


def test_png_of_a_dalle_name_can_be_saved_as_jpeg(drawing: Server, tmp_path: Path) -> None:
    file = io.BytesIO()
    _draw(drawing).convert("RGB").save(file, "JPEG")
    corner = Image.open(file).getpixel((2, 2))
    assert isinstance(corner, tuple)
    assert min(corner) > 240  # white, not black
