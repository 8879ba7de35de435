"""The benchmark of the server under load runs and writes the figures that documents quote."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "load.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_quick_run_writes_its_figures(tiny_weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "load.json"
    command: list[str | Path] = [sys.executable, BENCHMARK, "--quick", "--json", target]
    run = subprocess.run([*command, "--weights", tiny_weights], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    figures = json.loads(target.read_text())
    assert figures["bare_per_second"] > 0
    for row in (*figures["closed"], *figures["open"]):
        assert 0 < row["p50"] <= row["p95"] <= row["p99"]
        assert set(row["statuses"]) <= {"200", "429"}
    assert [row["clients"] for row in figures["closed"]] == [1, 4, 16, 64]
    assert all(set(row["statuses"]) == {"200"} for row in figures["closed"])
    assert 0 < figures["fair"]["jain"] <= 1
    assert figures["long"]["mb"] > 0
    assert "fairness under a flood:" in run.stdout
