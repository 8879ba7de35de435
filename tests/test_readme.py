"""Every command and program in the README is run as it stands there; tests/docs has the others."""

import io
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.compat import environments, trial

ROOT = Path(__file__).parents[1]
LEGACY = "openai==0.28"  # as the README says and the tutorials of its time
SERVER = "127.0.0.1:8000"
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def _blocks(language: str, *, make: bool = False) -> list[str]:
    """The README's blocks in `language` that call no server: by make, or without."""
    found = [code for name, code in _all_blocks("README.md") if name == language]
    found = [code for code in found if SERVER not in code]
    return [code for code in found if bool(re.search(r"^make\b", code, re.MULTILINE)) == make]


def _calls(document: str) -> list[tuple[str, str]]:
    """The blocks of a document that call a server, with their languages."""
    return [(name, code) for name, code in _all_blocks(document) if SERVER in code]


def _all_blocks(document: str) -> list[tuple[str, str]]:
    return _BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))


def _run(command: list[str], folder: Path, **variables: str) -> str:
    """Run `command` in `folder` as a user of the installed package would; its standard output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environ = os.environ | {"PATH": path} | variables
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
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
    assert f"`pip install {LEGACY}`" in (ROOT / "README.md").read_text(encoding="utf-8")
    calls = _calls("README.md")
    assert [name for name, _ in calls].count("python") == 2
    assert any("openai.Image.create" in code for _, code in calls)
    assert any(code.startswith("curl") for _, code in calls)


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


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a `limner serve` listens, as host and port."""
    with trial.serving(tmp_path_factory.mktemp("serving")) as server:
        yield server.address.removeprefix("http://")


@pytest.mark.timeout(600)  # openai-python 0.28 may have to be installed
@pytest.mark.parametrize(("language", "code"), _calls("README.md"))
def test_calls_of_a_server(language: str, code: str, address: str, tmp_path: Path) -> None:
    command, variables = ["sh", "-eu", "-c"], environments.clean_environment(tmp_path)
    if language == "python":
        command = [sys.executable, "-c"]
    if "openai.Image.create" in code:
        command = [sys.executable, "-S", "-c"]
        folder = environments.python_folder([LEGACY])
        variables["PYTHONPATH"] = str(folder)
    command.append(code.replace(SERVER, address))
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    urls = re.findall(r"http://[^\s\"',]+", done.stdout)
    n = int((re.findall(r"\bn=(\d+)", code) or ["1"])[-1])
    assert len(set(urls)) == n
    for url in urls:
        with urllib.request.urlopen(url, timeout=20) as answer:
            picture = Image.open(io.BytesIO(answer.read()))
        picture.load()
        assert f"{picture.width}x{picture.height}" in code


@pytest.mark.slow
@pytest.mark.timeout(3600)  # installs everything
@pytest.mark.parametrize("code", _blocks("sh", make=True))
def test_verbs_in_a_fresh_copy(code: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    # `make test` starts there; all it runs is what is being run here, so one file is enough.
    _run(["sh", "-eu", "-c", code], copy, PYTEST_ADDOPTS="tests/test_options.py")
    for name in re.findall(r"\bOUT=(\S+)", code):
        with Image.open(copy / name) as picture:
            picture.load()
