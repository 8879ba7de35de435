"""Each program of examples/ does what it says, with `limner serve` and the model that ships."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.compat import environments, trial
from tests.support.chat_server import calls, chat_server, says

EXAMPLES = environments.ROOT / "examples"
AGENTS = ["openai-agents==0.24.0"]
VERCEL = ["ai@7.0.173", "@ai-sdk/openai@4.0.118", "@ai-sdk/openai-compatible@3.0.92"]
RUN_S = 300.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[trial.Served]:
    """A server for all examples."""
    with trial.serving(tmp_path_factory.mktemp("examples")) as served:
        yield served


def _run(command: list[str], server: trial.Served, home: Path, packages: Path | None = None) -> str:
    variables = environments.clean_environment(home)
    if packages is not None:
        variables["PYTHONPATH"] = str(packages)
    done = subprocess.run(
        [*command, server.address, str(home / "story")],
        env=variables,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=RUN_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _pictures(home: Path) -> list[tuple[int, int]]:
    found = []
    for path in sorted((home / "story").iterdir()):
        with Image.open(path) as picture:
            picture.load()
            found.append(picture.size)
    return found


def test_tutorial(server: trial.Served, tmp_path: Path) -> None:
    packages = environments.python_folder(["openai==0.28"])
    command = [sys.executable, "-S", str(EXAMPLES / "tutorial.py")]
    urls = _run(command, server, tmp_path, packages).split()
    assert len(set(urls)) == 2
    for url in urls:
        with urllib.request.urlopen(url) as answer, Image.open(answer) as picture:
            assert picture.size == (256, 256)


def test_story(server: trial.Served, tmp_path: Path) -> None:
    """Four pictures, each looked at; what a look says of them is the model's business."""
    command = [sys.executable, "-I", str(EXAMPLES / "story.py")]
    told = [json.loads(line) for line in _run(command, server, tmp_path).splitlines()]
    assert _pictures(tmp_path) == [(512, 512)] * 4
    assert [line["asked"] for line in told] == [line["sentence"] for line in told]
    assert all(line["good_enough"] or line["advice"] for line in told)
    assert all(line["alt"] and line["alt_zh"] for line in told)


def test_story_by_openai_agents(server: trial.Served, tmp_path: Path) -> None:
    packages = environments.python_folder(AGENTS)
    command = [sys.executable, "-S", str(EXAMPLES / "story_agent.py")]
    assert len(_run(command, server, tmp_path, packages).splitlines()) == 4
    assert _pictures(tmp_path) == [(512, 512)] * 4


def test_story_by_a_planner(tmp_path: Path) -> None:
    """With a scripted chat server, which plans four pictures and says a word."""
    packages = environments.python_folder(AGENTS)
    command = [sys.executable, "-S", str(EXAMPLES / "story_planned.py")]
    prompts = ["a snake and a red apple", "a green tree", "three yellow stars", "a blue house"]
    four = calls(*[("generate_image", {"prompt": prompt}) for prompt in prompts])
    with chat_server(four, says("The end.")) as script:
        (tmp_path / "planned").mkdir()
        planner = {"LIMNER_PLANNER_URL": script.url, "LIMNER_PLANNER_MODEL": "scripted"}
        with trial.serving(tmp_path / "planned", **planner) as server:
            told = _run(command, server, tmp_path, packages).splitlines()
    assert [line.partition(" ")[2] for line in told[:-1]] == prompts
    assert told[-1] == "The end."
    assert _pictures(tmp_path) == [(512, 512)] * 4
    [first, second] = script.asked
    assert first["messages"][-1]["content"].startswith("Illustrate this story")
    assert [message["role"] for message in second["messages"][-4:]] == ["tool"] * 4


def test_chat_by_vercel(server: trial.Served, tmp_path: Path) -> None:
    try:
        folder = environments.node_folder(VERCEL)
    except environments.NotHere as error:
        pytest.skip(str(error))
    shutil.copyfile(EXAMPLES / "chat.mjs", folder / "chat.mjs")
    assert len(_run(["node", str(folder / "chat.mjs")], server, tmp_path).splitlines()) == 2
    assert _pictures(tmp_path) == [(1024, 1024)] * 2
    with urllib.request.urlopen(f"{server.address}/v1/images/history?limit=1") as answer:
        [row] = json.load(answer)["data"]
    assert (row["kind"], row["prompt"]) == ("edit", "a red apple, make it blue")
