"""The one loop: any-minute resume, rates, averages, and what it does when a disk fails."""

import json
import math
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from limner.errors import LimnerError, OutputError, WeightsError
from limner.training.loop import (
    Interrupted,
    Loop,
    LoopConfig,
    batches,
    learning_rate,
    optimizers,
    step_rng,
)
from limner.training.weights import checkpoint

CONFIG = LoopConfig(steps=8, lr=0.01, warmup=2, ema=0.9, log_every=2, report_every=4)


class Line:
    """The least that can be trained: three numbers to their sum."""

    def __init__(self, at_step: Callable[[int], None] = lambda step: None, width: int = 4) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, width), nn.Dropout(0.1), nn.Linear(width, 1))
        self.at_step = at_step

    def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        self.at_step(step)
        x = torch.from_numpy(rng.normal(size=(8, 3)).astype(np.float32))
        return {"loss": F.mse_loss(self.model(x), x.sum(1, keepdim=True))}

    def report(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        assert not model.training
        (folder / f"sheet-{step}.txt").write_text("seen")
        return {"held_out": float(model(torch.ones(1, 3)))}


def state(folder: Path) -> dict[str, Any]:
    found = checkpoint.load(folder / "checkpoint")
    assert found is not None
    return found


def assert_same(one: Any, other: Any) -> None:
    """Equal to the last bit, however nested."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_same(value, other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    else:
        assert one == other


def rows(folder: Path, name: str = "loss") -> list[tuple[int, float]]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [(row["step"], row[name]) for row in map(json.loads, lines) if name in row]


# --- resuming ---


def test_stopped_at_any_step_and_resumed_is_uninterrupted(tmp_path: Path, unplotted: None) -> None:
    Loop(Line(), CONFIG, tmp_path / "whole").run()
    for stop in range(1, 8):
        folder = tmp_path / str(stop)
        Loop(Line(), CONFIG, folder).run(until=stop)
        loop = Loop(Line(), CONFIG, folder)
        assert loop.resume()
        assert loop.step == stop
        loop.run()
        assert_same(state(folder), state(tmp_path / "whole"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(
    tmp_path: Path, number: int, unplotted: None
) -> None:
    def stop(step: int) -> None:
        if step == 4:
            signal.raise_signal(number)

    handler = signal.getsignal(number)
    with pytest.raises(Interrupted, match="stopped at step 5; run the same command to go on"):
        Loop(Line(stop), CONFIG, tmp_path / "a").run()
    assert signal.getsignal(number) is handler
    loop = Loop(Line(), CONFIG, tmp_path / "a")
    loop.resume()
    loop.run()
    Loop(Line(), CONFIG, tmp_path / "whole").run()
    assert_same(state(tmp_path / "a"), state(tmp_path / "whole"))
    assert rows(tmp_path / "a", "held_out") == rows(tmp_path / "whole", "held_out")


def test_killed_without_notice_it_goes_on_from_the_last_save(
    tmp_path: Path, unplotted: None
) -> None:
    def die(step: int) -> None:
        if step == 6:
            raise MemoryError  # stands for everything that leaves no time to save

    config = replace(CONFIG, save_every_s=-1.0)  # saves after every step
    with pytest.raises(MemoryError):
        Loop(Line(die), config, tmp_path / "a").run()
    loop = Loop(Line(), config, tmp_path / "a")
    loop.resume()
    assert loop.step == 6
    loop.run()
    Loop(Line(), config, tmp_path / "whole").run()
    assert_same(state(tmp_path / "a"), state(tmp_path / "whole"))


def test_nothing_to_resume_and_nothing_left_to_do(
    tmp_path: Path, unplotted: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not Loop(Line(), CONFIG, tmp_path).resume()
    Loop(Line(), CONFIG, tmp_path).run()
    finished = state(tmp_path)
    loop = Loop(Line(lambda step: pytest.fail("one more step")), CONFIG, tmp_path)
    loop.resume()
    loop.run()
    assert_same(state(tmp_path), finished)
    assert "already at step 8; give more --steps" in capsys.readouterr().err


def test_more_steps_go_on_where_fewer_ended(tmp_path: Path, unplotted: None) -> None:
    Loop(Line(), CONFIG, tmp_path).run()
    loop = Loop(Line(), replace(CONFIG, steps=12), tmp_path)
    loop.resume()
    loop.run()
    assert state(tmp_path)["step"] == 12
    assert [step for step, _ in rows(tmp_path)] == [2, 4, 6, 8, 10, 12]


# --- what can go wrong on a disk ---


@contextmanager
def files_up_to(n_bytes: int) -> Iterator[None]:
    """As on a full disk, no file may grow beyond `n_bytes`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_run_of_an_earlier_version_goes_on(tmp_path: Path, unplotted: None) -> None:
    loop = Loop(Line(), CONFIG, tmp_path)
    loop.run(until=4)
    saved = state(tmp_path)
    saved["average"] = saved.pop("ema")  # its earlier name
    checkpoint.save(tmp_path / "checkpoint", saved, {})
    resumed = Loop(Line(), CONFIG, tmp_path)
    assert resumed.resume()
    for name, value in loop.ema.items():
        assert torch.equal(resumed.ema[name], value)


def test_full_disk_keeps_the_earlier_checkpoint(tmp_path: Path, unplotted: None) -> None:
    loop = Loop(Line(), CONFIG, tmp_path)
    loop.run(until=3)
    earlier = state(tmp_path)
    loop.train_step()
    with files_up_to(1000), pytest.raises(OutputError, match="file too large") as caught:
        loop.save()
    assert caught.value.hint is not None
    assert_same(state(tmp_path), earlier)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []
    again = Loop(Line(), CONFIG, tmp_path)
    again.resume()
    again.run()
    Loop(Line(), CONFIG, tmp_path / "whole").run()
    assert_same(state(tmp_path), state(tmp_path / "whole"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_log_on_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"Cannot write .*log\.jsonl: no space left"):
        Loop(Line(), CONFIG, tmp_path).run()


def test_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="Cannot write"):
        Loop(Line(), CONFIG, tmp_path / "file" / "run")


def test_line_cut_short_in_the_log_is_passed_over(tmp_path: Path) -> None:
    Loop(Line(), CONFIG, tmp_path).run(until=4)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 4, "lo')
    (tmp_path / "log.png").unlink()
    loop = Loop(Line(), CONFIG, tmp_path)
    loop.resume()
    loop.run()
    assert (tmp_path / "log.png").read_bytes().startswith(b"\x89PNG")


def test_damaged_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    Loop(Line(), CONFIG, tmp_path).run(until=1)
    path = tmp_path / "checkpoint" / "state.pt"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"state\.pt is damaged"):
        Loop(Line(), CONFIG, tmp_path).resume()


def test_checkpoint_of_another_version_or_kind_is_refused(tmp_path: Path) -> None:
    Loop(Line(), CONFIG, tmp_path).run(until=1)
    path = tmp_path / "checkpoint" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "format": 2}))
    with pytest.raises(WeightsError, match=r"has format 2; limner [\d.]+ reads format 1"):
        Loop(Line(), CONFIG, tmp_path).resume()
    from limner.storage.checkpoints import weights

    weights.write(tmp_path / "checkpoint", {"kind": "nano"}, replace=True)
    with pytest.raises(WeightsError, match="is of kind 'nano', not a training run"):
        Loop(Line(), CONFIG, tmp_path).resume()


def test_pickle_in_place_of_a_state_is_not_run(tmp_path: Path) -> None:
    import pickle

    from limner.storage.checkpoints import weights

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "touched",)

    contents = {"state.pt": pickle.dumps(Evil(), protocol=2)}
    weights.write(tmp_path / "checkpoint", {"kind": checkpoint.KIND}, contents=contents)
    with pytest.raises(WeightsError, match="cannot be resumed"):
        checkpoint.load(tmp_path / "checkpoint")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("changes", [{"width": 5}, {"muon_lr": 0.01}])
def test_run_of_another_shape_is_refused_with_a_way_out(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    Loop(Line(), CONFIG, tmp_path).run(until=1)
    task = Line(width=changes.get("width", 4))
    loop = Loop(task, replace(CONFIG, muon_lr=changes.get("muon_lr", 0.0)), tmp_path)
    with pytest.raises(WeightsError, match="is of a model of another shape") as caught:
        loop.resume()
    assert "another name" in str(caught.value.hint)


# --- rates, averages, optimizers, batches ---


@given(warmup=st.integers(0, 50), steps=st.integers(1, 200), final=st.floats(0, 1))
def test_rate_rises_to_its_peak_and_falls_to_its_end(warmup: int, steps: int, final: float) -> None:
    config = LoopConfig(steps=steps, warmup=warmup, final_lr=final)
    shares = [learning_rate(config, step) for step in range(max(steps, warmup) + 5)]
    assert np.allclose(shares[:warmup], np.arange(1, warmup + 1) / max(1, warmup))
    assert shares[warmup] == pytest.approx(1.0)
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(shares[warmup:]))
    if steps > warmup:
        assert shares[steps] == pytest.approx(final)
        middle = learning_rate(config, (steps + warmup) // 2)
        if (steps + warmup) % 2 == 0:
            assert middle == pytest.approx((1 + final) / 2)


def test_average_follows_closely_at_first_and_slowly_later(tmp_path: Path) -> None:
    loop = Loop(Line(), replace(CONFIG, steps=60), tmp_path)
    name = "0.weight"
    expected = loop.model.state_dict()[name].clone()
    for step in range(60):
        loop.train_step()
        decay = min(0.9, (2 + step) / (11 + step))
        expected = decay * expected + (1 - decay) * loop.model.state_dict()[name]
        assert torch.allclose(loop.ema[name], expected, atol=1e-6)
    current = loop.model.state_dict()[name].clone()
    loop.report()
    assert torch.equal(loop.model.state_dict()[name], current)  # reported of the average, put back
    assert loop.model.training


def test_every_weight_has_one_optimizer() -> None:
    model = nn.ModuleDict(
        {
            "text_embed": nn.Embedding(10, 4),
            "layer": nn.Linear(4, 4),
            "convolution": nn.Conv2d(2, 2, 3),
        }
    )
    adam, muon = optimizers(model, replace(CONFIG, muon_lr=0.1))
    assert isinstance(muon, torch.optim.Muon)
    shapes = [tuple(p.shape) for group in muon.param_groups for p in group["params"]]
    assert shapes == [(4, 4)]
    decayed, plain = adam.param_groups
    assert [p.ndim for p in decayed["params"]] == [2, 4]
    assert [p.ndim for p in plain["params"]] == [1, 1]
    assert plain["weight_decay"] == 0
    [alone] = optimizers(model, CONFIG)
    assert sum(len(group["params"]) for group in alone.param_groups) == 5


def test_a_loss_that_is_no_number_stops_before_it_spoils_the_weights(
    tmp_path: Path, unplotted: None
) -> None:
    class Diverging(Line):
        def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
            losses = super().losses(step, rng)
            return {"loss": losses["loss"] * (math.inf if step == 5 else 1)}

    Loop(Diverging(), CONFIG, tmp_path).run(until=4)
    loop = Loop(Diverging(), CONFIG, tmp_path)
    loop.resume()
    with pytest.raises(LimnerError, match="the loss of step 5 is inf"):
        loop.run()
    assert all(weight.isfinite().all() for weight in loop.model.parameters())
    assert state(tmp_path)["step"] == 4


def test_gradient_is_clipped(tmp_path: Path) -> None:
    class Steep(Line):
        def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
            return {"loss": super().losses(step, rng)["loss"] * 1e6}

    norms: list[float] = []
    loop = Loop(Steep(), CONFIG, tmp_path)
    for optimizer in loop.optimizers:
        optimizer.register_step_pre_hook(
            lambda opt, *_: norms.append(
                float(
                    torch.stack(
                        [p.grad.norm() for group in opt.param_groups for p in group["params"]]
                    ).norm()
                )
            )
        )
    loop.train_step()
    assert norms == [pytest.approx(CONFIG.clip, rel=1e-3)]


@given(n=st.integers(1, 40), batch=st.integers(1, 60), seed=st.integers(0, 2**31))
def test_every_item_comes_once_an_epoch(n: int, batch: int, seed: int) -> None:
    n_steps = -(-3 * n // batch)
    seen = np.concatenate([batches(n, batch, step, seed) for step in range(n_steps)])
    assert len(seen) == n_steps * batch
    for epoch in range(3):
        assert sorted(seen[epoch * n : (epoch + 1) * n]) == list(range(n))
    if n >= 20:  # 1 / 20! that two shuffles agree
        assert not np.array_equal(seen[:n], seen[n : 2 * n])


def test_random_numbers_of_a_step_are_its_own() -> None:
    tables = {step_rng(seed, step).random(4).tobytes() for seed in range(4) for step in range(50)}
    assert len(tables) == 200
    assert step_rng(3, 7).random() == step_rng(3, 7).random()
