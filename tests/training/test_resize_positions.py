"""Weights go on at a finer grid with what they knew of places, and draw there."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from limner.engines.transformer.engine import TransformerEngine
from limner.engines.transformer.export.folder import export
from limner.errors import SettingsError
from limner.model.image_tokenizer import ImageTokenizerConfig
from limner.model.transformer import Transformer, TransformerConfig
from limner.request import ImageRequest, Size
from limner.training import stages
from limner.training.weights.init_from_weights import begin_run
from limner.training.weights.resize_positions import at_px, on_grid

CONFIG = TransformerConfig(n_vocab=20, n_codes=9, grid=4, d=32, n_heads=2, n_encoder_layers=1)


def test_a_place_of_the_finer_grid_lies_between_its_old_neighbours() -> None:
    old = Transformer(CONFIG)
    rows = torch.arange(16.0).view(16, 1).expand(16, 32)  # row-major: down by 4, right by 1
    old.query_embed.weight.data = rows.clone()
    tensors, config = on_grid(old.state_dict(), CONFIG, 8)
    finer = tensors["query_embed.weight"].view(8, 8, 32)[..., 0]
    assert config == replace(CONFIG, grid=8)
    # Cells of half the side: their middles lie a quarter of an old cell beside the old ones'.
    assert finer[0, 0] == 0.0
    assert finer[2, 3] == pytest.approx((2 - 0.5) / 2 * 4 + (3 - 0.5) / 2)
    torch.testing.assert_close(
        tensors["place_embed.weight"][-1], old.place_embed.weight[-1]
    )  # nowhere stays nowhere
    Transformer(config).load_state_dict(tensors)


def test_the_same_grid_changes_nothing() -> None:
    old = Transformer(CONFIG).state_dict()
    same, config = on_grid(old, CONFIG, CONFIG.grid)
    assert config == CONFIG
    assert all(torch.equal(same[name], value) for name, value in old.items())


@pytest.mark.parametrize("px", [0, 8, 60, 97, 520])
def test_pictures_are_of_whole_cells(px: int) -> None:
    with pytest.raises(SettingsError, match=rf"px is {px}; it must be a multiple of 8, from 16"):
        at_px(ImageTokenizerConfig(), px)


def test_weights_begun_at_more_pixels_draw_more_cells(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PyTorch, which needs no graphs; test_fresh_export.py has ONNX."""
    monkeypatch.setattr("limner.engines.transformer.export.folder.graphs", lambda bundle: {})
    engine = TransformerEngine.load(finer_weights(tiny_weights, tmp_path), backend="torch")
    assert engine.count_cells(Size(256, 256)) == 64
    events = list(engine.generate(ImageRequest("a cat", size=Size(256, 256), seed=1)))
    assert events[-1].pixels.shape == (256, 256, 4)  # type: ignore[union-attr]


def finer_weights(weights: Path, base: Path) -> Path:
    """Weights of 32 px begun at 64 px, exported without a step of training."""
    run = begin_run(weights, base / "run", px=64)
    bundle, tokenizer = stages.load_bundle(run)
    assert (bundle.config.image_tokenizer.grid, bundle.config.transformer.grid) == (8, 8)
    about = {"name": "finer", "version": "1", **stages.generation_config(run)}
    return export(bundle, tokenizer, base / "finer", about).path
