"""Perceptual distance of pictures by a frozen network for photographs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from limner.training.tasks.backbone import Backbone

_BLOCKS = (2, 4, 10)  # of EfficientNet-Lite 0: maps of a quarter, an eighth and a sixteenth


class PerceptualLoss:
    """Squared distance of unit feature vectors, place by place (LPIPS without its learned weights,
    arXiv 1801.03924, section 3).

    Pixel losses reward the mean of all possible pictures; a loss on features rewards one of them.
    """

    def __init__(self) -> None:
        """Raises MissingExtra without the weights of EfficientNet-Lite 0."""
        self._backbone = Backbone.load("lite0")

    def __call__(self, made: Tensor, true: Tensor) -> Tensor:
        """Mean distance of RGB pictures (B, 3, H, W) in [0, 1], 0 for equal ones and at most 12."""
        with torch.no_grad():
            wanted = [F.normalize(x.float(), dim=1) for x in self._backbone.maps(true, _BLOCKS)]
        shown = [F.normalize(x.float(), dim=1) for x in self._backbone.maps(made, _BLOCKS)]
        distances = [(a - b).square().sum(1).mean() for a, b in zip(shown, wanted, strict=True)]
        return torch.stack(distances).sum()
