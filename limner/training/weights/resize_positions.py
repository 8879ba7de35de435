"""Change a trained transformer to a grid of more cells."""

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from limner.errors import SettingsError
from limner.model.image_tokenizer import ImageTokenizerConfig
from limner.model.transformer import Transformer, TransformerConfig

_MOST_PX = 512


def at_px(config: ImageTokenizerConfig, px: int) -> ImageTokenizerConfig:
    """The same tokenizer for pictures of `px` a side: more cells of the same size.

    Raises SettingsError unless px is a multiple of the cells' side, from 2 cells to 512 px.
    """
    cell = config.image_px // config.grid
    if px % cell or not 2 * cell <= px <= _MOST_PX:
        raise SettingsError(
            f"px is {px}; it must be a multiple of {cell}, from {2 * cell} to {_MOST_PX}",
            hint=f"the weights are of {config.image_px} px",
        )
    return replace(config, image_px=px)


def on_grid(
    tensors: Mapping[str, Tensor], old: TransformerConfig, grid: int
) -> tuple[dict[str, Tensor], TransformerConfig]:
    """A transformer's tensors for a picture of grid × grid cells, and its new shape.

    Position embeddings are interpolated between the old cells; rotary distances stay in cells, and
    blocks of scattered attention are those of the new length. With the shipped weights, from 8 × 8
    to 12 × 12 cells, the initial loss of a code is that of the old grid (docs/experiments.md).
    """
    new = replace(old, grid=grid)
    found = dict(tensors)
    for name in ("place_embed.weight", "query_embed.weight"):
        found[name] = _interpolated(tensors[name], old.grid, grid)
    found |= {n: t for n, t in Transformer(new).state_dict().items() if n.endswith(".table")}
    return found, new


def _interpolated(rows: Tensor, old: int, new: int) -> Tensor:
    """Rows (old * old + rest, D) of positions as rows (new * new + rest, D)."""
    square = rows[: old * old].T.reshape(1, -1, old, old)
    finer = F.interpolate(square, size=(new, new), mode="bilinear", align_corners=False)
    return torch.cat([finer[0].flatten(1).T, rows[old * old :]])
