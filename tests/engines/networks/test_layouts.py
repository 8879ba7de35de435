"""Weights that draw layouts, exported: the graphs give what PyTorch gives."""

import numpy as np
import pytest
import torch

from limner.engines.transformer.backend import max_text
from limner.engines.transformer.backends.graphs import GraphLayouts
from limner.engines.transformer.backends.onnx_runtime import OnnxBackend
from limner.engines.transformer.backends.pytorch import TorchNetwork
from limner.model.bundle import Bundle
from limner.model.layout_transformer import Elements, LayoutTransformer
from limner.planning.layout import Box, Layout, Thing
from limner.sampling import cells
from limner.sampling.decoding import draw_codes, last
from limner.sampling.layout_decoding import CAPTION, LaidOut, draw_layouts
from limner.sampling.sampling import SamplingConfig
from limner.text.text_tokenizer import NULL
from tests.support import tiny

LAYOUT = Layout(
    9, 7, (Thing("a red apple", Box(0, 1, 4, 4)), Thing("a blue star", Box(3, 2, 5, 5))), "nothing"
)
CONFIG = SamplingConfig(n_steps=8, guidance=2.0, temperature=0.8)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return tiny.read(tiny.EXPORTED_LAYOUTS)


@pytest.fixture(scope="module")
def backend() -> OnnxBackend:
    return OnnxBackend(tiny.EXPORTED_LAYOUTS, threads=1)


@pytest.fixture(scope="module")
def network(backend: OnnxBackend) -> GraphLayouts:
    assert backend.layouts is not None
    return backend.layouts


def _texts(backend: OnnxBackend) -> tuple[np.ndarray, np.ndarray]:
    said = ["a red apple", "a blue star", "nothing", "a red apple left of a blue star"]
    tokens, _ = backend.text_tokenizer.encode_padded(said, max_text(backend))
    nothing = np.zeros_like(tokens[:3])
    nothing[:, 0] = NULL
    return tokens, nothing


def test_drawing_by_the_graphs_is_drawing_by_pytorch(
    bundle: Bundle, backend: OnnxBackend, network: GraphLayouts
) -> None:
    texts, nothing = _texts(backend)
    numbers = np.random.default_rng(1).random((2, 63, 2))
    assert isinstance(bundle.transformer, LayoutTransformer)
    drawn = []
    for one in (GraphLayouts(TorchNetwork(bundle.transformer)), network):
        asked = LaidOut(LAYOUT, texts, nothing, [0, 1, 2, CAPTION], numbers)
        *_, [last] = draw_layouts(one, [asked], CONFIG)
        drawn.append(last.codes)
        assert last.drawn.all()
    np.testing.assert_array_equal(drawn[1], drawn[0])
    assert len(np.unique(drawn[0][..., 0])) > 5


def test_a_canvas_of_any_sides_becomes_pixels(bundle: Bundle, network: GraphLayouts) -> None:
    codes = np.random.default_rng(2).integers(0, 1000, (1, 63, 2))
    drawn = network.pixels(codes, LAYOUT)
    assert drawn.shape == (1, 4, 56, 72)
    with torch.no_grad():
        rows = torch.from_numpy(codes).unflatten(1, (7, 9))
        wanted = bundle.image_tokenizer.decode_rows(rows).clamp(0, 1)
    np.testing.assert_allclose(drawn, wanted.numpy(), atol=1e-4)


def test_squares_are_drawn_by_the_same_weights(bundle: Bundle, backend: OnnxBackend) -> None:
    texts, nothing = _texts(backend)
    numbers = np.random.default_rng(4).random((1, 16, 2))
    drawn = [
        last(draw_codes(one, texts[:1], nothing[:1], numbers, CONFIG))
        for one in (TorchNetwork(bundle.transformer), backend)
    ]
    np.testing.assert_array_equal(drawn[1], drawn[0])


def test_pictures_are_embedded_by_some_of_their_cells(
    bundle: Bundle, network: GraphLayouts
) -> None:
    positions = cells.positions(LAYOUT, network.shape.side)
    some = np.array([[5, 9, 20, 60]])
    codes = np.random.default_rng(3).integers(0, 1000, (1, 4, 2))
    found = network.embed_cells(codes, positions.take(some))
    assert isinstance(bundle.transformer, LayoutTransformer)
    with torch.no_grad():
        wanted = bundle.transformer.embed_cells(
            torch.from_numpy(codes), Elements.of(positions.take(some))
        )
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)
