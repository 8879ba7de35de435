"""From a request to the call of a pipeline: its arguments, and the picture that it edits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from limner.arrays import Pixels
from limner.engines.base import ImageTask
from limner.engines.diffusion.abilities import (
    STRENGTH,
    guidance_name,
    side_step,
    takes_negative_prompt,
)
from limner.engines.diffusion.loading import Pipelines, Task
from limner.engines.latent.source_picture import SourcePicture, finished
from limner.request import ImageRequest, Size

_SHARE_OF_STEPS = {"low": 0.5, "medium": 1.0, "high": 1.5}
# A model that draws in fewer was made for exactly so many: quality does not change them.
_FEWEST_TO_SCALE = 10


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a pipeline, and what its picture becomes."""

    task: Task
    arguments: dict[str, Any]
    drawn: Size  # sides that the networks can draw, at least those that are asked for
    size: Size
    source: SourcePicture | None = None

    def finished(self, rgb: Pixels) -> Pixels:
        """The drawing `(H, W, 3 or 4)` of size `drawn`, cropped and set into the source."""
        return finished(self.source, rgb[: self.size.height, : self.size.width])


def call_for(task: ImageTask, pipelines: Pipelines, steps: int = 0) -> Call:
    """The call that draws `task`. steps: the default number of steps; 0: the pipeline's own."""
    request, options = task.request, task.request.options
    drawn = _rounded_up(request.size, side_step(pipelines.text))
    source, more = SourcePicture.of(request), {}
    kind: Task = "text"
    if source is not None:
        kind = "inpaint" if source.has_mask and "inpaint" in pipelines.by_task else "image"
        more = _pictures(source, drawn, with_mask=kind == "inpaint")
        more["strength"] = float(options.get("strength", STRENGTH[kind]))
    takes = pipelines.parameters(kind)
    given = {
        "prompt": request.prompt,
        "width": drawn.width,
        "height": drawn.height,
        "num_inference_steps": _n_steps(request, takes, steps, more.get("strength")),
        "generator": generator(task),
        "output_type": "np",
        **more,
    }
    if (name := guidance_name(takes)) and "guidance" in options:
        given[name] = float(options["guidance"])
    if takes_negative_prompt(takes) and "negative_prompt" in options:
        given["negative_prompt"] = options["negative_prompt"]
    elif name == "true_cfg_scale":
        given["negative_prompt"] = " "  # without one, the pipeline has no guidance
    arguments = {name: value for name, value in given.items() if name in takes}
    return Call(kind, arguments, drawn, request.size, source)


def generator(task: ImageTask) -> torch.Generator:
    """The source of a picture's noise, on the CPU: the same one on every device.

    Picture 0 has the noise that diffusers draws with the same seed. The generator takes 32 bits;
    other pictures, and seeds beyond 32 bits, get theirs by a hash.
    """
    seed = task.seed
    if task.index or seed >= 2**32:
        hashed = np.random.SeedSequence(seed, spawn_key=(task.index,))
        seed = int(hashed.generate_state(1, np.uint32)[0])
    return torch.Generator("cpu").manual_seed(seed)


def _n_steps(
    request: ImageRequest, takes: dict[str, Any], default: int, strength: float | None
) -> int:
    """Steps to ask for. An edit runs the share `strength` of them, at least one."""
    if "steps" in request.options:
        steps = int(request.options["steps"])
    else:
        steps = default or int(takes["num_inference_steps"].default)
        if steps >= _FEWEST_TO_SCALE:
            steps = round(steps * _SHARE_OF_STEPS[request.quality])
    while strength is not None and int(steps * strength) < 1:
        steps += 1
    return steps


def _pictures(source: SourcePicture, drawn: Size, *, with_mask: bool) -> dict[str, Any]:
    """The picture to edit, and where, at a size that the networks can draw."""
    rgb, mask = source.rgb(), source.mask()
    height, width = mask.shape
    beyond = (0, drawn.height - height), (0, drawn.width - width)
    found = {"image": Image.fromarray(np.pad(rgb, (*beyond, (0, 0)), mode="edge"))}
    if with_mask:
        found["mask_image"] = Image.fromarray(np.pad(mask, beyond, mode="edge"))
    return found


def _rounded_up(size: Size, step: int) -> Size:
    return Size(*(-(-side // step) * step for side in (size.width, size.height)))
