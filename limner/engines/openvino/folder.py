"""A folder of OpenVINO IR, read without OpenVINO: its parts, its steps, and what is wrong.

The layout is that of `limner models convert` and of `optimum-cli export openvino`:
model_index.json, and a folder each for tokenizer, text encoder, UNet or transformer, and VAE, with
openvino_model.xml and openvino_model.bin.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import DataError

INDEX = "model_index.json"
MODEL = "openvino_model.xml"
_WEIGHTS = "openvino_model.bin"
_NETWORKS = ("unet", "transformer")  # one of them
_STEPS = {"low": 15, "medium": 25, "high": 50}
_FEW_STEPS = {"low": 1, "medium": 2, "high": 4}  # of distilled models
_LCM_STEPS = {"low": 2, "medium": 4, "high": 8}


@dataclass(frozen=True)
class IrFolder:
    """What a folder says of its model."""

    path: Path
    n_bytes: int  # of its weights
    network: str  # "unet" or "transformer"
    usual_side: int  # in pixels, that it was trained for
    can_edit: bool  # whether it has the encoder of the VAE
    steps: dict[str, int]  # by quality
    guidance: float  # 1 = none

    @property
    def is_distilled(self) -> bool:
        """Whether it was made to draw in a few steps without guidance."""
        return self.guidance <= 1


def is_ir(path: Path) -> bool:
    """Whether `path` seems to be a folder of OpenVINO IR."""
    return (path / INDEX).is_file() and any((path / name / MODEL).is_file() for name in _NETWORKS)


def read(path: Path) -> IrFolder:
    """Read the folder at `path`. Raises DataError for what is missing or cannot be read."""
    if not path.is_dir():
        raise DataError(f"There is no folder {path}", hint="give a folder of OpenVINO IR")
    if not is_ir(path):
        raise DataError(
            f"{path} is no folder of OpenVINO IR: it has no {INDEX}, or no unet/{MODEL}",
            hint="`limner models convert` makes one of a folder of a diffusers pipeline",
        )
    network = next(name for name in _NETWORKS if (path / name / MODEL).is_file())
    for part in ("tokenizer", "text_encoder", network, "vae_decoder"):
        model = "openvino_tokenizer.xml" if part == "tokenizer" else MODEL
        for name in (model, model.replace(".xml", ".bin")):
            if not (path / part / name).is_file():
                raise DataError(
                    f"{path} has no {part}/{name}",
                    hint="the copy, the download or the conversion is not complete: make it again",
                )
    scheduler = _json(path / "scheduler" / "scheduler_config.json")
    steps, guidance = _habits(scheduler)
    return IrFolder(
        path,
        sum(file.stat().st_size for file in path.rglob("*.bin")),
        network,
        _usual_side(path, network),
        (path / "vae_encoder" / MODEL).is_file(),
        steps,
        guidance,
    )


def _habits(scheduler: dict[str, Any]) -> tuple[dict[str, int], float]:
    """Steps by quality and guidance; a folder says only by its scheduler how it was distilled."""
    if scheduler.get("_class_name") == "LCMScheduler":
        return _LCM_STEPS, 1.0
    # SD-Turbo and SDXL-Turbo (adversarial diffusion distillation) space their steps so.
    if scheduler.get("timestep_spacing") == "trailing":
        return _FEW_STEPS, 1.0
    return _STEPS, 7.5


def _usual_side(path: Path, network: str) -> int:
    latents = _json(path / network / "config.json").get("sample_size", 64)
    vae = _json(path / "vae_decoder" / "config.json")
    scale = 2 ** (len(vae.get("block_out_channels", [0] * 4)) - 1)
    return int(latents) * scale if isinstance(latents, int) else 512


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", hint="copy or make the folder again"
        ) from error
    if not isinstance(told, dict):
        raise DataError(f"{path} is no JSON object", hint="copy or make the folder again")
    return told
