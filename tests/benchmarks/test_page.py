"""The benchmark of the page runs and prints the figures that documents quote."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "page.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium")
def test_the_quick_run_writes_its_figures(tmp_path: Path) -> None:
    target = tmp_path / "page.json"
    command = [sys.executable, str(BENCHMARK), "--quick", "--json", str(target)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    figures = json.loads(target.read_text())
    assert figures["seconds_paint"] > 0
    assert 0 < figures["seconds_shown"] < figures["seconds_ready"]
    assert figures["bytes_gzip"] < figures["bytes"]
    assert figures["n_pictures"] == 60
    assert "longest task with 60 pictures" in run.stdout
