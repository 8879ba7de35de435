"""`sd-server` of stable-diffusion.cpp: further parameters stand inside the prompt."""

from __future__ import annotations

import json
from typing import Any

from limner.engines.base import Capabilities, ImageTask
from limner.engines.upstream.dialects.base import pictures_of, seed_of, white_mask
from limner.engines.upstream.dialects.openai import OpenAI
from limner.engines.upstream.dialects.vllm_omni import NEGATIVE_PROMPT
from limner.engines.upstream.forms import File
from limner.request import Edit, ImageRequest, SizeRule

_TAG = "sd_cpp_extra_args"


class SdCpp(OpenAI):
    """Generations and edits, without previews; sides are multiples of 64."""

    capabilities = Capabilities(
        sizes=SizeRule(max_side=2048, step=64, keeps_edited=False),
        edit=True,
        mask=True,
        max_images=4,
        repeatable=False,
        options=(NEGATIVE_PROMPT,),
    )

    def _prompt(self, task: ImageTask) -> str:
        """Our parameters before the prompt.

        The server reads the first such part and cuts all of them out: one that a client wrote into
        its prompt changes nothing. No text of ours can end the part, as "<" is escaped in it.
        """
        given = {"seed": seed_of(task, 31)} | dict(task.request.options)
        told = json.dumps(given).replace("<", "\\u003c")
        return f"<{_TAG}>{told}</{_TAG}>{task.request.prompt}"

    def _look(self, request: ImageRequest, model: str) -> dict[str, Any]:
        return {}

    def _files(self, source: Edit) -> list[File]:
        pictures = pictures_of(source, self.capabilities.max_images)
        files = [File("image[]", data) for data in pictures]
        return files if source.mask is None else [*files, File("mask", white_mask(source.mask))]
