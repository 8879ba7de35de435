"""The exported restorer enlarges as the trained one, and flat art is drawn with it where it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.arrays import Pixels
from limner.engines.base import Picture
from limner.engines.transformer.backend import has_restorer
from limner.engines.transformer.backends.onnx_runtime import OnnxBackend
from limner.engines.transformer.backends.pytorch import TorchBackend
from limner.engines.transformer.engine import TransformerEngine
from limner.engines.transformer.export.folder import export
from limner.engines.transformer.export.graphs import graphs
from limner.model.bundle import Bundle
from limner.request import Edit, ImageRequest, Size
from limner.training import stages
from limner.training.presets import TINY
from limner.training.weights.init_from_weights import begin_run
from tests.support import tiny


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    plain = tiny.bundle()
    model = Bundle(replace(plain.config, restorer=TINY.restorer.model)).eval()
    model.load_state_dict(plain.state_dict(), strict=False)
    assert model.restorer is not None
    torch.manual_seed(0)
    torch.nn.init.normal_(model.restorer.last.weight, std=0.05)
    return model


@pytest.fixture(scope="module")
def folder(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flat-art weights whose only ONNX graph is the restorer's: the others are tested elsewhere."""
    about = {
        "name": "x", "version": "0", "styles": [], "sampling": TINY.sampling_table(), "art": "flat"
    }  # fmt: skip
    target = tmp_path_factory.mktemp("weights") / "restorer"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "limner.engines.transformer.export.folder.graphs",
            lambda bundle: {"restore": graphs(bundle)["restore"]},
        )
        return export(bundle, tiny.text_tokenizer(), target, about).path


@pytest.mark.parametrize("shape", [(1, 32, 32), (2, 4, 8), (1, 64, 168)])
def test_both_backends_enlarge_alike(folder: Path, shape: tuple[int, int, int]) -> None:
    n, height, width = shape
    pictures = np.random.default_rng(0).random((n, 4, height, width), np.float32)
    one, other = OnnxBackend(folder, threads=1), TorchBackend(folder, threads=1, device="cpu")
    assert has_restorer(one)
    made = one.restored(pictures)
    assert made.shape == (n, 4, 2 * height, 2 * width)
    np.testing.assert_allclose(made, other.restored(pictures), atol=1e-5)


def test_a_run_begun_from_the_weights_has_the_same_restorer(
    folder: Path, bundle: Bundle, tmp_path: Path
) -> None:
    found, _ = stages.load_bundle(begin_run(folder, tmp_path / "run"))
    assert found.config.restorer == bundle.config.restorer
    assert found.restorer is not None
    assert bundle.restorer is not None
    for name, value in bundle.restorer.state_dict().items():
        torch.testing.assert_close(found.restorer.state_dict()[name], value, rtol=0, atol=0)


def _drawn(engine: TransformerEngine, asked: list[ImageRequest]) -> list[Pixels]:
    events = [event for one in asked for event in engine.generate(one)]
    return [event.pixels for event in events if isinstance(event, Picture)]


def test_flat_art_is_drawn_with_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TransformerEngine.load(folder, threads=1, backend="torch")
    mask = np.full((64, 64), 255, np.uint8)
    mask[8:56, 24:48] = 0
    source = np.random.default_rng(0).integers(0, 256, (64, 64, 4)).astype(np.uint8)
    asked = [
        ImageRequest("a red apple", size=Size(256, 256), seed=1),
        ImageRequest("an outlined apple", size=Size(200, 96), seed=1),
        ImageRequest("a star", size=Size(64, 64), seed=1, source=Edit(source, mask)),
    ]
    with_it = _drawn(engine, asked)
    monkeypatch.setattr(
        "limner.engines.transformer.pixels.postprocess.has_restorer", lambda backend: False
    )
    without = _drawn(engine, asked)
    assert [p.shape for p in with_it] == [p.shape for p in without]
    for one, other in zip(with_it, without, strict=True):
        assert not np.array_equal(one, other)
    assert np.array_equal(with_it[2][mask > 0], source[mask > 0])
