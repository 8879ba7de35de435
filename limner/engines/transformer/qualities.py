"""What a quality means for the weights at hand, and when a picture is shown before its end."""

from dataclasses import replace

from limner.engines.transformer.backend import Backend
from limner.sampling.sampling import SamplingConfig

_FACTOR = 4  # of one pass of the upscalers


def sampling(backend: Backend, quality: str) -> SamplingConfig:
    """How a quality is drawn; chosen for the weights, and stored with them."""
    config = SamplingConfig(**backend.config["sampling"][quality])
    # A step draws at least one cell, so there cannot be more steps than cells.
    return replace(config, n_steps=min(config.n_steps, backend.shape.n_cells))


def count_passes(px: int, wanted_px: int) -> int:
    """Passes of the upscalers, 1 or 2, from `px` on the shorter side to about `wanted_px`."""
    return 1 if wanted_px <= px * _FACTOR else 2


def preview_steps(n_steps: int, n_previews: int) -> set[int]:
    """After which steps to show how far a picture is: evenly, and never after the last."""
    return {n_steps * (i + 1) // (n_previews + 1) for i in range(n_previews)} - {0, n_steps}
