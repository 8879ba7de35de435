"""The benchmark of attacks runs, and its figures are what the documents promise."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "attack.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_server_stands_the_attacks(tiny_weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "attack.json"
    wanted = ["headers", "trailers", "idle", "slow_chunks", "nested_json", "unfinished_bodies"]
    wanted += ["scans", "sqlite_locked"]
    if any(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")) or shutil.which("pg_ctl"):
        wanted.append("postgres_stopped")
    command: list[str | Path] = [sys.executable, BENCHMARK, "--json", target]
    command += ["--only", ",".join(wanted), "--weights", tiny_weights]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    rows = json.loads(target.read_text())["rows"]
    assert [row["attack"] for row in rows] == wanted
    for row in rows:
        assert row["peak_mb"] < 500, row
        assert row["recovered_s"] is not None, row
        assert row["recovered_s"] < 60, row
        assert row["log_kb"] < 500, row
        assert row["loop_ran_s"] < 1, row  # of the longest wait; a busy machine adds to the rest
    assert "| longest /health |" in run.stdout


def test_unknown_sections_are_refused() -> None:
    command: list[str | Path] = [sys.executable, BENCHMARK, "--only", "headers,none"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert "no such section: none" in run.stderr
