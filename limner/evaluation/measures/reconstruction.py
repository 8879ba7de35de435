"""The error of the image tokenizer: pictures to codes and back."""

from pathlib import Path

import numpy as np
import torch

from limner.arrays import Pixels
from limner.imaging import codec
from limner.training.stages import load_image_tokenizer
from limner.training.tasks.backbone import through_source_px
from limner.training.tasks.image_tokenizer import to_pixels, to_tensor

_AT_ONCE = 32


class Rebuilder:
    """The image tokenizer of a training run, there and back."""

    def __init__(self, run: Path) -> None:
        """Raises WeightsError if the run has none."""
        self.tokenizer = load_image_tokenizer(run)
        self.px = self.tokenizer.config.image_px  # side of the pictures that it takes

    @torch.inference_mode()
    def exactly(self, pictures: Pixels) -> Pixels:
        """Premultiplied pictures (N, px, px, 4) as they come back."""
        found = []
        for start in range(0, len(pictures), _AT_ONCE):
            part = to_tensor(pictures[start : start + _AT_ONCE])
            found.append(to_pixels(self.tokenizer.decode(self.tokenizer.encode(part))))
        return np.concatenate(found)

    def __call__(self, pictures: Pixels) -> Pixels:
        """Premultiplied pictures (N, SOURCE_PX, SOURCE_PX, 4), as the judge sees them after it."""
        fitted = [codec.resize(p, self.px, self.px, premultiplied=True) for p in pictures]
        return np.stack([through_source_px(p) for p in self.exactly(np.stack(fitted))])
