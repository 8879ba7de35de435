"""`limner train --ray`: several workers of a real cluster learn what one process does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from limner.errors import SettingsError
from limner.training import stages
from limner.training.datasets import LibrarySet
from limner.training.presets import TINY
from tests.server.helpers import wait_until
from tests.training.conftest import SMALL_SET
from tests.training.test_loop import rows, state

pytest.importorskip("ray.train", reason="needs limner[ray]")

from limner.engines.ray import cluster
from limner.training.workers import on_ray

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),  # it warns of its own parts
]

N_STEPS = 12
STAGE = "image-tokenizer"
_LOOP = replace(TINY.image_tokenizer.loop, log_every=1, report_every=N_STEPS, save_every_s=-1.0)
PRESET = replace(TINY, set=SMALL_SET, image_tokenizer=replace(TINY.image_tokenizer, loop=_LOOP))


@pytest.fixture(scope="module")
def here() -> Iterator[None]:
    """A cluster of this machine, whose workers find limner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        with cluster.here(3):
            yield


def _order(folder: Path, **values: object) -> on_ray.Order:
    about = {"steps": N_STEPS, "precision": "float32"} | values
    return on_ray.Order(folder, folder / "data", PRESET, "shapes", **about)  # type: ignore[arg-type]


def _alone(folder: Path, shapes_set: LibrarySet, parts: int) -> Path:
    """The stage as one process trains it."""
    run = stages.Run(folder, PRESET, shapes_set, N_STEPS, precision="float32", parts=parts)
    stages.STAGES[STAGE](run, lambda done, total: None)
    return folder / STAGE


def _furthest(one: Path, other: Path) -> float:
    """The largest difference between two runs' EMA weights."""
    first, second = state(one)["ema"], state(other)["ema"]
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def test_two_workers_learn_what_one_does(
    here: None, tmp_path: Path, shapes_set: LibrarySet
) -> None:
    on_ray.train(STAGE, _order(tmp_path / "two"), 2)
    two, one = tmp_path / "two" / STAGE, _alone(tmp_path / "one", shapes_set, parts=2)
    assert [step for step, _ in rows(two)] == list(range(1, N_STEPS + 1))
    far = max(abs(a - b) for (_, a), (_, b) in zip(rows(two), rows(one), strict=True))
    print(f"largest difference of a loss {far:.2g}, of a weight {_furthest(two, one):.2g}")
    assert far <= 1e-5
    assert _furthest(two, one) <= 1e-5
    assert not (tmp_path / "two" / "ray").exists()


def test_a_killed_worker_goes_on_from_the_checkpoint(
    here: None, tmp_path: Path, shapes_set: LibrarySet
) -> None:
    folder = tmp_path / "two" / STAGE
    failure: list[Exception] = []

    def train() -> None:
        try:
            on_ray.train(STAGE, _order(tmp_path / "two"), 2)
        except Exception as error:
            failure.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    wait_until(lambda: (folder / "log.jsonl").exists() and len(rows(folder)) >= 3, 300)
    os.kill(_workers()[-1], signal.SIGKILL)
    thread.join(600)
    assert not failure
    steps = [step for step, _ in rows(folder)]
    assert sorted(set(steps)) == list(range(1, N_STEPS + 1))
    assert len(steps) < 2 * N_STEPS  # it did not begin anew after its last step
    assert _furthest(folder, _alone(tmp_path / "one", shapes_set, parts=2)) <= 1e-5


def _workers() -> list[int]:
    """The processes that train."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=1) for line in listed.stdout.splitlines()[1:]]
    return [int(pid) for pid, args in lines if "RayTrainWorker" in args]


def test_what_a_worker_refuses_is_said_once(here: None, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be divided among 3 workers"):
        on_ray.train(STAGE, _order(tmp_path / "three"), 3)


def test_the_command_line(tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "limner", "train", *words, "--preset", "tiny"]
        about = ["--data", "shapes", "--steps", "4", "--ray", "2"]
        return subprocess.run([*command, *about], capture_output=True, text=True)

    refused = run("planner", "--minutes", "1")
    assert refused.returncode == 2
    assert "hint: give the number of --steps" in refused.stderr
    folder = tmp_path / "limner-home" / "training" / "mine"
    for stage in ("text-tokenizer", "planner"):
        done = run(stage)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [str(folder)]
    config = json.loads((folder / "planner" / "checkpoint" / "config.json").read_text())
    assert (config["loop"]["parts"], config["loop"]["steps"]) == (2, 4)
