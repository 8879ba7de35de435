"""What each dialect says, read by a service on loopback, and what it understands."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartParser

from limner import settings
from limner.engines.base import ImageTask, Picture
from limner.engines.registry import load
from limner.engines.upstream.dialects import DIALECTS
from limner.engines.upstream.dialects.base import seed_of
from limner.engines.upstream.engine import Upstream, UpstreamEngine
from limner.errors import SettingsError
from limner.imaging import codec
from limner.options import Value
from limner.request import SIZES, Edit, ImageRequest, Variation
from tests.engines.upstream.faulty import Faulty, drawn, faulty, picture, refuses

REQUEST = ImageRequest("a red fox", size=SIZES[0], seed=42)
PIXELS = np.full((64, 96, 4), 200, np.uint8)
MASK = np.full((64, 96), 255, np.uint8)
MASK[:, :40] = 0


@contextmanager
def _service(body: Any) -> Iterator[Faulty]:
    with faulty(refuses(200, body)) as service:
        yield service


def _asked(dialect: str, request: ImageRequest, model: str = "") -> tuple[str, dict[str, Any]]:
    """The path and the fields that a service of `dialect` gets for `request`."""
    body = drawn(picture()) | {"images": [base64.b64encode(picture()).decode()]}
    with _service(body) as service:
        url = service.url.removesuffix("/v1") + DIALECTS[dialect].root
        engine = UpstreamEngine([Upstream(url, "a:b")], dialect, model)
        engine.check(request)
        [made] = [event for event in engine.generate(request) if isinstance(event, Picture)]
    assert made.file is not None
    assert made.file.data == picture()
    [asked] = service.asked
    if asked.headers["content-type"] == "application/json":
        return asked.path, asked.json
    return asked.path, _form(asked.headers["content-type"], asked.body)


def _form(kind: str, body: bytes) -> dict[str, Any]:
    """The fields of a form by name; those that are there more than once, as a list."""

    async def parsed() -> dict[str, Any]:
        async def chunks() -> Any:
            yield body

        form: FormData = await MultiPartParser(Headers({"content-type": kind}), chunks()).parse()
        found: dict[str, Any] = {}
        for name in form:
            values = [
                await value.read() if isinstance(value, UploadFile) else value
                for value in form.getlist(name)
            ]
            found[name] = values if len(values) > 1 else values[0]
        await form.close()
        return found

    assert kind.startswith("multipart/form-data; ")
    return asyncio.run(parsed())


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-image-2", {"model": "gpt-image-2", "quality": "high", "background": "opaque"}),
        ("dall-e-3", {"model": "dall-e-3", "quality": "hd", "response_format": "b64_json"}),
        ("dall-e-2", {"model": "dall-e-2", "response_format": "b64_json"}),
        ("", {"quality": "high", "background": "opaque", "response_format": "b64_json"}),
    ],
)
def test_each_model_of_openai_hears_the_words_it_knows(
    model: str, expected: dict[str, Any]
) -> None:
    request = replace(REQUEST, quality="high", background="opaque")
    path, fields = _asked("openai", request, model)
    assert path == "/v1/images/generations"
    assert fields == {"prompt": "a red fox", "n": 1, "size": "256x256"} | expected


def test_openai_edits_are_a_form_with_a_mask_that_is_clear_where_to_draw() -> None:
    request = replace(REQUEST, source=Edit(PIXELS, MASK))
    path, fields = _asked("openai", request, "gpt-image-2")
    assert path == "/v1/images/edits"
    assert np.array_equal(codec.decode(fields.pop("image")), PIXELS)
    assert np.array_equal(codec.decode(fields.pop("mask"))[..., 3], MASK)
    expected = {"prompt": "a red fox", "n": "1", "size": "256x256", "quality": "medium"}
    assert fields == expected | {"model": "gpt-image-2"}


def test_further_pictures_of_an_edit_are_sent() -> None:
    other = np.full((8, 8, 4), 9, np.uint8)
    _, fields = _asked("openai", replace(REQUEST, source=Edit(PIXELS, others=(other,))))
    assert [codec.decode(data).shape for data in fields["image[]"]] == [(64, 96, 4), (8, 8, 4)]


def test_openai_variations_have_no_prompt() -> None:
    path, fields = _asked("openai", replace(REQUEST, prompt="", source=Variation(PIXELS)))
    assert path == "/v1/images/variations"
    assert set(fields) == {"image", "n", "size", "response_format"}


def test_limner_is_told_the_seed() -> None:
    assert _asked("limner", REQUEST)[1]["seed"] == 42


def test_vllm_omni_takes_options_beside_the_fields() -> None:
    options: dict[str, Value] = {"steps": 9, "guidance": 1.5, "negative_prompt": "fog"}
    path, fields = _asked("vllm-omni", replace(REQUEST, options=options))
    assert path == "/v1/images/generations"
    told = {"num_inference_steps": 9, "guidance_scale": 1.5, "negative_prompt": "fog", "seed": 42}
    common = {"prompt": "a red fox", "n": 1, "size": "256x256", "response_format": "b64_json"}
    assert fields == common | told
    _, fields = _asked("vllm-omni", replace(REQUEST, source=Edit(PIXELS, MASK)))
    white = codec.decode(fields["mask_image"])
    assert np.array_equal(white[..., 0], 255 - MASK)
    assert (white[..., 3] == 255).all()


def test_sdcpp_takes_its_parameters_in_the_prompt_and_a_client_cannot() -> None:
    own = "<sd_cpp_extra_args>"
    sly = f'{own}{{"seed": 1}}</sd_cpp_extra_args> a fox'
    options = {"negative_prompt": "</sd_cpp_extra_args>"}
    path, fields = _asked("sdcpp", replace(REQUEST, prompt=sly, options=options))
    assert path == "/v1/images/generations"
    # As the server reads it: the first part up to its first end.
    told, rest = fields["prompt"].removeprefix(own).split("</sd_cpp_extra_args>", 1)
    assert json.loads(told) == {"seed": 42} | options
    assert rest == sly
    _, fields = _asked("sdcpp", replace(REQUEST, source=Edit(PIXELS, MASK)))
    assert np.array_equal(codec.decode(fields["mask"])[..., 0], 255 - MASK)
    assert "image[]" in fields


def test_sdapi_draws_from_text_and_from_a_picture() -> None:
    options: dict[str, Value] = {"steps": 9, "guidance": 1.5, "scheduler": "Euler a"}
    path, fields = _asked("sdapi", replace(REQUEST, options=options), "some-checkpoint")
    assert path == "/sdapi/v1/txt2img"
    size = {"width": 256, "height": 256, "batch_size": 1, "n_iter": 1}
    told = {"steps": 9, "cfg_scale": 1.5, "sampler_name": "Euler a", "seed": 42}
    model = {"override_settings": {"sd_model_checkpoint": "some-checkpoint"}}
    assert fields == {"prompt": "a red fox"} | size | told | model
    request = replace(REQUEST, source=Edit(PIXELS, MASK), options={"strength": 0.5})
    path, fields = _asked("sdapi", request)
    assert path == "/sdapi/v1/img2img"
    assert fields["denoising_strength"] == 0.5
    [image] = fields["init_images"]
    assert np.array_equal(codec.decode(base64.b64decode(image)), PIXELS)
    mask = codec.decode(base64.b64decode(fields["mask"]))
    assert np.array_equal(mask[..., 0], 255 - MASK)
    path, fields = _asked("sdapi", replace(REQUEST, prompt="", source=Variation(PIXELS)))
    assert path == "/sdapi/v1/img2img"
    assert "mask" not in fields


def test_sdapi_takes_a_name_and_a_password() -> None:
    dialect = DIALECTS["sdapi"]()
    assert dialect.authorization("me:pw") == "Basic " + base64.b64encode(b"me:pw").decode()
    assert dialect.authorization("token") == "Bearer token"


@pytest.mark.parametrize("n_bits", [31, 32, 63])
def test_seeds_fit_and_differ(n_bits: int) -> None:
    seeds = [
        seed_of(ImageTask(replace(REQUEST, seed=seed), index), n_bits)
        for seed in (0, 42, 43, 42 + 2**32, 2**63 - 1)
        for index in range(4)
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**n_bits for seed in seeds)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "needs the address of a service"),
        ({"LIMNER_UPSTREAM_URL": "ftp://x"}, "Setting upstream_url"),
        ({"LIMNER_UPSTREAM_URL": "http://me:secret@x"}, "a value that cannot be read"),
        ({"LIMNER_UPSTREAM_URL": "http://x", "LIMNER_UPSTREAM_KEY": "a,b"}, "2 keys for 1"),
        ({"LIMNER_UPSTREAM_KEY": "my secret"}, "Setting upstream_key has a value that cannot"),
        ({"LIMNER_UPSTREAM_DIALECT": "latin"}, "openai or limner or vllm-omni"),
    ],
)
def test_wrong_settings_are_named_without_a_secret(
    environ: dict[str, str], words: str, tmp_path: Any
) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        load("upstream", settings.load(environ=environ | {"HOME": str(tmp_path)}, folder=tmp_path))
    assert "secret" not in str(caught.value)


def test_the_address_has_the_path_of_its_dialect_unless_it_has_one(tmp_path: Any) -> None:
    with _service(drawn(picture())) as service:
        root = service.url.removesuffix("/v1")
        for given, path in ((root, "/v1"), (root + "/", "/v1"), (root + "/api/v2", "/api/v2")):
            environ = {"LIMNER_UPSTREAM_URL": given, "LIMNER_UPSTREAM_KEY": "one"}
            found = settings.load(environ=environ | {"HOME": str(tmp_path)}, folder=tmp_path)
            list(load("upstream", found).generate(REQUEST))
            assert service.asked[-1].path == f"{path}/images/generations"


def test_a_picture_file_is_no_copy(tmp_path: Any) -> None:
    """It is saved as it came, with whatever is written inside."""
    data = codec.encode(codec.decode(picture()), "png", {"made-by": "another"})
    with _service(drawn(data)) as service:
        [made] = [
            event
            for event in UpstreamEngine([Upstream(service.url)]).generate(REQUEST)
            if isinstance(event, Picture)
        ]
    saved = made.save(tmp_path / "a.png").read_bytes()
    assert saved == data
    assert codec.read_text(saved) == {"made-by": "another"}
