"""Weights that draw layouts in ONNX Runtime; see `layout_decoding.LayoutNetwork`."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats, Ints
from limner.engines.transformer.onnx_backend import OnnxNetwork
from limner.errors import WeightsError
from limner.planning.layout import Layout
from limner.sampling.cells import Places
from limner.sampling.layout_decoding import LayoutShape

Told = tuple[NDArray[Any], Ints]


class OnnxLayoutNetwork:
    """The graphs of weights whose transformer draws layouts.

    Raises WeightsError if those weights draw no layouts.
    """

    def __init__(self, network: OnnxNetwork) -> None:
        self.network = network
        config = network.config["model"]["transformer"]
        if not config.get("layouts", False):
            raise WeightsError(
                f"The weights {network.config['name']} do not draw layouts",
                hint="take weights of a run that was begun with `limner begin --layouts`",
            )
        heads = config["n_heads"]
        cache = (config["n_content_layers"] + 1, 2, heads, config["d"] // heads)
        self.shape = LayoutShape(config["grid"], config["n_codes"], config["n_groups"], cache)

    def tell(self, texts: Ints, which: Ints, owner: Ints) -> Told:
        """Tokens `which` (R, M) of texts (N, T), as the decoder sees them."""
        memory, _, _ = self.network.run("text", text=texts)
        row, column = np.divmod(which, texts.shape[1])
        return np.moveaxis(memory[row, :, :, :, column], 1, 4), owner

    def step(
        self, told: Told, cache: Floats, seen: Ints, codes: Ints, known: Places, asked: Places
    ) -> tuple[NDArray[Any], Floats, Floats]:
        """Read cells and look at the next ones."""
        hidden, scores, fresh = self.network.run(
            "layout_step",
            memory=told[0],
            told=told[1],
            cache=cache,
            seen=seen,
            codes=codes,
            **_inputs("known", known),
            **_inputs("asked", asked),
        )
        return hidden, scores, fresh

    def later_scores(self, hidden: NDArray[Any], codes: Ints) -> Floats:
        """Scores of the next code, given those before it."""
        return self.network.later_scores(hidden, codes)

    def pixels(self, codes: Ints, layout: Layout) -> NDArray[np.float32]:
        """Premultiplied RGBA (B, 4, H, W) in [0, 1] of codes (B, n_cells, n_groups)."""
        rows = codes.reshape(len(codes), layout.rows, layout.columns, -1)
        drawn: NDArray[np.float32] = self.network.run("layout_pixels", codes=rows)[0]
        return drawn

    def embed_cells(self, codes: Ints, places: Places) -> Floats:
        """Unit vectors (B, E) of pictures of which cells (B, n, n_groups) are given."""
        embedding: Floats = self.network.run(
            "layout_image", codes=codes, **_inputs("places", places)
        )[0]
        return embedding


def _inputs(name: str, places: Places) -> dict[str, Any]:
    return {f"{name}_{field.name}": getattr(places, field.name) for field in fields(Places)}
