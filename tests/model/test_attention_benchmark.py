"""The attention benchmark runs and writes the figures that documents quote."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "attention.py"


@pytest.mark.slow
@pytest.mark.timeout(600)  # measures for seconds, which a busy machine can stretch to minutes
def test_the_quick_run_writes_its_figures(tmp_path: Path) -> None:
    target = tmp_path / "attention.json"
    run = subprocess.run(
        [sys.executable, BENCHMARK, "--quick", "--json", target],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert "| 4096 |" in run.stdout
    figures = json.loads(target.read_text())
    assert figures["max_abs_diff"] < 1e-5
    assert figures["speedup_causal_4096"] > 1
    assert figures["scattered_exponent"] < figures["dense_exponent"]
    assert figures["threads"] == 1
    assert figures["cpu"]
    assert [row["n"] for row in figures["rows"]] == [1024, 4096]
