"""Engines of installed packages: real distributions in a folder of the import path."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from limner import settings
from limner.engines import registry
from limner.errors import EngineError
from limner.request import SIZES, ImageRequest
from limner.studio import Studio

MODULE = """
from limner.engines.testcard import CardEngine

class Sketch(CardEngine):
    name = "{name}"
    model = "{name}-1"

def build(settings):
    return Sketch()
"""


def install(folder: Path, package: str, points: dict[str, str], **modules: str) -> None:
    """Put a distribution with these entry points and modules into `folder`, as an installer."""
    about = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    about.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nSummary: Draws by {package}.\n"
    )
    lines = [f"{name} = {target}" for name, target in points.items()]
    about.joinpath("entry_points.txt").write_text("\n".join(["[limner.engines]", *lines, ""]))
    for name, text in modules.items():
        folder.joinpath(f"{name}.py").write_text(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_an_installed_package_adds_an_engine(folder: Path) -> None:
    code = MODULE.format(name="sketch")
    install(folder, "limner-ink", {"sketch": "limner_ink:build"}, limner_ink=code)
    info = registry.engines()["sketch"]
    assert (info.summary, info.package) == ("Draws by limner-ink.", "limner-ink")
    assert "limner_ink" not in sys.modules  # listing imports nothing
    [picture] = Studio(settings.load({"engine": "sketch"})).pictures(
        ImageRequest("a fox", size=SIZES[0], seed=1)
    )
    assert picture.model == "sketch-1"
    with pytest.raises(EngineError) as caught:
        registry.engine_info("scetch")
    assert caught.value.hint == f"engines are {', '.join(registry.BUILT_IN)}, sketch"


def test_the_command_line_lists_it(folder: Path) -> None:
    code = MODULE.format(name="pencil")
    install(folder, "limner-pencil", {"pencil": "limner_pencil:build"}, limner_pencil=code)
    line = [sys.executable, "-m", "limner", "models"]
    told = subprocess.run(
        line, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True
    )
    assert "pencil" in told.stdout
    assert "Draws by limner-pencil." in told.stdout


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        ("no_such_module:build", "", "No module named 'no_such_module'"),
        ("broken_one:build", "1 / 0", "ZeroDivisionError"),
        ("broken_one:make", "", "has no attribute 'make'"),
        ("broken_one:build", "def build(settings): return 5", "it lacks name, model, draw"),
    ],
)
def test_a_broken_package_fails_alone_and_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, target: str, code: str, words: str
) -> None:
    monkeypatch.delitem(sys.modules, "broken_one", raising=False)
    install(folder, "limner-broken", {"broken": target}, broken_one=code)
    assert list(registry.engines()) == [*registry.BUILT_IN, "broken"]
    with pytest.raises(EngineError, match="Engine broken of the package limner-broken") as caught:
        registry.load("broken", settings.load())
    assert words in caught.value.message
    assert "limner-broken" in (caught.value.hint or "")
    assert registry.load("testcard", settings.load()).name == "testcard"


def test_a_name_that_is_taken_stays_with_its_owner(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(folder, "limner-thief", {"transformer": "nobody:build", "pen": "nobody:build"})
    install(folder, "limner-zebra", {"pen": "nobody:build"})
    with caplog.at_level(logging.WARNING):
        found = registry.engines()
    assert found["transformer"] is registry.BUILT_IN["transformer"]
    winner = found["pen"].package
    assert winner in ("limner-thief", "limner-zebra")
    loser = ({"limner-thief", "limner-zebra"} - {winner}).pop()
    assert "engine 'transformer' of the package limner-thief is left out: limner has" in caplog.text
    assert f"engine 'pen' of the package {loser} is left out: {winner} has" in caplog.text
