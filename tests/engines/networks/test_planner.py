"""The exported planner reads as the trained one, and weights without one say so."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.engines.transformer.backend import has_planner
from limner.engines.transformer.backends.onnx_runtime import OnnxBackend
from limner.engines.transformer.export.folder import export
from limner.engines.transformer.scenes.planner import LayoutPlanner
from limner.errors import WeightsError
from limner.model.planner import Planner
from limner.planning.layout import Box, Thing
from limner.storage.checkpoints import weights
from limner.training import stages
from limner.training.presets import TINY
from limner.training.tasks.planner import torch_score
from limner.training.weights.init_from_weights import begin_run
from tests.support import tiny


@pytest.fixture(scope="module")
def planner() -> Planner:
    torch.manual_seed(0)
    n_vocab = tiny.text_tokenizer().n_vocab
    return Planner(replace(TINY.planner.model, d=64, d_embedding=64, n_vocab=n_vocab)).eval()


@pytest.fixture(scope="module")
def folder(planner: Planner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights whose only graph is the planner's: the others are tested elsewhere."""
    about = {"name": "x", "version": "0", "styles": [], "sampling": TINY.sampling_table()}
    target = tmp_path_factory.mktemp("weights") / "planner"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("limner.engines.transformer.export.folder.graphs", lambda bundle: {})
        return export(tiny.bundle(), tiny.text_tokenizer(), target, about, planner).path


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (2, 96)])
def test_the_graph_equals_the_module(
    folder: Path, planner: Planner, shape: tuple[int, int]
) -> None:
    ids = np.random.default_rng(0).integers(3, planner.config.n_vocab, shape)
    ids[-1, 1 + shape[1] // 2 :] = 0
    network = OnnxBackend(folder, threads=1)
    for one, other in zip(network.score_plan(ids), torch_score(planner)(ids), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_it_plans(folder: Path) -> None:
    reader = LayoutPlanner(OnnxBackend(folder, threads=1))
    layout = reader.plan("a cat and a dog", 24, 24, seed=3)
    assert layout == reader.plan("a cat and a dog", 24, 24, seed=3)
    box = Thing("a cat", Box(1, 2, 3, 4))
    assert reader.plan("a cat", 36, 24, seed=3, boxes=[box]).things == (box,)
    assert len(reader.read(["a cat", "两只猫", ""])) == 3


def test_a_run_begun_from_the_weights_has_the_same_planner(
    folder: Path, planner: Planner, tmp_path: Path
) -> None:
    found = stages.load_planner(begin_run(folder, tmp_path / "run", ("planner",)))
    assert found is not None
    assert asdict(found.config) == asdict(planner.config)
    for name, value in planner.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value, rtol=0, atol=0)


def test_weights_without_a_planner_say_so(folder: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("limner.engines.transformer.export.folder.graphs", lambda bundle: {})
        about = {"name": "x", "version": "0", "styles": [], "sampling": TINY.sampling_table()}
        plain = export(tiny.bundle(), tiny.text_tokenizer(), tmp_path / "plain", about).path
    network = OnnxBackend(plain, threads=1)
    assert not has_planner(network)
    with pytest.raises(WeightsError, match="have no planner"):
        LayoutPlanner(network)
    assert [p.name for p in begin_run(plain, tmp_path / "run", ("planner",)).glob("*")] == []


def test_the_planner_is_small() -> None:
    """At most 2 MB as stored, at the size that is trained."""
    from limner.engines.transformer.export.folder import pack_planner
    from limner.model.planner import PlannerConfig

    assert (
        sum(array.nbytes for array in pack_planner(Planner(PlannerConfig())).values()) < 2_000_000
    )
    assert weights.FORMAT == 1
