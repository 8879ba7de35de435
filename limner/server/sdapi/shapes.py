"""Conversion of /sdapi/v1 requests and answers to and from the Images API.

Samplers, steps, guidance and negative prompts belong to diffusion models; they are accepted, have
no effect, and a notice names them. A mask is white where to draw; in the Images API it is
transparent there.
"""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from limner.arrays import Pixels
from limner.imaging import codec
from limner.request import MAX_PICTURES, Size
from limner.server.openai import fields as f
from limner.server.openai.answers import Drawn, Json
from limner.server.openai.calls import Call
from limner.server.openai.fields import Fields
from limner.service.queue.jobs import Status

DEFAULT_PX = 512
SAMPLERS = ("Euler a", "Euler")
_USED = frozenset(
    [
        "prompt",
        "batch_size",
        "n_iter",
        "width",
        "height",
        "seed",
        "init_images",
        "mask",
        "inpainting_mask_invert",
    ]
)
_WHITE = 128  # mask values from this one on mean "draw here"


def unused(sent: Mapping[str, Any]) -> str | None:
    """A notice that names the parameters without effect, but for empty ones; None if all count."""
    names = [f.shown(name) for name, value in sent.items() if name not in _USED and value]
    return f"Not used: {', '.join(names[:20])}" if names else None


def values_of(sent: Mapping[str, Any]) -> Json:
    """The equivalent parameters of the Images API. Raises ApiError."""
    fields = Fields(sent)
    batch = fields.whole_number("batch_size", 1, MAX_PICTURES) or 1
    n = batch * (fields.whole_number("n_iter", 1, MAX_PICTURES) or 1)
    if n > MAX_PICTURES:
        raise f.wrong_value(
            "n_iter", f"'batch_size' times 'n_iter' is {n}; at most {MAX_PICTURES} are drawn."
        )
    width = fields.whole_number("width", 1, 99_999) or DEFAULT_PX
    height = fields.whole_number("height", 1, 99_999) or DEFAULT_PX
    return {
        "model": "default",
        "prompt": sent.get("prompt"),
        "n": n,
        "size": f"{width}x{height}",
        "seed": sent.get("seed"),
        "response_format": "b64_json",
    }


def mask_file(mask: Pixels, size: Size, *, is_inverted: bool) -> bytes:
    """Convert a mask (H, W, 4), white where to draw, to a PNG of `size`, transparent there."""
    image = Image.fromarray(codec.composite(mask, (0, 0, 0))[..., :3])
    grey = np.asarray(image.convert("L").resize((size.width, size.height)))
    draw = (grey >= _WHITE) != is_inverted
    pixels = np.zeros((size.height, size.width, 4), np.uint8)
    pixels[..., 3] = np.where(draw, 0, 255)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def answer(sent: Mapping[str, Any], call: Call, drawn: Sequence[Drawn], model: str) -> Json:
    """The body of txt2img and img2img."""
    request = call.request
    info = {
        "prompt": request.prompt,
        "all_prompts": [request.prompt] * len(drawn),
        "negative_prompt": "",
        "seed": request.seed,
        "all_seeds": [request.seed] * len(drawn),
        "width": request.size.width,
        "height": request.size.height,
        "sampler_name": SAMPLERS[0],
        "batch_size": len(drawn),
        "sd_model_name": model,
        "infotexts": [
            f"{request.prompt}\nSeed: {request.seed}, Size: {request.size}, Model: {model}"
        ]
        * len(drawn),
    }
    kept = {
        name: value
        for name, value in sent.items()
        if name not in ("init_images", "mask", "alwayson_scripts")
    }
    return {
        "images": [base64.b64encode(one.data).decode("ascii") for one in drawn],
        "parameters": kept,
        "info": json.dumps(info),
    }


def progress(status: Status | None) -> Json:
    """The body of /progress."""
    share, step, steps = 0.0, 0, 0
    if status and status.progress:
        step, steps = status.progress.done, status.progress.total
        share = step / steps if steps else 0.0
    return {
        "progress": share,
        "eta_relative": 0.0,
        "state": {
            "skipped": False,
            "interrupted": False,
            "job": status.id if status else "",
            "job_count": status.n if status else 0,
            "job_timestamp": time.strftime("%Y%m%d%H%M%S", time.localtime()),
            "job_no": 0,
            "sampling_step": step,
            "sampling_steps": steps,
        },
        "current_image": None,
        "textinfo": status.state if status else None,
    }


def lists(model: str) -> dict[str, Any]:
    """The lists that plug-ins request for their menus, by the last part of the path."""
    return {
        "options": {"sd_model_checkpoint": model, "sd_vae": "Automatic", "samples_format": "png"},
        "samplers": [{"name": name, "aliases": [], "options": {}} for name in SAMPLERS],
        "schedulers": [
            {
                "name": "automatic",
                "label": "Automatic",
                "aliases": None,
                "default_rho": -1,
                "need_inner_model": False,
            }
        ],
        "sd-models": [
            {
                "title": model,
                "model_name": model,
                "hash": None,
                "sha256": None,
                "filename": model,
                "config": None,
            }
        ],
        "upscalers": [
            {
                "name": "None",
                "model_name": None,
                "model_path": None,
                "model_url": None,
                "scale": 4,
            }
        ],
        "latent-upscale-modes": [{"name": "Latent"}],
        "sd-vae": [],
        "loras": [],
        "hypernetworks": [],
        "prompt-styles": [],
        "embeddings": {"loaded": {}, "skipped": {}},
        "cmd-flags": {},
    }


def failure(message: str, code: str | None) -> Json:
    """The body of an error in this API."""
    return {"error": code or "error", "detail": message, "body": "", "errors": message}
