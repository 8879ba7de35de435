"""The ablation of the attention runs and writes the figures that documents quote."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "ablation.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_short_run_writes_its_figures(tmp_path: Path) -> None:
    env = os.environ | {"LIMNER_HOME": str(tmp_path)}
    made = ["--preset", "tiny", "--data", "shapes"]
    for stage in ("text-tokenizer", "image-tokenizer"):
        command = [sys.executable, "-m", "limner", "train", stage, *made, "--name", "a"]
        subprocess.run([*command, "--steps", "2"], check=True, env=env)
    target = tmp_path / "ablation.json"
    command = [sys.executable, str(BENCHMARK), *made, "--name", "a", "--steps", "10"]
    run = subprocess.run(
        [*command, "--json", str(target)], capture_output=True, text=True, check=True, env=env
    )
    figures = json.loads(target.read_text())
    assert set(figures["losses"]) == {"dense", "scattered", "alternate"}
    assert all(len(losses) == 2 for losses in figures["losses"].values())
    assert all(0 < loss < 10 for losses in figures["losses"].values() for loss in losses)
    assert "| alternate |" in run.stdout
