"""Stage: train the upscalers on drawings as the image tokenizer rebuilds them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.model.image_tokenizer import ImageTokenizer
from limner.model.upscaler import FACTOR, UpscalerConfig, upscalers
from limner.progress import StepProgress
from limner.training.loop import LoopConfig, batches
from limner.training.tasks.image_tokenizer import (
    channels_last,
    psnr_on_white,
    reconstruction_losses,
    to_pixels,
    to_tensor,
)
from limner.training.tasks.sheet import write_sheet

Render = Callable[[int, int], NDArray[np.uint8]]  # (index, px) to premultiplied RGBA


@dataclass(frozen=True)
class UpscalerTraining:
    """The settings of the stage."""

    model: UpscalerConfig = field(default_factory=UpscalerConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=2500, lr=1e-3, ema=0.998))
    batch: int = 16
    crop: int = 32  # side of the first pass's input, in pixels
    n_pictures: int = 600


@dataclass(frozen=True)
class Pairs:
    """Pictures as the tokenizer rebuilds them, and their originals at 4 and 16 times the px.

    The largest are made for a second pass only.
    """

    small: NDArray[np.uint8]  # (N, px, px, 4)
    medium: NDArray[np.uint8]  # (N, 4 px, 4 px, 4)
    large: list[NDArray[np.uint8]]  # N of (4 px, 4 px, 4), a window of the picture at 16 px
    corners: list[tuple[int, int]]  # N top left corners of the windows, in pixels of `small`


@torch.no_grad()
def make_pairs(
    tokenizer: ImageTokenizer,
    render: Render,
    n_drawings: int,
    n_pairs: int,
    seed: int,
    report: StepProgress = lambda done, total: None,
    n_passes: int = 2,
) -> Pairs:
    """Render `n_pairs` random drawings at one size more than passes, and rebuild the smallest."""
    rng = np.random.default_rng(seed)
    px = tokenizer.config.image_px
    small, medium, large = [], [], []
    corners: list[tuple[int, int]] = []
    for index in rng.permutation(n_drawings)[:n_pairs]:
        true = to_tensor(render(int(index), px)[None])
        small.append(to_pixels(tokenizer.decode(tokenizer.encode(true)))[0])
        medium.append(render(int(index), px * FACTOR))
        if n_passes > 1:
            top, left = (int(corner) for corner in rng.integers(0, px - px // FACTOR + 1, 2))
            window = (
                slice(y := top * FACTOR**2, y + px * FACTOR),
                slice(x := left * FACTOR**2, x + px * FACTOR),
            )
            large.append(render(int(index), px * FACTOR**2)[window].copy())
            corners.append((top, left))
        report(len(small), n_pairs)
    return Pairs(np.stack(small), np.stack(medium), large, corners)


class UpscalerTask:
    """Trains all passes at once; the second pass enlarges the output of the first."""

    def __init__(self, config: UpscalerTraining, pairs: Pairs, held_out: Pairs) -> None:
        self.config, self.pairs, self.held_out = config, pairs, held_out
        self.model = channels_last(upscalers(config.model))

    def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Losses of one batch of windows."""
        chosen = batches(len(self.pairs.small), self.config.batch, step, self.config.loop.seed)
        first, first_true = self._first_pass(chosen, rng)
        coarse = reconstruction_losses(first.float(), first_true, rng)["loss"]
        if len(self.model) == 1:
            return {"loss": coarse}
        second, second_true = self._second_pass(chosen)
        fine = reconstruction_losses(second.float(), second_true, rng)["loss"]
        return {"loss": coarse + fine, "coarse": coarse, "fine": fine}

    def _first_pass(
        self, chosen: NDArray[np.integer], rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        px, crop = self.pairs.small.shape[1], self.config.crop
        inputs, targets = [], []
        for i in chosen:
            top, left = rng.integers(0, px - crop + 1, 2)
            inputs.append(self.pairs.small[i, top : top + crop, left : left + crop])
            rows = slice(top * FACTOR, (top + crop) * FACTOR)
            columns = slice(left * FACTOR, (left + crop) * FACTOR)
            targets.append(self.pairs.medium[i, rows, columns])
        return self.model[0](self._tensor(inputs)), self._tensor(targets)

    def _second_pass(self, chosen: NDArray[np.integer]) -> tuple[Tensor, Tensor]:
        """The losses of the second pass, on the windows known at the largest size."""
        side = self.pairs.small.shape[1] // FACTOR
        with torch.no_grad():
            whole = self.model[0](self._tensor([self.pairs.small[i] for i in chosen]))
        windows = [
            picture[:, top * FACTOR : (top + side) * FACTOR, left * FACTOR : (left + side) * FACTOR]
            for picture, (top, left) in zip(
                whole, (self.pairs.corners[i] for i in chosen), strict=True
            )
        ]
        made = torch.stack(windows).float().clamp(0, 1)
        return self.model[1](made), self._tensor([self.pairs.large[i] for i in chosen])

    def _tensor(self, pictures: list[NDArray[np.uint8]]) -> Tensor:
        device = next(self.model.parameters()).device
        return to_tensor(np.stack(pictures)).to(device, memory_format=torch.channels_last)

    def report(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """PSNR over white of held-out drawings after one pass, beside bicubic enlargement."""
        assert isinstance(model, nn.ModuleList)
        device = next(model.parameters()).device
        small = to_tensor(self.held_out.small[:32]).to(device)
        true = to_tensor(self.held_out.medium[:32]).to(device)
        made = model[0](small).clamp(0, 1)
        plain = torch.nn.functional.interpolate(small, scale_factor=FACTOR, mode="bicubic")
        rows = torch.stack([plain.clamp(0, 1)[:8], made[:8], true[:8]], 1).flatten(0, 1)
        write_sheet(to_pixels(rows), folder / f"sheet-{step:06d}.png", columns=6)
        return {"psnr": psnr_on_white(made, true), "psnr_bicubic": psnr_on_white(plain, true)}
