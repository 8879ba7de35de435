"""/sdapi/v1, with requests in the form that SillyTavern and Open WebUI send."""

from __future__ import annotations

import base64
import io
import json
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from limner.storage.db.keys import KeyStore
from tests.server.helpers import (
    GatedEngine,
    Server,
    make_settings,
    open_picture,
    picture_file,
    running,
    wait_until,
)
from tests.server.other_apis.calls import last_row

SDAPI = "/sdapi/v1"
SILLY_TAVERN = {
    "prompt": "a red apple",
    "negative_prompt": "ugly",
    "sampler_name": "DPM++ 2M",
    "scheduler": "Karras",
    "steps": 20,
    "cfg_scale": 7,
    "width": 512,
    "height": 768,
    "seed": -1,
    "restore_faces": False,
    "enable_hr": False,
    "hr_upscaler": "Latent",
    "hr_scale": 1.5,
    "denoising_strength": 0.7,
    "hr_second_pass_steps": 0,
    "override_settings": {"CLIP_stop_at_last_layers": 1},
    "override_settings_restore_afterwards": True,
    "clip_skip": 1,
    "save_images": True,
    "send_images": True,
    "do_not_save_grid": False,
    "do_not_save_samples": False,
}
OPEN_WEBUI = {"prompt": "a red apple", "batch_size": 2, "width": 512, "height": 512, "steps": 50}


def ask(server: Server, name: str, **body: Any) -> httpx2.Response:
    """POST to a route."""
    return server.http.post(f"{SDAPI}/{name}", json=body)


def pictures(answer: httpx2.Response) -> list[Image.Image]:
    """The pictures of an answer."""
    assert answer.status_code == 200, answer.text
    return [open_picture(data) for data in answer.json()["images"]]


def refused(answer: httpx2.Response, status: int) -> str:
    """The words of an error in the form of this API."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "detail", "body", "errors"}
    return str(body["detail"])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _red(side: int = 64) -> str:
    return _base64(picture_file(side, colour=(200, 0, 0, 255)))


def _mask(side: int) -> str:
    """White, where to draw, in the left half."""
    image = Image.new("RGB", (side, side))
    image.paste((255, 255, 255), (0, 0, side // 2, side))
    file = io.BytesIO()
    image.save(file, "PNG")
    return _base64(file.getvalue())


def test_silly_tavern_draws(server: Server) -> None:
    answer = ask(server, "txt2img", **SILLY_TAVERN)
    [picture] = pictures(answer)
    assert (picture.size, picture.format) == ((512, 768), "PNG")
    info = json.loads(answer.json()["info"])
    assert info["all_prompts"] == ["a red apple"]
    assert info["seed"] == last_row(server)["parameters"]["seed"]
    assert answer.json()["parameters"]["sampler_name"] == "DPM++ 2M"


def test_open_webui_sets_its_model_and_draws(server: Server) -> None:
    [model] = server.http.get(f"{SDAPI}/sd-models").json()
    options = server.http.get(f"{SDAPI}/options").json()
    assert options["sd_model_checkpoint"] == model["title"] == model["model_name"]
    assert ask(server, "options", sd_model_checkpoint=model["title"]).status_code == 200
    found = pictures(ask(server, "txt2img", **OPEN_WEBUI))
    assert [picture.size for picture in found] == [(512, 512)] * 2
    assert found[0].tobytes() != found[1].tobytes()


@pytest.mark.parametrize(
    "name",
    ["samplers", "schedulers", "upscalers", "latent-upscale-modes", "sd-vae", "loras", "progress"],
)
def test_menus_are_filled(server: Server, name: str) -> None:
    answer = server.http.get(f"{SDAPI}/{name}")
    assert answer.status_code == 200
    assert isinstance(answer.json(), list | dict)


def test_same_seed_draws_the_same(server: Server) -> None:
    first, again = (ask(server, "txt2img", prompt="a cat", seed=7) for _ in range(2))
    assert first.json()["images"] == again.json()["images"]
    assert pictures(first)[0].size == (512, 512)


def test_sizes_are_rounded_and_counts_multiplied(server: Server) -> None:
    answer = ask(server, "txt2img", prompt="a cat", width=500, height=301, n_iter=2, batch_size=2)
    assert [picture.size for picture in pictures(answer)] == [(496, 304)] * 4


@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
@pytest.mark.parametrize("side", [64, 200])
def test_masks_are_white_where_to_draw(server: Server, head: str, side: int) -> None:
    body = {"prompt": "a hat", "init_images": [head + _red()], "width": 64, "height": 64}
    [picture] = pictures(ask(server, "img2img", **body, mask=head + _mask(side)))
    assert last_row(server)["kind"] == "edit"
    inverted = {"mask": head + _mask(side), "inpainting_mask_invert": 1}
    [other] = pictures(ask(server, "img2img", **body, **inverted, seed=_seed(server)))
    assert picture.size == other.size == (64, 64)
    assert picture.tobytes() != other.tobytes()


def _seed(server: Server) -> int:
    return int(last_row(server)["parameters"]["seed"])


def test_picture_without_a_prompt_is_varied(server: Server) -> None:
    pictures(ask(server, "img2img", init_images=[_red()], prompt=""))
    assert last_row(server)["kind"] == "variation"
    pictures(ask(server, "img2img", init_images=[_red()], prompt="a hat"))
    assert last_row(server)["kind"] == "edit"


def test_refusals_are_in_the_form_of_this_api(server: Server) -> None:
    assert "prompt" in refused(ask(server, "txt2img"), 400)
    assert "safety system" in refused(ask(server, "txt2img", prompt="gore"), 400)
    assert "at most 10" in refused(ask(server, "txt2img", prompt="a", n_iter=5, batch_size=5), 400)
    assert "init_images" in refused(ask(server, "img2img", prompt="a"), 400)
    words = _base64(b"words that are no picture")
    assert "mimetype" in refused(ask(server, "img2img", prompt="a", init_images=[words]), 400)
    body = {"prompt": "a", "init_images": [_red()], "mask": words}
    assert "mask" in refused(ask(server, "img2img", **body), 400)


def test_password_of_basic_authentication_is_the_key(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        key = KeyStore(server.service.database).create("one")
        body = {"prompt": "a cat", "width": 256, "height": 256}
        url = f"{SDAPI}/txt2img"
        for auth in (("user", key), (key, "")):
            assert server.http.post(url, json=body, auth=auth).status_code == 200
        assert server.http.post(url, json=body, headers={"x-api-key": key}).status_code == 200
        assert refused(server.http.post(url, json=body, auth=("user", "wrong")), 401)
        assert refused(server.http.post(url, json=body), 401)
        odd = {"authorization": "Basic ???"}
        assert refused(server.http.post(url, json=body, headers=odd), 401)


def test_progress_and_interrupt(gated: Server, engine: GatedEngine) -> None:
    assert gated.http.get(f"{SDAPI}/progress").json()["progress"] == 0
    answers: list[httpx2.Response] = []

    def draw() -> None:
        body = {"prompt": "a cat"}
        answers.append(httpx2.post(f"{gated.url}{SDAPI}/txt2img", json=body, timeout=60))

    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    engine.gate.release(2)
    wait_until(lambda: gated.http.get(f"{SDAPI}/progress").json()["progress"] == 0.5)
    assert gated.http.post(f"{SDAPI}/interrupt").status_code == 200
    engine.let_all_go()
    thread.join(60)
    assert "cancelled" in refused(answers[0], 400)
    assert gated.http.post(f"{SDAPI}/interrupt").status_code == 200  # nothing is under way
    wait_until(lambda: gated.http.get(f"{SDAPI}/progress").json()["progress"] == 0)


def test_pages_of_others_are_refused(server: Server) -> None:
    headers = {"origin": "https://evil.example"}
    answer = server.http.post(f"{SDAPI}/txt2img", json={"prompt": "a cat"}, headers=headers)
    assert answer.status_code == 403
