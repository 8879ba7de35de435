"""A Stable Diffusion 1 in one safetensors file, of zeros: 2.1 GB that take no room on the disk.

stable-diffusion.cpp knows a model by its tensors and has no smaller one. What a model of zeros
draws depends on nothing, but it is loaded, drawn and ended like any other.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers


def write(path: Path) -> Path:
    """Write the file, whose numbers are a hole in it, and return its path."""
    table: dict[str, Any] = {}
    end = 0
    for prefix, network in _networks().items():
        for name, tensor in network.state_dict().items():
            n_bytes = 2 * tensor.numel()
            shape = list(tensor.shape)
            told = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + n_bytes]}
            table[prefix + name] = told
            end += n_bytes
    head = json.dumps(table).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(8 + len(head) + end)
    return path


def _networks() -> dict[str, torch.nn.Module]:
    with torch.device("meta"):
        text = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(
                hidden_size=768, intermediate_size=3072, num_attention_heads=12,
                num_hidden_layers=12, projection_dim=768,
            )
        )  # fmt: skip
        return {
            "unet.": diffusers.UNet2DConditionModel(cross_attention_dim=768),
            "vae.": diffusers.AutoencoderKL(
                block_out_channels=(128, 256, 512, 512), layers_per_block=2,
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
            ),
            "te.text_model.": text,  # its own names lack this in transformers 5
        }  # fmt: skip
