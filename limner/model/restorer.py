"""The restorer: from the tokenizer's small picture of flat art to twice its side, as it was drawn.

Decoded pictures of few cells have wavering outlines, soft edges and specks. A U-Net of residual
blocks (arXiv 1505.04597, section 2) predicts what to add to the enlarged picture. No layer
normalises over the canvas, so a part of a picture does not depend on what is far from it.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 2


@dataclass(frozen=True)
class RestorerConfig:
    """Shape of the network; saved with its weights."""

    channels: tuple[int, ...] = (32, 96, 192)  # by resolution, finest first
    blocks: tuple[int, ...] = (1, 2, 4)  # residual blocks; on the way up as many, but the coarsest

    @property
    def multiple(self) -> int:
        """The sides of a picture must be multiples of this."""
        return int(2 ** (len(self.channels) - 1))


class ResidualBlock(nn.Module):
    """x + conv(silu(conv(silu(x)))); the last convolution is initialised to zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return x + self.last(F.silu(self.first(F.silu(x))))


def _blocks(channels: int, n: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(n)))


class Restorer(nn.Module):
    """Premultiplied RGBA of a decoded picture to twice its side."""

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.config = config
        channels, blocks = config.channels, config.blocks
        pairs = list(pairwise(channels))
        self.first = nn.Conv2d(4, channels[0], 3, padding=1)
        self.down = nn.ModuleList(_blocks(c, n) for c, n in zip(channels, blocks, strict=True))
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.enlarge = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairs)
        self.up = nn.ModuleList(
            _blocks(c, n) for c, n in zip(channels[:-1], blocks[:-1], strict=True)
        )
        self.last = nn.Conv2d(channels[0], 4 * FACTOR**2, 3, padding=1)
        for initial in self.last.parameters():
            nn.init.zeros_(initial)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 4, H, W) in [0, 1] to (B, 4, 2 H, 2 W): bilinear enlargement plus a residual.

        H and W are multiples of `config.multiple`.
        """
        x = self.down[0](self.first(picture * 2 - 1))
        finer = []
        for shrink, blocks in zip(self.shrink, self.down[1:], strict=True):
            finer.append(x)
            x = blocks(shrink(x))
        for level in reversed(range(len(finer))):
            x = finer[level] + F.pixel_shuffle(self.enlarge[level](x), 2)
            x = self.up[level](x)
        fine = F.pixel_shuffle(self.last(F.silu(x)), FACTOR)
        return F.interpolate(picture, scale_factor=FACTOR, mode="bilinear") + fine


def restored(restorer: Restorer, pictures: Tensor) -> Tensor:
    """Pictures (B, 4, H, W) in [0, 1] at twice their sides, as premultiplied RGBA can be."""
    made = restorer(pictures).clamp(0, 1)
    alpha = made[:, 3:]
    return torch.cat([torch.minimum(made[:, :3], alpha), alpha], 1)
