"""The command as people start it, in an empty folder: in this process, or in one of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

import limner
from limner.cli import main

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that the command is started in."""
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of a terminal of 80 columns with colours."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def run(
    terminal: None,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Run the command line to its end in this process: `run("draw", "a fox", variable="value")`.

    What it prints is no terminal, as in a pipe. What belongs to a process (signals, limits, what
    is imported, bytes of a pipe) is tested with `command`.
    """

    def run(*arguments: str, **environ: str) -> CompletedProcess[str]:
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            for name, value in environ.items():
                patch.setenv(name, value)
            capfd.readouterr()
            code = main(arguments)
        printed = capfd.readouterr()
        return CompletedProcess(arguments, code, printed.out, printed.err)

    return run


@pytest.fixture
def command(terminal: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How to start limner, for tests that need the process itself."""
    monkeypatch.setenv("PYTHONPATH", str(Path(limner.__file__).parents[1]))
    return [sys.executable, "-m", "limner"]


@pytest.fixture
def run_apart(command: list[str], folder: Path) -> Run:
    """As `run`, in a process of its own; `preexec_fn` is called in it first."""

    def run(*arguments: str, preexec_fn: Any = None, **environ: str) -> CompletedProcess[str]:
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
