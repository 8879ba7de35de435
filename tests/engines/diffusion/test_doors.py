"""A pipeline through every door: as a card, the command line, a download, a server, a process."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from limner import settings as settings_module
from limner.cli import main
from limner.engines.cards.card import Cards
from limner.engines.cards.detect import card_for
from limner.imaging import codec
from limner.request import ImageRequest, Size
from limner.settings import Settings
from limner.studio import Studio
from tests.server.helpers import make_settings, running
from tests.storage.hub.loopback import COMMIT, REPO, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Run = Callable[..., str]

REQUEST = ImageRequest("a red fox", size=Size(128, 64), seed=7, options={"steps": 2})
DRAW = ["draw", "a red fox", "--engine", "tiny", "--size", "128x64", "--seed", "7"]


@pytest.fixture
def bare(settings_of: Callable[[str], Settings]) -> np.ndarray:
    """The picture as the engine draws it."""
    studio = Studio(replace(settings_of("sd"), engine="diffusion"))
    [picture] = studio.pictures(REQUEST)
    studio.close()
    return picture.pixels


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line; gives all that it says."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 0, capsys.readouterr().err
        return "".join(capsys.readouterr())

    return run


def _picture(run: Run, to: Path) -> np.ndarray:
    run(*DRAW, "--option", "steps=2", "-o", str(to))
    return codec.decode(to.read_bytes())


def test_the_command_line_adds_and_draws(
    folder_of: Callable[[str], Path], bare: np.ndarray, run: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("LIMNER_THREADS", "1")
    added = run("models", "add", "tiny", str(folder_of("sd")), "--setting", "device=cpu")
    assert "drawn by diffusion" in added
    assert "scheduler" in run("models", "show", "tiny")
    assert np.array_equal(_picture(run, tmp_path / "fox.png"), bare)


def test_a_download_draws_without_its_hub(
    folder_of: Callable[[str], Path], bare: np.ndarray, run: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("LIMNER_THREADS", "1")
    folder = folder_of("sd")
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    with serving(files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        told = run("models", "add", "tiny", f"hf:{REPO}")
    assert f"hf:{REPO}@{COMMIT}" in told
    assert "licence openrail" in told
    home = settings_module.load().home
    card = Cards(home).get("tiny")
    assert (card.source, card.licence) == (f"hf:{REPO}@{COMMIT}", "openrail")
    assert np.array_equal(_picture(run, tmp_path / "fox.png"), bare)
    run("models", "rm", "tiny", "--files")
    assert list((home / "downloads").iterdir()) == []


def test_a_server_draws_with_it_beside_others_and_sees_it_come_and_go(
    settings_of: Callable[[str], Settings], tmp_path: Path, bare: np.ndarray
) -> None:
    settings = make_settings(tmp_path, engine="testcard", threads=1)
    body = {
        "model": "tiny",
        "prompt": "a red fox",
        "size": "128x64",
        "seed": 7,
        "steps": 2,
        "response_format": "b64_json",
    }
    with running(settings) as server, httpx2.Client(base_url=server.url, timeout=300) as client:
        assert client.post("/v1/images/generations", json=body).status_code in (400, 404)
        cards = Cards(settings.home)
        cards.add(card_for("tiny", settings_of("sd").diffusion_model, settings))
        answer = client.post("/v1/images/generations", json=body)
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"][0]["b64_json"]
        assert np.array_equal(codec.decode(base64.b64decode(data)), bare)
        [told] = [one for one in client.get("/v1/models").json()["data"] if one["id"] == "tiny"]
        assert told["loaded"]
        assert told["bytes"] > 0
        cards.remove("tiny")
        assert client.post("/v1/images/generations", json=body).status_code in (400, 404)


def test_a_process_of_its_own_draws_the_same(
    settings_of: Callable[[str], Settings], tmp_path: Path, bare: np.ndarray
) -> None:
    settings = settings_module.load(environ={"LIMNER_HOME": str(tmp_path), "LIMNER_THREADS": "1"})
    card = card_for("tiny", settings_of("sd").diffusion_model, settings, apart=True)
    assert card.n_bytes > 0
    Cards(settings.home).add(card)
    studio = Studio(settings)
    [picture] = studio.pictures(REQUEST, engine="tiny")
    studio.close()
    assert np.array_equal(picture.pixels, bare)


def test_memory_that_ends_fails_one_request(
    settings_of: Callable[[str], Settings], tmp_path: Path
) -> None:
    """In a process that may take little more than it has: a small picture, a large one, a small."""
    script = f"""
import resource
from pathlib import Path
from limner import settings
from limner.errors import EngineError
from limner.request import ImageRequest, Size
from limner.studio import Studio
loaded = settings.load({{"engine": "diffusion", "threads": 1, "device": "cpu",
    "diffusion_model": {settings_of("sd").diffusion_model!r}}})
studio = Studio(loaded)
small = ImageRequest("a fox", size=Size(64, 64), seed=1, options={{"steps": 2}})
large = ImageRequest("a fox", size=Size(1024, 1024), seed=1, options={{"steps": 1}})
before = studio.pictures(small)[0].pixels
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000, -1))
try:
    studio.pictures(large)
except EngineError as error:
    print(error.message)
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
assert (studio.pictures(small)[0].pixels == before).all()
print("drawn again")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.stdout.splitlines() == [
        "Engine diffusion ran out of memory at 1 x 1024x1024",
        "drawn again",
    ], done.stderr[-2000:]
