"""A step of several parts: the same weights as of one large batch, and resumable as any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.errors import SettingsError
from limner.training import stages
from limner.training.datasets import LibrarySet
from limner.training.loop import Loop
from limner.training.presets import Preset
from limner.training.workers.group import Workers, merged
from tests.training.test_loop import CONFIG, Line, assert_same, state

ROWS = 8  # of a whole step


class Rows:
    """Numbers to their sum; the rows of a step are those of its parts, in order."""

    def __init__(self, n_parts: int) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(3, 1)
        self.n_rows = ROWS // n_parts
        self.steps: list[int] = []

    def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        self.steps.append(step)
        rows = np.arange(step * self.n_rows, (step + 1) * self.n_rows)
        x = torch.from_numpy(np.sin(rows[:, None] + np.arange(3)).astype(np.float32))
        loss = F.mse_loss(self.model(x), x.sum(1, keepdim=True))
        return {"loss": loss, "pictures": torch.tensor(float(len(rows)))}

    def report(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        return {}


@pytest.mark.parametrize("n_parts", [2, 4, 8])
def test_parts_are_one_batch(tmp_path: Path, n_parts: int) -> None:
    whole = Loop(Rows(1), CONFIG, tmp_path / "whole")
    parted = Loop(Rows(n_parts), replace(CONFIG, parts=n_parts), tmp_path / "parts")
    for _ in range(CONFIG.steps):
        one, other = whole.train_step(), parted.train_step()
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert other["pictures"] == one["pictures"] == ROWS
    for a, b in zip(whole.model.parameters(), parted.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-4)  # AdamW divides by small gradients
    task = parted.task
    assert isinstance(task, Rows)
    assert task.steps == list(range(CONFIG.steps * n_parts))


@pytest.fixture(autouse=True)
def _unplotted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plotting the log takes longer than all the training here."""
    monkeypatch.setattr("limner.training.loop.plot_log", lambda log, output: None)


def test_stopped_between_steps_of_parts_and_resumed_is_uninterrupted(tmp_path: Path) -> None:
    config = replace(CONFIG, parts=2)
    Loop(Line(), config, tmp_path / "whole").run()
    Loop(Line(), config, tmp_path / "a").run(until=3)
    loop = Loop(Line(), config, tmp_path / "a")
    assert loop.resume()
    loop.run()
    assert_same(state(tmp_path / "a"), state(tmp_path / "whole"))


def test_figures_of_parts_are_means_and_pictures_a_sum() -> None:
    parts = [{"loss": 1.0, "pictures": 4.0, "scene": 3.0}, {"loss": 2.0, "pictures": 8.0}]
    assert merged(parts) == {"loss": 1.5, "pictures": 12.0, "scene": 3.0}


def test_every_part_is_taken_by_one_worker() -> None:
    for n in (1, 2, 3):
        taken: list[int] = []
        for rank in range(n):
            one = Workers()
            one.rank, one.n = rank, n
            taken += one.share(6)
        assert sorted(taken) == list(range(6))


def test_a_batch_that_cannot_be_divided(
    tmp_path: Path, shapes_set: LibrarySet, tiny: Preset
) -> None:
    n = tiny.image_tokenizer.batch + 1
    run = stages.Run(tmp_path, tiny, shapes_set, steps=1, precision="float32", parts=n)
    with pytest.raises(SettingsError, match=f"cannot be divided among {n} workers") as caught:
        stages.train_image_tokenizer(run, lambda done, total: None)
    assert caught.value.hint


@pytest.mark.slow
def test_a_run_keeps_its_parts(tmp_path: Path, shapes_set: LibrarySet, tiny: Preset) -> None:
    for parts, until in ((2, 2), (1, 4)):
        run = stages.Run(
            tmp_path / "a", tiny, shapes_set, steps=until, precision="float32", parts=parts
        )
        stages.train_image_tokenizer(run, lambda done, total: None)
    loop = stages._loop_before(tmp_path / "a" / "image-tokenizer")
    assert (loop["parts"], loop["steps"]) == (2, 4)
