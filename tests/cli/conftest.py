"""The command as people start it: a process of its own in an empty folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import limner

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that the command is started in."""
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How to start limner, for tests that need the process itself."""
    monkeypatch.setenv("PYTHONPATH", str(Path(limner.__file__).parents[1]))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    return [sys.executable, "-m", "limner"]


@pytest.fixture
def run(command: list[str], folder: Path) -> Run:
    """Run limner to its end: `run("draw", "a fox", variable="value", …)`."""

    def run(*arguments: str, preexec_fn: Any = None, **environ: str) -> Any:
        return subprocess.run(
            [*command, *arguments],
            cwd=folder,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=110,  # the machine may be busy with a training run
            preexec_fn=preexec_fn,
        )

    return run
