"""The engine of docs/how-to/write-an-engine.md, installed and drawn with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from limner import settings
from limner.engines import registry
from limner.imaging import codec
from limner.request import SIZES, ImageRequest
from limner.studio import Studio
from tests.docs.blocks import blocks
from tests.engines.test_registry import install
from tests.server.helpers import GENERATIONS, make_settings, running

PAGE = "docs/how-to/write-an-engine.md"


def _code(language: str, word: str) -> str:
    [found] = [b.code for b in blocks(PAGE) if b.language == language and word in b.code]
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the import path in which the page's package is installed."""
    code = _code("python", "class SketchEngine")
    assert 'sketch = "limner_sketch:build"' in _code("toml", "entry-points")
    install(tmp_path, "limner-sketch", {"sketch": "limner_sketch:build"}, limner_sketch=code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "limner_sketch", raising=False)
    return tmp_path


def test_the_lines_of_the_page_draw(folder: Path) -> None:
    [line] = [line for line in _code("sh", "limner draw").splitlines() if "limner draw" in line]
    arguments = line.removeprefix("limner ").replace('"', "").split()
    command = [sys.executable, "-m", "limner"]
    environ = os.environ | {"PYTHONPATH": str(folder), "LIMNER_HOME": str(folder / "home")}
    subprocess.run([*command, *arguments], cwd=folder, env=environ, check=True)
    data = folder.joinpath("rings.png").read_bytes()
    assert codec.read_text(data)["options"] == '{"ink": "blue"}'
    colours = codec.decode(data).reshape(-1, 4)
    assert {tuple(colour) for colour in np.unique(colours, axis=0)} == {
        (255, 255, 255, 255),
        (30, 60, 200, 255),
    }
    shown = subprocess.run(
        [*command, "models", "sketch"], env=environ, check=True, capture_output=True, text=True
    ).stdout
    assert "steps" in shown
    assert "1 to 50" in shown
    assert "red|blue" in shown
    wrong = subprocess.run(
        [*command, *arguments, "--option", "ink=green"],
        cwd=folder,
        env=environ,
        check=False,
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 2
    assert "ink is 'green'; it must be one of red, blue" in wrong.stderr


def test_the_request_of_the_page_is_answered(folder: Path) -> None:
    body = json.loads(_code("json", "sketch-1")) | {"size": "256x256"}
    with running(make_settings(folder / "home", engine="sketch")) as server:
        response = server.http.post(GENERATIONS, json=body)
        assert response.status_code == 200, response.text
        models = server.http.get("/v1/models").json()["data"]
    assert "x-limner-notice" not in response.headers
    [sketch] = [row for row in models if row["id"] == "sketch-1"]
    assert sketch["capabilities"]["options"]["ink"]["enum"] == ["red", "blue", None]


def test_steps_change_the_picture_and_n_does_not(folder: Path) -> None:
    studio = Studio(settings.load({"engine": "sketch"}))
    few, many = (
        studio.pictures(ImageRequest("rings", 2, SIZES[0], seed=1, options={"steps": n}))
        for n in (2, 9)
    )
    assert not np.array_equal(few[0].pixels, many[0].pixels)
    [alone] = studio.pictures(ImageRequest("rings", 1, SIZES[0], seed=1, options={"steps": 9}))
    assert np.array_equal(alone.pixels, many[0].pixels)
    assert alone.options == {"steps": 9}
    assert registry.engine_info("sketch").package == "limner-sketch"
