"""Stage: train the restorer on drawings as the image tokenizer rebuilds them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.data.augment import augment
from limner.model.image_tokenizer import ImageTokenizer
from limner.model.restorer import FACTOR, Restorer, RestorerConfig
from limner.training.loop import LoopConfig, batches
from limner.training.tasks.image_tokenizer import (
    channels_last,
    grounds,
    on_ground,
    psnr_on_white,
    reconstruction_losses,
    to_pixels,
    to_tensor,
    with_wrong_cells,
)
from limner.training.tasks.perceptual import PerceptualLoss
from limner.training.tasks.sheet import write_sheet


@dataclass(frozen=True)
class RestorerTraining:
    """The settings of the stage."""

    model: RestorerConfig = field(default_factory=RestorerConfig)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=3000, lr=1e-3, ema=0.998, weight_decay=0.01)
    )
    batch: int = 24
    # Share of cells whose codes are another picture's: a transformer errs too.
    code_dropout: float = 0.02
    perceptual: float = 0.2  # weight of the perceptual loss; 0 for none


class RestorerTask:
    """Enlarge rebuilt augmented pictures; report PSNR on a held-out artist."""

    def __init__(
        self,
        config: RestorerTraining,
        tokenizer: ImageTokenizer,
        pictures: NDArray[np.uint8],
        held_out: NDArray[np.uint8],
    ) -> None:
        """pictures, held_out: (N, px, px, 4) premultiplied RGBA, twice the tokenizer's px."""
        self.config, self.pictures, self.held_out = config, pictures, held_out
        self.tokenizer = channels_last(tokenizer.eval()).requires_grad_(False)
        self.model = channels_last(Restorer(config.model))
        self.perceptual = PerceptualLoss() if config.perceptual else None

    def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Losses of one batch of augmented pictures."""
        chosen = batches(len(self.pictures), self.config.batch, step, self.config.loop.seed)
        target = self._tensor(np.stack([augment(self.pictures, i, rng) for i in chosen]))
        made = self.model(self._rebuilt(target, rng)).float()
        losses = reconstruction_losses(made, target, rng)
        if self.perceptual is not None:
            ground = grounds(len(target), rng).to(target.device)
            looks = self.perceptual(on_ground(made, ground), on_ground(target, ground))
            losses |= {"looks": looks, "loss": losses["loss"] + self.config.perceptual * looks}
        return losses

    @torch.no_grad()
    def _rebuilt(self, target: Tensor, rng: np.random.Generator | None = None) -> Tensor:
        """Pictures of half the side through the tokenizer, some cells wrong if there is an rng."""
        values = self.tokenizer.fsq(self.tokenizer.encoder(F.avg_pool2d(target, FACTOR) * 2 - 1))
        if rng is not None:
            values = with_wrong_cells(values, self.config.code_dropout, rng)
        rebuilt: Tensor = self.tokenizer.decode_values(values).float().clamp(0, 1)
        return rebuilt

    def _tensor(self, pictures: NDArray[np.uint8]) -> Tensor:
        device = next(self.model.parameters()).device
        return to_tensor(pictures).to(device, memory_format=torch.channels_last)

    def report(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """PSNR and perceptual distance of held-out drawings on white, and bicubic ones'."""
        target = self._tensor(self.held_out[:: max(1, len(self.held_out) // 128)][:128])
        rebuilt = self._rebuilt(target)
        made = model(rebuilt).clamp(0, 1)
        plain = F.interpolate(rebuilt, scale_factor=FACTOR, mode="bicubic").clamp(0, 1)
        rows = torch.stack([plain[:32], made[:32], target[:32]], 1).flatten(0, 1)
        write_sheet(to_pixels(rows), folder / f"sheet-{step:06d}.png", columns=12)
        found = {
            "psnr": psnr_on_white(made, target),
            "psnr_bicubic": psnr_on_white(plain, target),
        }
        if self.perceptual is not None:
            white = torch.ones(1, 3, 1, 1, device=target.device)
            for name, pictures in (("looks", made), ("looks_bicubic", plain)):
                distance = self.perceptual(on_ground(pictures, white), on_ground(target, white))
                found[name] = float(distance)
        return found
