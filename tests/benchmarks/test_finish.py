"""The benchmark of the finish runs and writes the figures that documents quote."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "finish.py"


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a busy machine can stretch half a minute to many
def test_it_writes_its_figures(tiny_weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "finish.json"
    command = [sys.executable, str(BENCHMARK), "-n", "2", "--weights", str(tiny_weights)]
    command += ["--json", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(target.read_text())
    for name in ("flat_cpu_1024", "soft_cpu_1024", "flat_edge_1024", "svg_bytes", "svg_db"):
        assert figures[name] > 0
