"""The networks as graphs: named functions of arrays, called alike in every runtime.

A runtime gives one method, `run`. All that is known of a graph's name, inputs and outputs is here,
and in `export.graphs`, which writes them.
"""

from abc import ABC, abstractmethod
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Bools, Floats, Ints
from limner.engines.transformer.backend import Pictures
from limner.engines.transformer.backends.tiling import in_bands
from limner.engines.transformer.backends.weights_folder import Weights
from limner.planning.layout import Layout
from limner.planning.plan import Scores
from limner.sampling.cells import Positions
from limner.sampling.decoding import Shape
from limner.sampling.layout_decoding import LayoutShape
from limner.text.text_tokenizer import TextTokenizer

Array = NDArray[Any]
EncodedText = tuple[Array, Array]
EncodedLayoutText = tuple[Array, Ints]


class GraphNetwork(ABC):
    """A transformer by its graphs, as `decoding.Network` has it."""

    shape: Shape

    @abstractmethod
    def run(self, graph: str, **inputs: Array | Positions) -> list[Array]:
        """All outputs of a graph; several threads may ask at the same time."""

    def encode_prompt(self, text: Ints) -> EncodedText:
        """Texts (R, T) as the decoder sees them."""
        memory, mask, _ = self.run("text", text=text)
        return memory, mask

    def step(
        self,
        memory: EncodedText,
        cache: Floats,
        known: Ints,
        known_positions: Ints,
        positions: Ints,
        masks: Bools,
    ) -> tuple[Array, Floats, Floats]:
        """Read cells and look at the next ones."""
        hidden, scores, fresh = self.run(
            "step",
            memory=memory[0],
            mask=memory[1],
            cache=cache,
            known=known,
            known_places=known_positions,
            places=positions,
            masks=masks,
        )
        return hidden, scores, fresh

    def later_scores(self, hidden: Array, codes: Ints) -> Floats:
        """Scores of the next code, given those before it."""
        scores: Floats = self.run(f"code{codes.shape[-1]}", hidden=hidden, codes=codes)[0]
        return scores


class GraphLayouts:
    """The graphs of a transformer that draws layouts, as `backend.LayoutBackend` has it."""

    def __init__(self, network: GraphNetwork) -> None:
        self._network = network
        shape = network.shape
        self.shape = LayoutShape(shape.grid, shape.n_codes, shape.n_groups, shape.cache)

    def tell(self, texts: Ints, which: Ints, owner: Ints) -> EncodedLayoutText:
        """Tokens `which` (R, M) of texts (N, T), as the decoder sees them."""
        memory, _ = self._network.encode_prompt(texts)
        row, column = np.divmod(which, texts.shape[1])
        return np.moveaxis(memory[row, :, :, :, column], 1, 4), owner

    def step(
        self,
        told: EncodedLayoutText,
        cache: Floats,
        seen: Ints,
        codes: Ints,
        known: Positions,
        asked: Positions,
    ) -> tuple[Array, Floats, Floats]:
        """Read cells and look at the next ones."""
        hidden, scores, fresh = self._network.run(
            "layout_step",
            memory=told[0],
            told=told[1],
            cache=cache,
            seen=seen,
            codes=codes,
            known=known,
            asked=asked,
        )
        return hidden, scores, fresh

    def later_scores(self, hidden: Array, codes: Ints) -> Floats:
        """Scores of the next code, given those before it."""
        return self._network.later_scores(hidden, codes)

    def pixels(self, codes: Ints, layout: Layout) -> Pictures:
        """Pictures of codes (B, n_cells, n_groups) of a layout's canvas."""
        rows = codes.reshape(len(codes), layout.rows, layout.columns, -1)
        return self._network.run("layout_pixels", codes=rows)[0]

    def embed_cells(self, codes: Ints, positions: Positions) -> Floats:
        """Unit vectors (B, E) of pictures of which cells (B, n, n_groups) are given."""
        embedding: Floats = self._network.run("layout_image", codes=codes, places=positions)[0]
        return embedding


class GraphBackend(GraphNetwork):
    """All graphs of a weights folder, as `backend.Backend` has it."""

    def __init__(self, weights: Weights, threads: int) -> None:
        self.config, self.threads = weights.checkpoint.config, threads
        self.text_tokenizer = TextTokenizer.load(weights.checkpoint.file("text_tokenizer.json"))
        self.shape = shape_of(self.config["model"]["transformer"], weights.tables)

    def load_ahead(self, *, layouts: bool) -> None:
        """Begin to load what draws squares or layouts, if that takes time."""

    @cached_property
    def layouts(self) -> GraphLayouts | None:
        """The graphs for layouts; None if the weights draw none."""
        return GraphLayouts(self) if "layout_step" in self.config["graphs"] else None

    def embed_text(self, text: Ints) -> Floats:
        """Unit vectors (R, E) of texts (R, T)."""
        embedding: Floats = self.run("text", text=text)[2]
        return embedding

    def embed_image(self, codes: Ints) -> Floats:
        """Unit vectors (B, E) of the codes (B, n_cells, n_groups) of square pictures."""
        embedding: Floats = self.run("image", codes=codes)[0]
        return embedding

    def codes(self, pictures: Pictures) -> Ints:
        """Codes (B, n_cells, n_groups) of pictures (B, 4, px, px)."""
        codes: Ints = self.run("codes", pictures=pictures)[0]
        return codes

    def pixels(self, codes: Ints) -> Pictures:
        """Pictures (B, 4, px, px) of codes (B, n_cells, n_groups)."""
        return self.run("pixels", codes=codes)[0]

    def enlarged(self, pictures: Pictures, n_passes: int) -> Pictures:
        """Pictures (B, 4, H, W) of any sides after `n_passes` of the upscalers."""
        n_layers = self.config["model"]["upscaler"]["n_layers"]
        for i in range(n_passes):
            enlarge = partial(self._enlarged_once, f"upscale{i + 1}")
            pictures = in_bands(enlarge, pictures, reach=n_layers[i] + 2)  # a pixel a convolution
        return pictures

    def _enlarged_once(self, graph: str, pictures: Pictures) -> Pictures:
        return self.run(graph, pictures=pictures)[0]

    def restored(self, pictures: Pictures) -> Pictures:
        """Decoded flat art (B, 4, H, W) at twice its sides; needs `has_restorer`."""
        return self.run("restore", pictures=pictures)[0]

    def score_plan(self, tokens: Ints) -> Scores:
        """What the planner says of tokens (B, T)."""
        return self.run("planner", ids=tokens)


def shape_of(config: dict[str, Any], tables: dict[str, Ints]) -> Shape:
    """What the drawing loop must know of a transformer."""
    n_layers, heads = config["n_content_layers"], config["n_heads"]
    return Shape(
        grid=config["grid"],
        n_codes=config["n_codes"],
        n_groups=config["n_groups"],
        cache=(n_layers + 1, 2, heads, config["d"] // heads),
        tables=tuple(tables.get(f"transformer.content.{i}.table") for i in range(n_layers)),
    )
