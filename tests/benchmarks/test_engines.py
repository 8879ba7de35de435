"""The benchmark of the engines runs and writes the figures that documents quote."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "engines.py"


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a busy machine can stretch half a minute to many
def test_it_writes_its_figures(tiny_weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "engines.json"
    command = [sys.executable, str(BENCHMARK), "-n", "2", "--weights", str(tiny_weights)]
    command += ["--json", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(target.read_text())
    for engine, ways in (
        ("testcard", ("studio", "card", "apart")),
        ("transformer", ("studio", "card", "apart")),
        ("dalle_mini", ("studio", "card", "apart")),
        ("upstream", ("upstream",)),
    ):
        assert figures[engine]["bare_ms"] > 0
        assert all("over_ms" in figures[engine][way] for way in ways)
