"""What the engine needs of whatever runs the networks: ONNX Runtime, PyTorch, or another.

Arrays go in and come out as NumPy's. What a method returns as `Any` is opaque: it is only given
back to the same backend.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats, Ints
from limner.planning.layout import Layout
from limner.planning.plan import Scores
from limner.sampling.cells import Positions
from limner.sampling.decoding import Network
from limner.sampling.layout_decoding import LayoutNetwork
from limner.text.text_tokenizer import TextTokenizer

Pictures = NDArray[np.float32]  # premultiplied RGBA (B, 4, H, W) in [0, 1]


class LayoutBackend(LayoutNetwork, Protocol):
    """The networks that draw canvases of any sides, with several things."""

    def pixels(self, codes: Ints, layout: Layout) -> Pictures:
        """Pictures of codes (B, n_cells, n_groups) of a layout's canvas."""

    def embed_cells(self, codes: Ints, positions: Positions) -> Floats:
        """Unit vectors (B, E) of pictures of which cells (B, n, n_groups) are given."""


class Backend(Network, Protocol):
    """The networks of a weights folder; `encode_prompt`, `step`, `later_scores` are `Network`'s."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The folder's config.json."""

    @property
    def text_tokenizer(self) -> TextTokenizer:
        """Prompts to tokens."""

    @property
    def threads(self) -> int:
        """Processor cores that it may use, 1 or more."""

    @property
    def layouts(self) -> LayoutBackend | None:
        """The networks for layouts; None if the weights draw none."""

    def load_ahead(self, *, layouts: bool) -> None:
        """Begin to load what draws squares or layouts, in the background."""

    def embed_text(self, text: Ints) -> Floats:
        """Unit vectors (R, E) of texts (R, T)."""

    def embed_image(self, codes: Ints) -> Floats:
        """Unit vectors (B, E) of the codes (B, n_cells, n_groups) of square pictures."""

    def codes(self, pictures: Pictures) -> Ints:
        """Codes (B, n_cells, n_groups) of square pictures of the size that the weights know."""

    def pixels(self, codes: Ints) -> Pictures:
        """Square pictures of codes (B, n_cells, n_groups)."""

    def enlarged(self, pictures: Pictures, n_passes: int) -> Pictures:
        """Pictures of any sides after `n_passes` of the upscalers, four times the side each."""

    def restored(self, pictures: Pictures) -> Pictures:
        """Decoded flat art (B, 4, H, W) at twice its sides. Needs `has_restorer`."""

    def score_plan(self, tokens: Ints) -> Scores:
        """What the planner says of tokens (B, T); see `planning.plan.read`. Needs `has_planner`."""


def has_planner(backend: Backend) -> bool:
    """Whether the weights can plan scenes; weights made before the planner cannot."""
    return "planner" in backend.config["graphs"]


def has_restorer(backend: Backend) -> bool:
    """Whether the weights repair decoded flat art; only those that draw flat art may."""
    return "restore" in backend.config["graphs"]


def max_text(backend: Backend) -> int:
    """Text tokens that the network reads, with the one that ends a text."""
    return int(backend.config["model"]["transformer"]["max_text"])


def cell_px(backend: Backend) -> int:
    """Pixels along a cell of the small picture."""
    return image_px(backend) // backend.shape.grid


def image_px(backend: Backend) -> int:
    """Pixels along a side of the small square picture that the codes stand for."""
    return int(backend.config["model"]["image_tokenizer"]["image_px"])
