"""A packed run is small, close to what it was, and training goes on from it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limner.errors import WeightsError
from limner.training.loop import Loop, LoopConfig
from limner.training.weights import checkpoint
from limner.training.weights.pack import pack_run

CONFIG = LoopConfig(steps=10, warmup=2, report_every=1000)


class Convolving:
    """A model with every kind of weight: matrix, convolution, vector, number, whole numbers."""

    def __init__(self, width: int = 64) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Sequential(nn.Conv2d(8, width, 3), nn.Flatten())
        self.model.append(nn.LazyLinear(width))
        self.model(torch.zeros(1, 8, 5, 5))
        self.model.register_parameter("number", nn.Parameter(torch.tensor(2.5)))
        self.model.register_buffer("table", torch.arange(5))

    def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        pictures = torch.from_numpy(rng.random((2, 8, 5, 5), dtype=np.float32))
        number = dict(self.model.named_parameters())["number"]
        return {"loss": (number * self.model(pictures)).square().mean()}

    def report(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        return {}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of one stage and a text tokenizer."""
    folder = tmp_path / "run"
    Loop(Convolving(), CONFIG, folder / "generator", {"model": {"d": 64}}).run()
    (folder / "text-tokenizer").mkdir()
    (folder / "text-tokenizer" / "text_tokenizer.json").write_text("{}")
    return folder


def _state(folder: Path) -> dict[str, Any]:
    found = checkpoint.load(folder / "generator" / "checkpoint")
    assert found is not None
    return found


def test_it_holds_the_average_closely_in_a_fraction_of_the_bytes(run: Path, tmp_path: Path) -> None:
    packed = pack_run(run, tmp_path / "packed")
    before, after = _state(run), _state(packed)
    assert after["about"] == {"model": {"d": 64}}
    assert after["ema"].keys() == before["ema"].keys()
    for name, value in before["ema"].items():
        assert after["ema"][name].shape == value.shape
        assert after["ema"][name].dtype == value.dtype
        step = value.abs().max().item() / 127
        assert (after["ema"][name] - value).abs().max() <= 0.51 * step + 1e-6, name
    sizes = [(folder / "generator/checkpoint/state.pt").stat().st_size for folder in (run, packed)]
    assert sizes[1] < sizes[0] / 8
    assert (packed / "text-tokenizer" / "text_tokenizer.json").read_text() == "{}"


def test_packing_again_changes_nothing(run: Path, tmp_path: Path) -> None:
    once = pack_run(run, tmp_path / "once")
    twice = _state(pack_run(once, tmp_path / "twice"))["ema"]
    for name, value in _state(once)["ema"].items():
        assert torch.allclose(value, twice[name], atol=1e-6), name


def test_training_goes_on_from_it_with_a_new_schedule(run: Path, tmp_path: Path) -> None:
    packed = pack_run(run, tmp_path / "packed")
    loop = Loop(Convolving(), CONFIG, packed / "generator")
    assert loop.resume()
    assert loop.step == 0
    first = {name: value.clone() for name, value in loop.model.state_dict().items()}
    expected = _state(packed)["ema"]
    assert all(torch.equal(value, expected[name]) for name, value in first.items())
    loop.run()
    assert loop.step == CONFIG.steps
    assert not torch.equal(loop.model.state_dict()["0.weight"], first["0.weight"])
    # The average is its own: following the model must not have moved both at once.
    assert "optimizers" in _state(packed)


def test_only_the_stages_that_are_wanted(run: Path, tmp_path: Path) -> None:
    packed = pack_run(run, tmp_path / "packed", ("generator",))
    assert [path.name for path in packed.iterdir()] == ["generator"]


def test_nothing_to_pack_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nothing to pack"):
        pack_run(tmp_path / "no-run", tmp_path / "packed")
