"""Runs the package client of a registry, such as npm or apt-get."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from limner.errors import DataError

_TIMEOUT_S = 600

Runner = Callable[[list[str], Path], subprocess.CompletedProcess[str]]


def runner(hint: str) -> Runner:
    """What runs a command in a folder; `hint` is the way out where its program is missing.

    The command may fail, which its result says. DataError is raised if the program is missing or
    takes longer than ten minutes.
    """

    def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        program = shutil.which(command[0])
        if program is None:
            raise DataError(
                f"There is no `{command[0]}` on this machine, with which art is fetched",
                hint=hint,
            )
        try:
            return subprocess.run(
                [program, *command[1:]],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DataError(
                f"{command[0]} did not finish {command[-1]} in {_TIMEOUT_S} seconds",
                hint="Try again: packages that are complete are kept.",
            ) from None

    return run
