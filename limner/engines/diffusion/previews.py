"""From clean latents to a small picture, much faster than by the decoder of the model.

A tiny decoder does it well, if there is one (TAESD, https://github.com/madebyollin/taesd). Else
colours are a linear map of the latents, fitted once by least squares to the model's own encoder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from limner.arrays import Pixels
from limner.imaging import codec
from limner.request import Size

_CHART_CELLS = 8  # patches a side of the chart that the map is fitted to
_CELL_LATENTS = 4  # latents a side of each patch


class Previewer:
    """Shows latents of `pipeline`; `tiny` is an AutoencoderTiny for its latents, or None."""

    def __init__(self, pipeline: Any, tiny: Any | None = None) -> None:
        self._pipeline, self._tiny = pipeline, tiny
        self._map: Tensor | None = None  # (C + 1, 3), fitted by `prepare`

    def prepare(self) -> None:
        """Make ready to show latents. Runs the encoder once, so call it before a drawing."""
        if self._tiny is None and self._map is None:
            self._map = self._fitted()

    def pixels(self, latents: Tensor, drawn: Size) -> Pixels:
        """`(H, W, 4)` of size `drawn`, which the latents are of."""
        spread = self._spread(latents, drawn)
        rgb = self._by_tiny(spread) if self._tiny is not None else self._by_map(spread)
        small = np.rint(rgb.clamp(0, 1).nan_to_num().numpy() * 255).astype(np.uint8)
        opaque = np.dstack([small, np.full(small.shape[:2], 255, np.uint8)])
        return codec.resize(opaque, drawn.width, drawn.height, "bicubic")

    def _spread(self, latents: Tensor, drawn: Size) -> Tensor:
        """`(1, C, h, w)` of latents that may be packed in rows `(1, h·w/4, 4C)`."""
        if latents.ndim == 3:
            factor = self._pipeline.vae_scale_factor
            latents = self._pipeline._unpack_latents(latents, drawn.height, drawn.width, factor)
        return latents[:, :, 0] if latents.ndim == 5 else latents

    def _by_tiny(self, latents: Tensor) -> Tensor:
        tiny = self._tiny
        assert tiny is not None
        decoded = tiny.decode(latents.to(tiny.device, tiny.dtype)).sample[0]
        return (decoded.float().cpu() / 2 + 0.5).permute(1, 2, 0)

    def _by_map(self, latents: Tensor) -> Tensor:
        assert self._map is not None
        return _with_one(latents[0].float().cpu()) @ self._map

    def _fitted(self) -> Tensor:
        """The linear map from latents, and a 1, to colours that fits a chart of colours best."""
        vae = self._pipeline.vae
        side = _CHART_CELLS * _CELL_LATENTS
        colours = torch.rand(
            (3, _CHART_CELLS, _CHART_CELLS), generator=torch.Generator().manual_seed(0)
        )
        wanted = colours.repeat_interleave(_CELL_LATENTS, 1).repeat_interleave(_CELL_LATENTS, 2)
        px = side * self._pipeline.vae_scale_factor
        chart = torch.nn.functional.interpolate(wanted[None], (px, px)) * 2 - 1
        chart = chart.to(self._pipeline._execution_device, vae.dtype)
        has_frames = "z_dim" in vae.config  # it is one for video, too
        encoded = vae.encode(chart[:, :, None] if has_frames else chart)
        found = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latent
        found = found[:, :, 0] if found.ndim == 5 else found
        given = _with_one(_as_drawn(found.float().cpu(), vae.config)[0])
        if given.shape[:2] != (side, side):
            wanted = torch.nn.functional.interpolate(wanted[None], given.shape[:2])[0]
        target = wanted.permute(1, 2, 0).reshape(-1, 3)
        return torch.linalg.lstsq(
            given.reshape(-1, given.shape[2]), target, driver="gelsd"
        ).solution


def _with_one(latents: Tensor) -> Tensor:
    """`(C, h, w)` as `(h, w, C + 1)`, the last one 1."""
    one = torch.ones_like(latents[:1])
    return torch.cat([latents, one]).permute(1, 2, 0)


def _as_drawn(latents: Tensor, config: Any) -> Tensor:
    """Latents of an encoder, (1, C, h, w), scaled as the model draws them."""
    mean, std = config.get("latents_mean"), config.get("latents_std")
    if mean is not None and std is not None:
        shape = (1, -1, 1, 1)
        return (latents - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
    return (latents - (config.get("shift_factor") or 0)) * (config.get("scaling_factor") or 1)
