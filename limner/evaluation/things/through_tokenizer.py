"""True pictures through the image tokenizer of the engine: the upper limit of any transformer."""

from limner.arrays import Pixels
from limner.engines.transformer.conditioning import start
from limner.engines.transformer.engine import TransformerEngine
from limner.engines.transformer.pixels.postprocess import picture
from limner.request import ImageRequest, Variation, size_of
from limner.studio import Studio


class ThroughTokenizer:
    """Encodes and decodes straight RGBA pictures (H, W, 4) as the engine's own drawings are."""

    def __init__(self, engine: TransformerEngine) -> None:
        self._network, self._is_flat = engine.backend, engine.draws_flat_art

    @classmethod
    def of(cls, studio: Studio) -> "ThroughTokenizer | None":
        """That of the studio's engine; None if it has no image tokenizer."""
        engine = studio.engine()
        return cls(engine) if isinstance(engine, TransformerEngine) else None

    def __call__(self, pixels: Pixels) -> Pixels:
        """The picture as it comes back, at its own size."""
        size = size_of(pixels)
        begun = start(self._network, ImageRequest("", size=size, source=Variation(pixels)))
        px = self._network.config["model"]["image_tokenizer"]["image_px"]
        n_passes = 1 if min(size.width, size.height) <= px * 4 else 2
        return picture(self._network, begun.codes, begun.canvas, n_passes, is_flat=self._is_flat)
