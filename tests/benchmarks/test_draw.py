"""The drawing benchmark runs and writes the figures that documents quote."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "draw.py"
KEYS = {
    "seconds_1024_low",
    "seconds_1024_medium",
    "seconds_1024_high",
    "seconds_process_to_file",
    "peak_rss_mb",
    "gemm_gflops",
    "memory_gb_s",
}
PEER_KEYS = {
    "min_dalle_seconds_per_picture",
    "min_dalle_seconds_per_token",
    "speedup_over_min_dalle",
}


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a busy machine can stretch half a minute to many
def test_the_quick_run_writes_its_figures(tiny_weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "draw.json"
    command: list[str | Path] = [
        sys.executable,
        BENCHMARK,
        "--quick",
        "--weights",
        tiny_weights,
        "--json",
        target,
    ]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    figures = json.loads(target.read_text())
    assert all(figures[key] > 0 for key in KEYS)
    assert figures["model"] == "tiny-random"
    assert figures["quick"] is True
    has_peer = importlib.util.find_spec("min_dalle") is not None
    assert PEER_KEYS & figures.keys() == (PEER_KEYS if has_peer else set())
    assert ("make bench" in run.stderr) == (not has_peer)
    parts = figures["parts_1024_medium"]
    assert sum(row["share"] for row in parts.values()) == pytest.approx(1, abs=0.25)
    assert all(row["seconds"] >= 0 for row in parts.values())
    counted = {"text", "steps", "pixels", "upscalers"}
    assert {name for name, row in parts.items() if row.get("gflop", 0) > 0} == counted
    assert all(parts[name]["least_seconds"] > 0 for name in counted)
    assert "| 1024x1024 |" in run.stdout


def test_missing_weights_are_an_error(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, BENCHMARK, "--weights", tmp_path / "none"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode != 0
    assert "neither a shipped name nor a folder" in run.stderr
    assert "Traceback" not in run.stderr
