"""The image tokenizer: from a picture to a grid of codes, and back.

A convolutional autoencoder whose bottleneck is rounded to a few levels per dimension (finite scalar
quantisation, FSQ: arXiv 2309.15505, section 3). There is no codebook that could collapse: a code is
the mixed-radix number of its levels. A cell of the grid has `n_groups` codes; the second is
sometimes dropped in training, so that the first holds the most important information.
"""

from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ImageTokenizerConfig:
    """Shape of the autoencoder; saved with its weights."""

    image_px: int = 64  # side of the square picture
    patch_px: int = 4  # side of the patches that the first layer reads
    levels: tuple[int, ...] = (8, 5, 5, 5)  # FSQ levels of one group
    n_groups: int = 2  # codes a cell
    encoder_channels: tuple[int, ...] = (64, 192)  # by resolution, finest first
    encoder_blocks: tuple[int, ...] = (1, 2)
    decoder_channels: tuple[int, ...] = (256, 128, 64)  # by resolution, coarsest first
    decoder_blocks: tuple[int, ...] = (2, 2, 1)

    @property
    def n_codes(self) -> int:
        """Values that one code can take."""
        return prod(self.levels)

    @property
    def grid(self) -> int:
        """Cells along one side of the grid."""
        return self.image_px // (self.patch_px * 2 ** (len(self.encoder_channels) - 1))

    @property
    def n_cells(self) -> int:
        """Cells of the grid."""
        return self.grid**2


class FSQ(nn.Module):
    """Finite scalar quantisation of (B, n_groups * n_dims, H, W), straight-through gradients."""

    def __init__(self, levels: tuple[int, ...], n_groups: int) -> None:
        super().__init__()
        self.n_groups = n_groups
        self.n_dims = len(levels)
        radices = [prod(levels[:i]) for i in range(len(levels))]
        steps = torch.tensor(levels, dtype=torch.float32) - 1
        self.steps: Tensor
        self.radices: Tensor
        self.levels: Tensor
        self.register_buffer("steps", steps.repeat(n_groups).view(-1, 1, 1), persistent=False)
        self.register_buffer("radices", torch.tensor(radices).view(-1, 1, 1), persistent=False)
        self.register_buffer("levels", torch.tensor(levels).view(-1, 1, 1), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """Round z to its levels; returns values in [-1, 1].

        The bound is sigmoid-shaped rather than tanh, which uses the outer levels as often as the
        inner ones (iFSQ, arXiv 2601.17124).
        """
        position = torch.sigmoid(1.6 * z.float()) * self.steps  # (B, C, H, W), 0 .. levels - 1
        rounded = position + (position.round() - position).detach()
        return rounded / self.steps * 2 - 1

    def codes(self, values: Tensor) -> Tensor:
        """Codes (B, H * W, n_groups) of quantised values (B, C, H, W)."""
        level = ((values + 1) / 2 * self.steps).round().long()
        batch, _, height, width = level.shape
        grouped = level.view(batch, self.n_groups, self.n_dims, height, width)
        code = (grouped * self.radices).sum(2)  # (B, n_groups, H, W)
        return code.flatten(2).transpose(1, 2)

    def values(self, codes: Tensor, grid: int) -> Tensor:
        """Quantised values (B, C, grid, grid) of codes (B, grid * grid, n_groups)."""
        return self.values_of_rows(codes.unflatten(1, (grid, grid)))

    def values_of_rows(self, codes: Tensor) -> Tensor:
        """Quantised values (B, C, rows, columns) of codes (B, rows, columns, n_groups)."""
        code = codes.permute(0, 3, 1, 2)[:, :, None]
        level = torch.div(code, self.radices, rounding_mode="floor") % self.levels
        return level.flatten(1, 2).float() / self.steps * 2 - 1


class ResidualBlock(nn.Module):
    """x + conv(silu(conv(silu(norm(x))))); the last convolution is initialised to zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return x + self.last(F.silu(self.first(F.silu(self.norm(x)))))


def _stage(channels: int, n_blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(n_blocks)))


class ImageTokenizer(nn.Module):
    """Premultiplied RGBA pictures in [0, 1] to codes, and codes to pictures."""

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Sequential(*_encoder_layers(config))
        self.fsq = FSQ(config.levels, config.n_groups)
        self.decoder = nn.Sequential(*_decoder_layers(config))

    def forward(self, pictures: Tensor, keep_groups: Tensor | None = None) -> Tensor:
        """Rebuild pictures (B, 4, px, px).

        keep_groups: (B, n_groups) of 0 and 1, the groups that the decoder sees; all by default.
        """
        values = self.fsq(self.encoder(pictures * 2 - 1))
        if keep_groups is not None:
            seen = keep_groups.repeat_interleave(self.fsq.n_dims, dim=1)
            values = values * seen[:, :, None, None]
        return self.decode_values(values)

    def encode(self, pictures: Tensor) -> Tensor:
        """Codes (B, n_cells, n_groups) of premultiplied RGBA pictures (B, 4, px, px) in [0, 1]."""
        return self.fsq.codes(self.fsq(self.encoder(pictures * 2 - 1)))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, n_cells, n_groups) to premultiplied RGBA (B, 4, px, px), about [0, 1]."""
        return self.decode_values(self.fsq.values(codes, self.config.grid))

    def decode_rows(self, codes: Tensor) -> Tensor:
        """Codes (B, rows, columns, n_groups) of a canvas of any shape to its picture."""
        return self.decode_values(self.fsq.values_of_rows(codes))

    def decode_values(self, values: Tensor) -> Tensor:
        """Pictures of quantised values (B, C, grid, grid) in [-1, 1]."""
        return self.decoder(values) * 0.5 + 0.5


def _encoder_layers(config: ImageTokenizerConfig) -> list[nn.Module]:
    channels = config.encoder_channels
    patch_dims = 4 * config.patch_px**2
    layers: list[nn.Module] = [
        nn.PixelUnshuffle(config.patch_px),
        nn.Conv2d(patch_dims, channels[0], 3, padding=1),
    ]
    for i, n_blocks in enumerate(config.encoder_blocks):
        if i:
            layers.append(nn.Conv2d(channels[i - 1], channels[i], 2, stride=2))
        layers.append(_stage(channels[i], n_blocks))
    n_values = len(config.levels) * config.n_groups
    return [*layers, nn.GroupNorm(1, channels[-1]), nn.SiLU(), nn.Conv2d(channels[-1], n_values, 1)]


def _decoder_layers(config: ImageTokenizerConfig) -> list[nn.Module]:
    channels = config.decoder_channels
    n_values = len(config.levels) * config.n_groups
    layers: list[nn.Module] = [nn.Conv2d(n_values, channels[0], 3, padding=1)]
    for i, n_blocks in enumerate(config.decoder_blocks):
        if i:
            layers += [nn.Conv2d(channels[i - 1], channels[i] * 4, 1), nn.PixelShuffle(2)]
        layers.append(_stage(channels[i], n_blocks))
    rest = config.image_px // (config.grid * 2 ** (len(channels) - 1))
    return [
        *layers,
        nn.GroupNorm(1, channels[-1]),
        nn.SiLU(),
        nn.Conv2d(channels[-1], 4 * rest**2, 3, padding=1),
        nn.PixelShuffle(rest),
    ]
