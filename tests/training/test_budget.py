"""A time limit becomes a number of steps before the run, and stops it if need be."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limner.training.budget import steps_until
from limner.training.loop import Loop, LoopConfig

CONFIG = LoopConfig(steps=1_000_000, warmup=2, log_every=10, report_every=1000)


class Slow:
    """A task whose step and report take a known time."""

    def __init__(self, step_s: float, report_s: float = 0.0) -> None:
        self.model: nn.Module = nn.Linear(2, 1)
        self.step_s, self.report_s, self.n_reports = step_s, report_s, 0

    def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        time.sleep(self.step_s)
        return {"loss": self.model(torch.ones(1, 2)).square().mean()}

    def report(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        time.sleep(self.report_s)
        self.n_reports += 1
        return {"figure": 1.0}


def _in(seconds: float) -> float:
    return time.monotonic() + seconds


def _make(step_s: float, report_s: float = 0.0) -> Callable[[LoopConfig], Slow]:
    return lambda config: Slow(step_s, report_s)


def test_the_steps_fit_the_time(tmp_path: Path) -> None:
    n_steps = steps_until(_make(0.05), CONFIG, tmp_path, _in(20.0))
    # 20 s at 0.05 s would be 400, less the trial and the margin; a busy machine makes it fewer.
    assert 40 < n_steps < 380


def test_reports_are_counted_in(tmp_path: Path) -> None:
    often = replace(CONFIG, report_every=2)
    assert steps_until(_make(0.02, 0.2), often, tmp_path, _in(10.0)) < 100


def test_one_step_is_taken_however_late_it_is(tmp_path: Path) -> None:
    assert steps_until(_make(0.001), CONFIG, tmp_path, _in(-5.0)) == 1


def test_a_run_that_was_begun_keeps_its_number(tmp_path: Path) -> None:
    loop = Loop(Slow(0.0), replace(CONFIG, steps=33), tmp_path)
    loop.run(until=3)
    assert steps_until(_make(0.0), CONFIG, tmp_path, _in(100.0)) == 33


def test_the_clock_stops_a_run_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = Slow(0.01)
    loop = Loop(task, CONFIG, tmp_path)
    start = time.monotonic()
    loop.run(ends_at=_in(1.0))
    assert time.monotonic() - start < 30
    assert 0 < loop.step < CONFIG.steps
    assert task.n_reports == 1
    assert f"out of time at step {loop.step} of {CONFIG.steps}" in capsys.readouterr().err
    again = Loop(Slow(0.0), CONFIG, tmp_path)
    assert again.resume()
    assert again.step == loop.step


def test_a_trial_leaves_nothing_behind(tmp_path: Path) -> None:
    steps_until(_make(0.001), CONFIG, tmp_path, _in(5.0))
    assert list(tmp_path.iterdir()) == []
