"""Exporting anew gives the graphs of tests/support/weights, and graphs of any grid draw."""

from pathlib import Path

import onnx
import pytest

from limner.engines.transformer.engine import TransformerEngine
from limner.request import ImageRequest, Size
from tests.support import tiny
from tests.training.test_resize_positions import finer_weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # an export takes a minute


@pytest.mark.parametrize("name", ["tiny", "tiny-layouts"])
def test_exported_graphs_are_those_of_the_code(name: str, tmp_path: Path) -> None:
    """If this fails, the networks have changed: `python -m tests.support.tiny` exports anew."""
    kept, model = {
        "tiny": (tiny.EXPORTED, tiny.bundle()),
        "tiny-layouts": (tiny.EXPORTED_LAYOUTS, tiny.layouts_bundle()),
    }[name]
    fresh = tiny.write(tmp_path / name, model)
    graphs = sorted(path.name for path in kept.glob("*.onnx"))
    assert graphs == sorted(path.name for path in fresh.glob("*.onnx"))
    for graph in graphs:
        assert _nodes(fresh / graph) == _nodes(kept / graph)


def _nodes(file: Path) -> list[bytes]:
    graph = onnx.load_model_from_string(file.read_bytes()).graph
    return [node.SerializeToString(deterministic=True) for node in graph.node]


def test_weights_begun_at_more_pixels_draw_more_cells(tiny_weights: Path, tmp_path: Path) -> None:
    engine = TransformerEngine.load(finer_weights(tiny_weights, tmp_path), backend="onnx")
    assert engine.count_cells(Size(256, 256)) == 64
    events = list(engine.generate(ImageRequest("a cat", size=Size(256, 256), seed=1)))
    assert events[-1].pixels.shape == (256, 256, 4)  # type: ignore[union-attr]
