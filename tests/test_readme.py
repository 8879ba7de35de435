"""Every command and program in the README is run as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def _blocks(language: str, *, make: bool = False) -> list[str]:
    """The README's blocks in `language`: those that call make, or those that do not."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = [code for name, code in _BLOCK.findall(readme) if name == language]
    return [code for code in found if bool(re.search(r"^make\b", code, re.MULTILINE)) == make]


def _run(command: list[str], folder: Path) -> str:
    """Run `command` in `folder` as a user of the installed package would; its standard output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _check_pictures(folder: Path, output: str) -> None:
    """Each printed line is a picture, and so is each file that was written into the folder."""
    written = [path for path in folder.iterdir() if path.is_file()]
    for path in [*(folder / line for line in output.splitlines()), *written]:
        with Image.open(path) as picture:
            picture.load()
            assert picture.width == picture.height


def test_the_readme_shows_every_way_in() -> None:
    assert _blocks("sh", make=True)
    assert _blocks("sh")
    assert _blocks("python")


@pytest.mark.parametrize("code", _blocks("sh"))
def test_commands(code: str, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    output = _run(["sh", "-eu", "-c", code], folder)
    n_draws = len(re.findall(r"^limner draw\b", code, re.MULTILINE))
    assert len(output.splitlines()) >= n_draws > 0
    _check_pictures(folder, output)


@pytest.mark.parametrize("code", _blocks("python"))
def test_programs(code: str, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    assert _run([sys.executable, "-W", "error", "-c", code], folder) == ""
    assert list(folder.iterdir())
    _check_pictures(folder, "")


@pytest.mark.slow
@pytest.mark.timeout(3600)  # installs everything twice over and runs the whole default suite
@pytest.mark.parametrize("code", _blocks("sh", make=True))
def test_verbs_in_a_fresh_copy(code: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    _run(["sh", "-eu", "-c", code], copy)
    for name in re.findall(r"\bOUT=(\S+)", code):
        with Image.open(copy / name) as picture:
            picture.load()
