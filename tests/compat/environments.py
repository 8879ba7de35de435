"""What the clients are installed into: one folder for each set of requirements, filled once.

The folders lie under .cache/compat, named by what was asked for, so another version is another
folder. A folder is filled elsewhere and then renamed: what is there is whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "compat"
INSTALL_S = 400.0


class CannotInstall(Exception):
    """The package registry or its client did not do what was asked."""


class NotHere(Exception):
    """A program is needed that no package brings."""


def python_folder(requires: list[str]) -> Path:
    """A folder of packages for PYTHONPATH, where pip has put `requires`."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return _filled(requires, lambda folder: [*pip, "--no-compile", "--target", folder, *requires])


def node_folder(requires: list[str]) -> Path:
    """A folder whose node_modules has `requires`; scripts run in it find them."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NotHere(f"there is no {program} on this machine, and no package brings one")
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    return _filled(requires, lambda folder: [*npm, "--prefix", folder, *requires])


def clean_environment(home: Path) -> dict[str, str]:
    """The variables that a client sees: none of ours, and none that would send it elsewhere."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


def _filled(requires: list[str], command_for: Callable[[str], list[str]]) -> Path:
    key = hashlib.sha256("\n".join([sys.version, *requires]).encode()).hexdigest()[:12]
    folder = CACHE / f"{_word(requires[0])}-{key}"
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, ignore_cleanup_errors=True) as temporary:
        filling = Path(temporary) / "filling"
        filling.mkdir()
        _install(command_for(str(filling)), requires)
        try:
            filling.rename(folder)
        except OSError:  # another test run was quicker
            if not folder.is_dir():
                raise
    return folder


def _install(command: list[str], requires: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired as error:
        raise CannotInstall(f"{requires}: not done after {INSTALL_S:.0f} s") from error
    if done.returncode:
        raise CannotInstall(f"{requires}: {command[0]} failed; is there a network?\n{done.stderr}")


def _word(requirement: str) -> str:
    return "".join(char if char.isalnum() or char in ".-" else "_" for char in requirement)
