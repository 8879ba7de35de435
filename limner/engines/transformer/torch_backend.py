"""The transformer in PyTorch, as the drawing loop calls it."""

from typing import Any

import numpy as np
import torch

from limner.arrays import Bools, Floats, Ints
from limner.model.layout_transformer import Elements, LayoutTransformer, Told
from limner.model.transformer import EncodedText, Transformer, TransformerConfig
from limner.sampling.cells import Places
from limner.sampling.decoding import Shape
from limner.sampling.layout_decoding import LayoutShape


def shape_of(transformer: Transformer) -> Shape:
    """What the drawing loop must know of a transformer."""
    config: TransformerConfig = transformer.config
    tables = [layer.table for layer in transformer.content]
    return Shape(
        grid=config.grid,
        n_codes=config.n_codes,
        n_groups=config.n_groups,
        cache=(config.n_content_layers + 1, 2, config.n_heads, config.d // config.n_heads),
        tables=tuple(None if table is None else table.cpu().numpy() for table in tables),
    )


class TorchNetwork:
    """Runs a Transformer for `decoding.draw_codes`."""

    def __init__(self, transformer: Transformer) -> None:
        self.transformer = transformer.eval()
        self.shape = shape_of(transformer)
        self.device = next(transformer.parameters()).device

    @torch.no_grad()
    def encode_prompt(self, text: Ints) -> EncodedText:
        """Texts (R, T) as the decoder sees them."""
        return self.transformer.encode_prompt(self._tensor(text))

    @torch.no_grad()
    def step(
        self,
        memory: EncodedText,
        cache: Floats,
        known: Ints,
        known_places: Ints,
        places: Ints,
        masks: Bools,
    ) -> tuple[Any, Floats, Floats]:
        """See `decoding.Network`."""
        hidden, fresh = self.transformer.step(
            memory,
            torch.from_numpy(np.ascontiguousarray(cache)).to(self.device),
            self._tensor(known),
            self._tensor(known_places),
            self._tensor(places),
            torch.from_numpy(masks).to(self.device),
        )
        scores = self.transformer.head.first(hidden)
        return hidden, scores.float().cpu().numpy(), fresh.float().cpu().numpy()

    @torch.no_grad()
    def later_scores(self, hidden: Any, codes: Ints) -> Floats:
        """Scores of the next code, given those before it."""
        return self.transformer.head.after(hidden, self._tensor(codes)).float().cpu().numpy()

    def _tensor(self, values: Ints) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values).astype(np.int64)).to(self.device)


class TorchLayoutNetwork:
    """Runs a LayoutTransformer for `layout_decoding.draw_layout`."""

    def __init__(self, transformer: LayoutTransformer) -> None:
        self.transformer = transformer.eval()
        config = transformer.config
        self.shape = LayoutShape(
            side=config.grid,
            n_codes=config.n_codes,
            n_groups=config.n_groups,
            cache=(config.n_content_layers + 1, 2, config.n_heads, config.d // config.n_heads),
        )
        self.device = next(transformer.parameters()).device

    @torch.no_grad()
    def tell(self, texts: Ints, which: Ints, owner: Ints) -> Told:
        """See `layout_decoding.LayoutNetwork`."""
        return self.transformer.tell(*map(self._tensor, (texts, which, owner)))

    @torch.no_grad()
    def step(
        self, told: Told, cache: Floats, seen: Ints, codes: Ints, known: Places, asked: Places
    ) -> tuple[Any, Floats, Floats]:
        """See `layout_decoding.LayoutNetwork`."""
        hidden, fresh = self.transformer.step_layout(
            told,
            torch.from_numpy(np.ascontiguousarray(cache)).to(self.device),
            self._tensor(seen),
            self._tensor(codes),
            Elements.of(known).to(self.device),
            Elements.of(asked).to(self.device),
        )
        scores = self.transformer.head.first(hidden)
        return hidden, scores.float().cpu().numpy(), fresh.float().cpu().numpy()

    @torch.no_grad()
    def later_scores(self, hidden: Any, codes: Ints) -> Floats:
        """Scores of the next code, given those before it."""
        return self.transformer.head.after(hidden, self._tensor(codes)).float().cpu().numpy()

    def _tensor(self, values: Ints) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values).astype(np.int64)).to(self.device)
