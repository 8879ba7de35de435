"""A source picture as latent diffusion takes it, and the drawing set back into it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from limner.arrays import Pixels
from limner.imaging import codec
from limner.request import Edit, ImageRequest
from limner.sampling import inpainting
from limner.sampling.inpainting import Placed


@dataclass(frozen=True, eq=False)
class SourcePicture:
    """The picture of an edit or a variation at the size that is drawn."""

    placed: Placed
    is_front: bool  # whether its own clear pixels say where to draw

    @classmethod
    def of(cls, request: ImageRequest) -> SourcePicture | None:
        """That of a request, if it has one."""
        source = request.source
        if source is None:
            return None
        masked = np.zeros(source.pixels.shape[:2], bool)
        if isinstance(source, Edit):
            masked = inpainting.mask_of(source)
        placed = inpainting.place(source.pixels, masked, request.size)
        return cls(placed, isinstance(source, Edit) and source.given_mask is None)

    @property
    def has_mask(self) -> bool:
        """Whether a part of it is drawn; else all of it is."""
        return bool(self.placed.masked.any())

    def rgb(self) -> Pixels:
        """(H, W, 3), on white; what is masked is erased, so that it cannot come back."""
        pixels, masked = self.placed.pixels, self.placed.masked
        return codec.composite(inpainting.erased(pixels, masked) if masked.any() else pixels)

    def mask(self) -> Pixels:
        """(H, W), 255 where to draw, else 0."""
        return self.placed.masked.astype(np.uint8) * np.uint8(255)

    def finished(self, drawn: Pixels) -> Pixels:
        """The opaque drawing (H, W, 4) set into it; outside the mask nothing changes."""
        if not self.has_mask:
            return drawn
        if self.is_front:
            return inpainting.laid_over(drawn, self.placed)
        return np.where(self.placed.masked[..., None], drawn, self.placed.pixels)


def finished(source: SourcePicture | None, drawn: Pixels) -> Pixels:
    """What was drawn, (H, W, 3 or 4), as the picture (H, W, 4): opaque, and set into `source`."""
    pixels = opaque(drawn[..., :3])
    return source.finished(pixels) if source else pixels


def opaque(rgb: Pixels) -> Pixels:
    """(H, W, 3) as (H, W, 4)."""
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
