"""What a loaded pipeline can do, and the options that its call takes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from inspect import Parameter
from typing import Any

from limner.engines.base import Capabilities
from limner.engines.diffusion import schedulers
from limner.engines.diffusion.loading import Pipelines, Task
from limner.engines.latent import options as latent_options
from limner.options import OptionSpec
from limner.request import SizeRule

STRENGTH: dict[Task, float] = {"image": 0.75, "inpaint": 1.0}  # unless the request says
_MIN_SIDE, _STEP = 64, 16
_USUAL_PX = 1024  # side that a model draws if its configuration does not say
_LEAST_MAX_PX = 1024


def capabilities(pipelines: Pipelines, loras: Iterable[str] = (), steps: int = 0) -> Capabilities:
    """What `pipelines` can do.

    steps: the default number of steps; 0 means that of the pipeline.
    """
    usual = usual_side(pipelines.text)
    tasks = pipelines.by_task
    return Capabilities(
        sizes=SizeRule(
            min_side=_MIN_SIDE,
            # Beyond twice the side that it learned, a model draws everything several times.
            max_side=max(_LEAST_MAX_PX, 2 * usual),
            step=_STEP,
            usual_side=usual,
        ),
        edit="image" in tasks,
        mask="image" in tasks and "inpaint" in tasks,
        vary="image" in tasks,
        previews=has_previews(pipelines),
        options=tuple(_options(pipelines, loras, steps)),
    )


def guidance_name(takes: dict[str, Parameter]) -> str | None:
    """Which parameter says how closely to follow the prompt.

    A pipeline with two of them has true guidance (Ho and Salimans 2022) as `true_cfg_scale`; it is
    off by default where the model has learned guidance as an input.
    """
    own = takes.get("true_cfg_scale")
    if own is not None and own.default is not Parameter.empty and (own.default or 0) > 1:
        return "true_cfg_scale"
    return "guidance_scale" if "guidance_scale" in takes else None


def takes_negative_prompt(takes: dict[str, Parameter]) -> bool:
    """Whether a negative prompt has an effect by the pipeline's own defaults."""
    return "negative_prompt" in takes and (
        "true_cfg_scale" not in takes or guidance_name(takes) == "true_cfg_scale"
    )


def has_previews(pipelines: Pipelines) -> bool:
    """Whether what is drawn can be shown on its way: it is latents of a known encoder."""
    return getattr(pipelines.text, "vae", None) is not None


def usual_side(pipeline: Any) -> int:
    """The side in pixels of the pictures that a model was trained for."""
    for name in ("unet", "transformer"):
        network = getattr(pipeline, name, None)
        latents = getattr(getattr(network, "config", None), "sample_size", None)
        if latents:
            break
    else:
        latents = getattr(pipeline, "default_sample_size", None)
    if isinstance(latents, list | tuple):
        latents = max(latents)
    scale = getattr(pipeline, "vae_scale_factor", None)
    side = latents * scale if latents and scale else _USUAL_PX
    return max(_MIN_SIDE, math.ceil(side / _STEP) * _STEP)


def side_step(pipeline: Any) -> int:
    """Sides in pixels that the networks draw are multiples of this."""
    scale = getattr(pipeline, "vae_scale_factor", 8)
    processor = getattr(pipeline, "image_processor", None)
    step = int(processor.config.vae_scale_factor) if processor is not None else 2 * scale
    if step == scale:  # it does not know of the patches that latents are read in
        patch = getattr(getattr(pipeline, "transformer", None), "config", {}).get("patch_size", 1)
        step *= patch if isinstance(patch, int) else 1
    return step


def _options(pipelines: Pipelines, loras: Iterable[str], steps: int) -> Iterable[OptionSpec]:
    takes = pipelines.parameters("text")
    n_steps = steps or takes["num_inference_steps"].default
    yield latent_options.steps(f"{n_steps}, fewer or more by quality")
    if name := guidance_name(takes):
        default = takes[name].default
        yield OptionSpec(
            "guidance", "number", "How closely the prompt is followed.", 0, 30, default=default
        )
    if takes_negative_prompt(takes):
        yield latent_options.NEGATIVE_PROMPT
    if "image" in pipelines.by_task:
        yield latent_options.strength(
            unset="{image:g}, under a mask {inpaint:g}".format(**STRENGTH)
        )
    if others := schedulers.names(pipelines.text.scheduler):
        yield OptionSpec(
            "scheduler", "choice", "Method of the steps.", choices=others, unset="the model's own"
        )
    if names := tuple(loras):
        yield OptionSpec("lora", "choice", "LoRA to draw with.", choices=names, unset="none")
        yield OptionSpec("lora_weight", "number", "How much of it.", -2, 2, default=1.0)
