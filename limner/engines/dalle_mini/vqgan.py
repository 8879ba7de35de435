"""The detokenizer of DALL·E mini: codes to pixels, the decoder of a VQGAN (arXiv 2012.09841).

Every level has some residual blocks, at 16×16 with attention after each, and doubles the sides;
the last level does not. Sizes are read from the tensors, which are named as in the public weights.
The norms have PyTorch's own eps of 1e-5, as in min-dalle; taming-transformers has 1e-6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

_N_GROUPS = 32  # of every GroupNorm


@dataclass(frozen=True)
class Level:
    """Sizes of one level."""

    n_in: int
    n_out: int
    n_blocks: int
    has_attention: bool
    grows: bool  # doubles the sides at its end


@dataclass(frozen=True)
class DetokenizerShape:
    """Sizes of a detokenizer. `levels` are numbered as in the weights: the last one is first."""

    n_codes: int
    d_code: int
    levels: tuple[Level, ...]

    @property
    def cell_px(self) -> int:
        """Pixels along one side of a cell."""
        return int(2 ** sum(level.grows for level in self.levels))

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> DetokenizerShape:
        """The sizes that `tensors` have. Raises KeyError for a tensor that is missing."""
        numbers = {name.split(".")[2] for name in tensors if name.startswith("decoder.up.")}
        n_codes, d_code = tensors["embedding.weight"].shape
        levels = (_level(tensors, f"decoder.up.{i}") for i in range(len(numbers)))
        return cls(n_codes, d_code, tuple(levels))


def _level(tensors: Mapping[str, Tensor], name: str) -> Level:
    n_out, n_in = tensors[f"{name}.block.0.conv1.weight"].shape[:2]
    norms = [f"{name}.block.{i}.norm1.weight" for i in range(len(tensors))]
    return Level(
        n_in,
        n_out,
        sum(norm in tensors for norm in norms),
        f"{name}.attn.0.norm.weight" in tensors,
        f"{name}.upsample.conv.weight" in tensors,
    )


class ResBlock(nn.Module):
    """Two convolutions, added to what comes in."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(_N_GROUPS, n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(_N_GROUPS, n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.nin_shortcut = nn.Identity() if n_in == n_out else nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, n_in, H, W) to (B, n_out, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return self.nin_shortcut(x) + h


class SpatialAttention(nn.Module):
    """Every place attends to all places, with one head."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_N_GROUPS, n)
        self.q = nn.Conv2d(n, n, 1)
        self.k = nn.Conv2d(n, n, 1)
        self.v = nn.Conv2d(n, n, 1)
        self.proj_out = nn.Conv2d(n, n, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, n, H, W)."""
        h = self.norm(x)
        q, k, v = (part(h).flatten(2).transpose(1, 2) for part in (self.q, self.k, self.v))
        found = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(found.transpose(1, 2).unflatten(2, x.shape[2:]))


class Middle(nn.Module):
    """What stands before the levels."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(n, n)
        self.attn_1 = SpatialAttention(n)
        self.block_2 = ResBlock(n, n)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, n, H, W)."""
        return self.block_2(self.attn_1(self.block_1(x)))


class Doubling(nn.Module):
    """Doubles the sides."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n, n, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, n, H, W) to (B, n, 2H, 2W)."""
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class LevelBlocks(nn.Module):
    """The blocks of a level."""

    def __init__(self, level: Level) -> None:
        super().__init__()
        widths = [level.n_in, *[level.n_out] * (level.n_blocks - 1)]
        self.block = nn.ModuleList(ResBlock(n_in, level.n_out) for n_in in widths)
        n_attention = level.n_blocks if level.has_attention else 0
        self.attn = nn.ModuleList(SpatialAttention(level.n_out) for _ in range(n_attention))
        self.upsample = Doubling(level.n_out) if level.grows else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """x (B, n_in, H, W) to (B, n_out, H, W), or twice these sides."""
        for i, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[i](x)
        return self.upsample(x)


class Decoder(nn.Module):
    """Vectors of codes to a picture."""

    def __init__(self, shape: DetokenizerShape) -> None:
        super().__init__()
        n_first, n_last = shape.levels[-1].n_in, shape.levels[0].n_out
        self.conv_in = nn.Conv2d(shape.d_code, n_first, 3, padding=1)
        self.mid = Middle(n_first)
        self.up = nn.ModuleList(LevelBlocks(level) for level in shape.levels)
        self.norm_out = nn.GroupNorm(_N_GROUPS, n_last)
        self.conv_out = nn.Conv2d(n_last, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, d_code, h, w) to (B, 3, H, W), 0 to 1 and a little beyond."""
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Detokenizer(nn.Module):
    """Codes to a picture."""

    def __init__(self, shape: DetokenizerShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.n_codes, shape.d_code)
        self.post_quant_conv = nn.Conv2d(shape.d_code, shape.d_code, 1)
        self.decoder = Decoder(shape)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (B, h, w) to pixels (B, 3, H, W) in [0, 1]."""
        x = self.embedding(codes).permute(0, 3, 1, 2)
        return self.decoder(self.post_quant_conv(x)).clip(0, 1)
