"""vLLM-Omni: what a diffusion model takes stands beside OpenAI's own fields."""

from __future__ import annotations

from typing import Any

from limner.engines.base import Capabilities, ImageTask
from limner.engines.upstream.dialects.base import pictures_of, seed_of, white_mask
from limner.engines.upstream.dialects.openai import OpenAI
from limner.engines.upstream.forms import File
from limner.options import OptionSpec
from limner.request import Edit, ImageRequest

NEGATIVE_PROMPT = OptionSpec("negative_prompt", "text", "What shall not be in the picture.")
STEPS = OptionSpec("steps", "integer", "Steps of the diffusion.", 1, 200, unset="the model's own")
GUIDANCE = OptionSpec(
    "guidance", "number", "How closely to follow the prompt.", 0, 30, unset="the model's own"
)
_NAMES = {
    "negative_prompt": "negative_prompt",
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
}


class VllmOmni(OpenAI):
    """Generations and edits, without previews: only some of its models answer by a stream."""

    capabilities = Capabilities(
        edit=True,
        mask=True,
        max_images=4,
        repeatable=False,
        options=(NEGATIVE_PROMPT, STEPS, GUIDANCE),
    )

    def _look(self, request: ImageRequest, model: str) -> dict[str, Any]:
        return {}

    def _more(self, task: ImageTask) -> dict[str, Any]:
        options = task.request.options
        given = {_NAMES[name]: value for name, value in options.items()}
        return {"seed": seed_of(task)} | given

    def _files(self, source: Edit) -> list[File]:
        files = [File("image", data) for data in pictures_of(source, self.capabilities.max_images)]
        if source.mask is None:
            return files
        return [*files, File("mask_image", white_mask(source.mask))]
