"""The benchmark of the server runs and writes the figures that documents quote."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "api.py"
KEYS = {
    *(f"seconds_{engine}_{part}" for engine in ("model", "testcard") for part in ("draw", "png")),
    *(f"seconds_{engine}_api" for engine in ("model", "testcard")),
    *(f"{what}_per_second_{n}" for what in ("models", "testcard") for n in (1, 8)),
    "seconds_first_partial",
    "seconds_stream",
}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_quick_run_writes_its_figures(tiny_weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "api.json"
    command: list[str | Path] = [sys.executable, BENCHMARK, "--quick", "--json", target]
    run = subprocess.run([*command, "--weights", tiny_weights], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    figures = json.loads(target.read_text())
    assert all(figures[key] > 0 for key in KEYS)
    assert figures["seconds_first_partial"] <= figures["seconds_stream"]
    assert {"seconds_model_overhead", "seconds_testcard_overhead"} <= figures.keys()
    assert "| GET /v1/models |" in run.stdout


def test_missing_weights_are_an_error(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, BENCHMARK, "--weights", tmp_path / "none"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode != 0
    assert "neither a shipped name nor a folder" in run.stderr
    assert "Traceback" not in run.stderr
