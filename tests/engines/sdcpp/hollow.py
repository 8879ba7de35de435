"""A Stable Diffusion 1 in one safetensors file, nearly all of zeros that take no room on the disk.

stable-diffusion.cpp knows a model by its tensors and has no smaller one, of 2.1 GB. Its UNet leaves
the noise as it is, and a random VAE makes a picture of it: it depends on seed, size and source, and
not on the prompt.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from numpy.typing import NDArray


def write(path: Path) -> Path:
    """Write the file and return its path."""
    table: dict[str, Any] = {}
    numbers: dict[int, np.ndarray] = {}  # by where they begin
    end = 0
    for prefix, network in _networks().items():
        for name, tensor in network.state_dict().items():
            n_bytes = 2 * tensor.numel()
            shape = list(tensor.shape)
            told = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + n_bytes]}
            table[prefix + name] = told
            if prefix == "vae.":
                numbers[end] = _random(name, shape)
            end += n_bytes
    head = json.dumps(table).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(8 + len(head) + end)
        for begin, tensor in numbers.items():
            file.seek(8 + len(head) + begin)
            file.write(tensor.tobytes())
    return path


def _random(name: str, shape: list[int]) -> NDArray[np.float16]:
    """Numbers that neither grow nor vanish from layer to layer."""
    if len(shape) < 2:
        return np.full(shape, 1 if name.endswith("weight") else 0, np.float16)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    n_inputs = int(np.prod(shape[1:]))
    numbers = rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(n_inputs))
    return numbers.astype(np.float16)


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
