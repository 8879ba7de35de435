"""The upscalers: from the tokenizer's small picture to crisp edges, four times the side per pass.

Two networks of one type. The first repairs the tokenizer's blur (64 to 256 px); the second only
keeps edges sharp (256 to 1024 px), and is narrow because it processes the most pixels.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from limner.model.layers import Stack

FACTOR = 4


@dataclass(frozen=True)
class UpscalerConfig:
    """Shape of both passes; saved with their weights."""

    channels: tuple[int, ...] = (64, 32)  # of each pass
    n_layers: tuple[int, ...] = (8, 5)  # 3 × 3 convolutions between the first and the last


class Upscaler(nn.Module):
    """One pass: premultiplied RGBA to four times the side."""

    def __init__(self, channels: int, n_layers: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, channels, 3, padding=1)
        self.hidden = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(n_layers)
        )
        self.last = nn.Conv2d(channels, 4 * FACTOR**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 4, H, W) in [0, 1] to (B, 4, 4H, 4W): bilinear enlargement plus a residual."""
        x = self.first(picture * 2 - 1)
        for layer in self.hidden:
            x = x + layer(F.silu(x))
        fine = F.pixel_shuffle(self.last(F.silu(x)), FACTOR)
        return F.interpolate(picture, scale_factor=FACTOR, mode="bilinear") + fine


def upscalers(config: UpscalerConfig) -> Stack[Upscaler]:
    """The passes in the order in which they are applied."""
    return Stack(
        Upscaler(channels, n_layers)
        for channels, n_layers in zip(config.channels, config.n_layers, strict=True)
    )
