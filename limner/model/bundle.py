"""All networks that draw, as one module, for training and shipping."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from limner.model.image_tokenizer import ImageTokenizer, ImageTokenizerConfig
from limner.model.layout_transformer import LayoutTransformer
from limner.model.restorer import Restorer, RestorerConfig
from limner.model.transformer import Transformer, TransformerConfig
from limner.model.upscaler import UpscalerConfig, upscalers


@dataclass(frozen=True)
class BundleConfig:
    """Shapes of all parts."""

    image_tokenizer: ImageTokenizerConfig = field(default_factory=ImageTokenizerConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    upscaler: UpscalerConfig = field(default_factory=UpscalerConfig)
    restorer: RestorerConfig | None = None  # weights that draw flat art may have one

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "BundleConfig":
        """Rebuild from the values of `to_dict`, as read from JSON."""

        def tuples(part: dict[str, Any]) -> dict[str, Any]:
            return {k: tuple(v) if isinstance(v, list) else v for k, v in part.items()}

        restorer = values.get("restorer")  # weights before 2026-11-28 have no entry
        return cls(
            ImageTokenizerConfig(**tuples(values["image_tokenizer"])),
            TransformerConfig(**tuples(values["transformer"])),
            UpscalerConfig(**tuples(values["upscaler"])),
            RestorerConfig(**tuples(restorer)) if restorer else None,
        )


class Bundle(nn.Module):
    """Image tokenizer, transformer and upscalers, and the restorer if the config has one."""

    def __init__(self, config: BundleConfig) -> None:
        super().__init__()
        self.config = config
        self.image_tokenizer = ImageTokenizer(config.image_tokenizer)
        kind = LayoutTransformer if config.transformer.layouts else Transformer
        self.transformer: Transformer = kind(config.transformer)
        self.upscalers = upscalers(config.upscaler)
        self.restorer = Restorer(config.restorer) if config.restorer else None

    def float_arrays(self) -> dict[str, NDArray[np.float32]]:
        """All weights by name."""
        return {
            name: value.detach().cpu().float().numpy()
            for name, value in self.state_dict().items()
            if value.is_floating_point()
        }

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Load weights by name, including integer buffers (block tables)."""
        self.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
