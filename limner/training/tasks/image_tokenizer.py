"""Stage: train the image tokenizer, first whole, then its decoder alone on frozen codes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.data.augment import augment
from limner.model.image_tokenizer import ImageTokenizer, ImageTokenizerConfig
from limner.training.loop import LoopConfig, batches
from limner.training.tasks.perceptual import PerceptualLoss
from limner.training.tasks.sheet import write_sheet

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class ImageTokenizerTraining:
    """The settings of the stage."""

    model: ImageTokenizerConfig = field(default_factory=ImageTokenizerConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=6000, lr=2e-3, ema=0.998))
    batch: int = 32
    drop_detail: float = 0.15  # share of pictures whose codes after the first are blanked
    decoder_only: bool = False  # second phase: encoder and codes stay as they are
    # Share of cells that are told wrong in the second phase: a transformer errs too, and a decoder
    # that has seen it draws what the cells around say.
    code_dropout: float = 0.0
    perceptual: float = 0.0  # weight of the perceptual loss, in the second phase


class ImageTokenizerTask:
    """Rebuild augmented pictures; report PSNR on a held-out artist."""

    def __init__(
        self,
        config: ImageTokenizerTraining,
        pictures: NDArray[np.uint8],
        held_out: NDArray[np.uint8],
    ) -> None:
        """pictures, held_out: (N, px, px, 4) premultiplied RGBA."""
        self.config, self.pictures, self.held_out = config, pictures, held_out
        self.model = channels_last(ImageTokenizer(config.model))
        if config.decoder_only:
            self.model.encoder.requires_grad_(False)
        self.perceptual = PerceptualLoss() if config.decoder_only and config.perceptual else None

    def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Losses of one batch of augmented pictures."""
        chosen = batches(len(self.pictures), self.config.batch, step, self.config.loop.seed)
        target = to_tensor(np.stack([augment(self.pictures, i, rng) for i in chosen]))
        device = next(self.model.parameters()).device
        target = target.to(device, memory_format=torch.channels_last)
        if self.config.decoder_only:
            rebuilt = self.model.decode_values(self._corrupt_codes(target, rng))
        else:
            rebuilt = self.model(target, self._kept_groups(len(target), rng).to(device))
        losses = reconstruction_losses(rebuilt.float(), target, rng)
        if self.perceptual is not None:
            ground = grounds(len(target), rng).to(device)
            looks = self.perceptual(on_ground(rebuilt.float(), ground), on_ground(target, ground))
            losses |= {"looks": looks, "loss": losses["loss"] + self.config.perceptual * looks}
        return losses

    def _kept_groups(self, n: int, rng: np.random.Generator) -> Tensor:
        """(n, n_groups) of 1, and of 0 for the detail of some pictures."""
        keep = torch.ones(n, self.config.model.n_groups)
        keep[torch.from_numpy(rng.random(n) < self.config.drop_detail), 1:] = 0
        return keep

    def _corrupt_codes(self, target: Tensor, rng: np.random.Generator) -> Tensor:
        """Quantised values of the pictures, some cells' from another picture of the batch."""
        with torch.no_grad():
            values = self.model.fsq(self.model.encoder(target * 2 - 1))
        return with_wrong_cells(values, self.config.code_dropout, rng)

    def report(self, model: torch.nn.Module, folder: Path, step: int) -> dict[str, float]:
        """PSNR over white of held-out pictures, with all codes and with the first alone."""
        assert isinstance(model, ImageTokenizer)
        device = next(model.parameters()).device
        target = to_tensor(self.held_out[:: max(1, len(self.held_out) // 256)][:256]).to(device)
        rebuilt = model.decode(model.encode(target)).clamp(0, 1)
        coarse_only = torch.ones(len(target), self.config.model.n_groups, device=device)
        coarse_only[:, 1:] = 0
        coarse = model(target, coarse_only).clamp(0, 1)
        rows = torch.stack([target[:64], rebuilt[:64], coarse[:64]], 1).flatten(0, 1)
        write_sheet(to_pixels(rows), folder / f"sheet-{step:06d}.png", columns=24)
        return {
            "psnr": psnr_on_white(rebuilt, target),
            "psnr_coarse": psnr_on_white(coarse, target),
        }


def with_wrong_cells(values: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Quantised values (B, C, H, W), a share of the cells with another picture's of the batch."""
    wrong = torch.from_numpy(rng.random((len(values), 1, *values.shape[2:])) < share)
    return torch.where(wrong.to(values.device), values.roll(1, 0), values)


def reconstruction_losses(
    rebuilt: Tensor, target: Tensor, rng: np.random.Generator
) -> dict[str, Tensor]:
    """L1 on premultiplied RGBA and on a random background, and on gradients at two scales.

    Judging transparency by what it lets through is AlphaVAE's point (arXiv 2507.09308); gradients
    because vector art is edges.
    """
    ground = grounds(len(target), rng).to(target.device)
    pixels = F.l1_loss(rebuilt, target)
    shown = F.l1_loss(on_ground(rebuilt, ground), on_ground(target, ground))
    edges = _gradient_loss(rebuilt, target)
    edges = edges + _gradient_loss(F.avg_pool2d(rebuilt, 2), F.avg_pool2d(target, 2))
    square = F.mse_loss(rebuilt, target)
    loss = pixels + 0.5 * shown + 0.5 * edges + 2.0 * square
    return {"loss": loss, "l1": pixels, "edges": edges}


def grounds(n: int, rng: np.random.Generator) -> Tensor:
    """Random plain backgrounds, (n, 3, 1, 1) in [0, 1)."""
    return torch.from_numpy(rng.random((n, 3, 1, 1), dtype=np.float32))


def on_ground(picture: Tensor, ground: Tensor) -> Tensor:
    return picture[:, :3] + (1 - picture[:, 3:]) * ground


def _gradient_loss(a: Tensor, b: Tensor) -> Tensor:
    difference = a - b
    down = (difference[:, :, 1:] - difference[:, :, :-1]).abs().mean()
    right = (difference[:, :, :, 1:] - difference[:, :, :, :-1]).abs().mean()
    return down + right


def channels_last(model: Model) -> Model:
    """The model with its convolutions laid out for the kernels that are fast on a CPU."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.to(memory_format=torch.channels_last)
    return model


def psnr_on_white(rebuilt: Tensor, target: Tensor) -> float:
    """Mean over pictures of the PSNR in dB, both composited on white; (B, 4, H, W) in [0, 1]."""
    white = torch.ones(1, device=target.device)
    error = (on_ground(rebuilt, white) - on_ground(target, white)).square().mean((1, 2, 3))
    return float((-10 * torch.log10(error.clamp_min(1e-10))).mean())


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """(B, px, px, 4) uint8 to (B, 4, px, px) float in [0, 1]."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 255


def to_pixels(pictures: Tensor) -> NDArray[np.uint8]:
    """(B, 4, H, W) float to (B, H, W, 4) uint8, clipped to what premultiplied RGBA can be."""
    values = (pictures.detach().float().clamp(0, 1) * 255).round().permute(0, 2, 3, 1).cpu().numpy()
    pixels = values.astype(np.uint8)
    pixels[..., :3] = np.minimum(pixels[..., :3], pixels[..., 3:])
    return pixels
