"""exiftool, of Debian: another program's view of what a file carries."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.absent import absent


def xmp(path: Path) -> dict[str, Any]:
    """The XMP properties of a file as exiftool reads them, by group and name."""
    [found] = json.loads(run("-j", "-G1", "-struct", "-XMP:all", str(path)))
    return {name: value for name, value in found.items() if name != "SourceFile"}


def run(*arguments: str) -> str:
    """What exiftool prints; an AssertionError if it fails or warns."""
    program = shutil.which("exiftool")
    if not program:
        absent("exiftool", "apt-get install libimage-exiftool-perl")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout
