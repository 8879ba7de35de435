"""The benchmark of attacks runs, and its figures are what the documents promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "attack.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_server_stands_the_attacks_on_its_connections(
    tiny_weights: Path, tmp_path: Path
) -> None:
    target = tmp_path / "attack.json"
    command: list[str | Path] = [sys.executable, BENCHMARK, "--json", target]
    command += ["--only", "headers,trailers,idle,slow_chunks", "--weights", tiny_weights]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    rows = json.loads(target.read_text())["rows"]
    assert [row["attack"] for row in rows] == ["headers", "trailers", "idle", "slow_chunks"]
    for row in rows:
        assert row["peak_mb"] < 500, row
        assert row["recovered_s"] is not None, row
        assert row["recovered_s"] < 60, row
        assert row["log_kb"] < 500, row
    assert "| longest /health |" in run.stdout


def test_unknown_sections_are_refused() -> None:
    command: list[str | Path] = [sys.executable, BENCHMARK, "--only", "headers,none"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert "no such section: none" in run.stderr
