"""The extras beside each other: none of them replaces the PyTorch that is there."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def _pip(python: Path, *arguments: str) -> str:
    command = [str(python), "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow  # needs a network, and unpacks PyTorch
@pytest.mark.timeout(1800)
def test_no_extra_installs_pytorch_anew(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    _pip(python, "install", "--no-deps", "--no-compile", "torch==2.13.0")
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # One by one: the peers of the benchmarks need not go with all others.
    for extra in project["optional-dependencies"]:
        told = _pip(python, "install", "--dry-run", "--report", "-", f"{ROOT}[{extra}]")
        report = json.loads(told[told.index("{") :])
        names = {one["metadata"]["name"].lower() for one in report["install"]}
        assert names, extra
        assert not {"torch", "triton"} & names, extra
        assert not {name for name in names if name.startswith("nvidia")}, extra
