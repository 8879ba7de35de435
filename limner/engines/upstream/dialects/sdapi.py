"""The API of AUTOMATIC1111's web UI, which Forge, SD.Next and KoboldCpp have too."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from limner.engines.base import Capabilities, ImageTask
from limner.engines.upstream.dialects.base import (
    Answer,
    Call,
    Dialect,
    file_of,
    json_call,
    pictures_of,
    seed_of,
    white_mask,
)
from limner.engines.upstream.dialects.vllm_omni import GUIDANCE, NEGATIVE_PROMPT, STEPS
from limner.errors import UpstreamError
from limner.options import OptionSpec
from limner.request import Edit, SizeRule

_NAMES = {
    "negative_prompt": "negative_prompt",
    "steps": "steps",
    "guidance": "cfg_scale",
    "scheduler": "sampler_name",
    "strength": "denoising_strength",
}


class SdApi(Dialect):
    """`txt2img`, and `img2img` for edits and variations."""

    root = ""
    capabilities = Capabilities(
        sizes=SizeRule(max_side=2048, step=8, keeps_edited=False),
        edit=True,
        vary=True,
        mask=True,
        repeatable=False,
        options=(
            NEGATIVE_PROMPT,
            STEPS,
            GUIDANCE,
            OptionSpec("scheduler", "text", "The sampler by its name.", unset="the service's own"),
            OptionSpec(
                "strength", "number", "How much of a given picture may change.", 0, 1, default=0.75
            ),
        ),
    )

    def call(self, task: ImageTask, model: str) -> Call:
        """One picture of `task`; `model` is a checkpoint of the service by its name."""
        request, source = task.request, task.request.source
        values: dict[str, Any] = {
            "prompt": request.prompt,
            "seed": seed_of(task),
            "width": request.size.width,
            "height": request.size.height,
            "batch_size": 1,
            "n_iter": 1,
        }
        if model:
            values["override_settings"] = {"sd_model_checkpoint": model}
        values |= {_NAMES[name]: value for name, value in request.options.items()}
        if source is None:
            return json_call("/sdapi/v1/txt2img", values)
        values.setdefault("denoising_strength", 0.75)
        values["init_images"] = [_base64(data) for data in pictures_of(source, 1)]
        if isinstance(source, Edit) and source.mask is not None:
            values["mask"] = _base64(white_mask(source.mask))
            values["inpainting_fill"] = 1  # begin with what is there
        return json_call("/sdapi/v1/img2img", values)

    def answer(self, body: Mapping[str, Any]) -> Answer:
        """The first of `images`."""
        images = body.get("images")
        if not isinstance(images, list) or not images:
            raise UpstreamError("The upstream answered without a picture")
        return Answer(file_of(images[0]))

    def authorization(self, key: str) -> str:
        """USER:PASSWORD, as these services take it; any other key as a token."""
        if ":" in key:
            return f"Basic {_base64(key.encode())}"
        return super().authorization(key)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
