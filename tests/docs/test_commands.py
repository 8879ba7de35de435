"""Every command and program in docs/ is run, page by page, in the order in which it stands there.

The README's are run by tests/test_readme.py. What is not run says so and why: tests/docs/blocks.py.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.compat import environments, trial
from tests.docs.blocks import COMMANDS, OTHERS, PAGES, Block, blocks, not_run

SERVER = "127.0.0.1:8000"
LEGACY = "openai==0.28"
START_S, RUN_S = 100.0, 500.0
# How a reader's machine differs from a test's: another address, no time for 100 steps, and limner
# is installed. The verb `draw` itself is run by tests/test_readme.py.
REPLACED = {
    r"LIMNER_HOST=0\.0\.0\.0": "LIMNER_HOST=127.0.0.1",
    r"--steps 100": "--steps 2",
    r'make draw PROMPT="([^"]*)" OUT=(\S+)': r'limner draw "\1" -o \2',
    r"^\. \.venv/bin/activate$": ":",
}
_ADDRESS = re.compile(r"limner is at (http://\S+)/v1")


def _runs(page: str) -> list[Block]:
    return [b for b in blocks(page) if b.language in COMMANDS and not b.reason]


PAGES_RUN = [page for page in PAGES if page != "README.md" and _runs(page)]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page: str) -> None:
    found = blocks(page)
    assert {block.language for block in found} <= {*COMMANDS, *OTHERS}
    text = (environments.ROOT / page).read_text("utf-8")
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(found)
    marks = len(re.findall(r"^ *<!-- not run", text, re.MULTILINE))
    assert marks == sum(bool(block.reason) for block in found)


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/cli.md"])
def test_no_command_hides_in_a_block_of_another_language(page: str) -> None:
    command = re.compile(r"^(\S+=\S* )*(limner|make|pip|curl|python3?|bash|podman|docker) ", re.M)
    others = [block for block in blocks(page) if block.language not in COMMANDS]
    assert [block.code for block in others if command.search(block.code)] == []


def test_what_is_not_run_belongs_to_other_programs_to_root_or_to_hours() -> None:
    words = ("needs", "installs", "changes the system", "takes", "draws hundreds")
    assert [block for block in not_run() if not block.reason.startswith(words)] == []


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a `limner serve` listens, as host and port."""
    with trial.serving(tmp_path_factory.mktemp("serving")) as server:
        yield server.address.removeprefix("http://")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", PAGES_RUN)
def test_commands_of_a_page(page: str, address: str, tmp_path: Path) -> None:
    _run_page(_runs(page), address, tmp_path)


def _run_page(found: list[Block], address: str, tmp_path: Path) -> None:
    """Run `found` one after the other in one folder, and look at every picture."""
    folder, home = tmp_path / "here", tmp_path / "home"
    folder.mkdir()
    _write_pictures(home / "pictures")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = environments.clean_environment(home) | {"PATH": path, "LIMNER_PORT": "0"}
    for block in found:
        code = block.code.replace(SERVER, address)
        for pattern, replacement in REPLACED.items():
            code = re.sub(pattern, replacement, code, flags=re.MULTILINE)
        if re.search(r"\blimner serve$", code.strip()):
            _check_server(code, folder, variables)
        else:
            _check_urls(_run(block, code, folder, variables))
    for file in folder.iterdir():
        if file.suffix in (".png", ".jpg", ".webp"):
            _check_picture(file)


def _run(block: Block, code: str, folder: Path, variables: dict[str, str]) -> str:
    command = ["sh", "-eu", "-c"] if block.language == "sh" else [sys.executable, "-c"]
    if "openai.Image.create" in code:
        command = [sys.executable, "-S", "-c"]
        packages = environments.python_folder([LEGACY])
        variables = variables | {"PYTHONPATH": str(packages)}
    done = subprocess.run(
        [*command, code], cwd=folder, env=variables, capture_output=True, text=True, timeout=RUN_S
    )
    assert done.returncode == 0, f"{block.page}:\n{code}\n{done.stdout}\n{done.stderr}"
    assert '"error"' not in done.stdout, done.stdout  # curl ends well whatever is answered
    return done.stdout


def _check_server(code: str, folder: Path, variables: dict[str, str]) -> None:
    """Run commands whose last one serves, until the server answers; then stop it."""
    log = folder.parent / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            ["sh", "-eu", "-c", code],
            cwd=folder,
            env=variables,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        end_s = time.monotonic() + START_S
        while not (found := _ADDRESS.search(log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end_s, log.read_text()
            time.sleep(0.1)
        with urllib.request.urlopen(f"{found[1]}/health", timeout=60) as answer:
            assert answer.status == 200
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _check_urls(output: str) -> None:
    for url in re.findall(r"http://127[^\s\"',]+/images/files/[^\s\"',]+", output):
        with urllib.request.urlopen(url, timeout=60) as answer, Image.open(answer) as picture:
            picture.load()


def _check_picture(file: Path) -> None:
    with Image.open(file) as picture:
        picture.load()


def _write_pictures(folder: Path) -> None:
    """A folder as docs/data.md describes it."""
    folder.mkdir(parents=True)
    for index, colour in enumerate(["red", "green", "blue", "gray"]):
        picture = Image.new("RGB", (96, 96), "white")
        picture.paste(colour, (8 * index, 16, 48 + 8 * index, 80))
        picture.save(folder / f"{colour}.png")
        (folder / f"{colour}.txt").write_text(f"a {colour} box\n", encoding="utf-8")
