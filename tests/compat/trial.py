"""Trying a client: a `limner serve`, the client's script, and what it saw."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from tests.compat import cases, environments

HERE = Path(__file__).parent
START_S, RUN_S, STOP_S = 60.0, 400.0, 60.0
_ADDRESS = re.compile(r"^limner is at (http://\S+)/v1$", re.MULTILINE)


@dataclass(frozen=True)
class Client:
    """A row of clients.toml."""

    name: str
    title: str
    kind: str
    requires: list[str]
    script: str
    cases: list[str]
    is_quick: bool = False
    arguments: list[str] = field(default_factory=list)

    def command(self, home: Path) -> tuple[list[str], dict[str, str]]:
        """How its script is called, and with which variables; installs what it needs.

        Raises CannotInstall or NotHere.
        """
        script, variables = HERE / "clients" / self.script, environments.clean_environment(home)
        if self.kind == "node":
            folder = environments.node_folder(self.requires)
            for source in script.parent.glob("*.mjs"):  # node looks for packages beside a script
                shutil.copyfile(source, folder / source.name)
            return ["node", str(folder / script.name)], variables
        if self.kind == "python":
            folder = environments.python_folder(self.requires)
            # -S: of what is installed elsewhere, it sees nothing.
            return [sys.executable, "-S", str(script)], variables | {"PYTHONPATH": str(folder)}
        if self.kind == "tests":
            return [sys.executable, str(script)], variables
        for program in self.requires:
            if shutil.which(program) is None:
                raise environments.NotHere(f"there is no {program} on this machine")
        return ["sh", "-eu", str(script)], variables


@dataclass(frozen=True)
class Served:
    """A `limner serve` that runs."""

    address: str  # http://127.0.0.1:port, without /v1
    pid: int


@dataclass(frozen=True)
class Result:
    """What came of trying a client."""

    version: str  # as the client says it
    faults: dict[str, str]  # by case; empty where all is as it should be


def clients() -> list[Client]:
    """All rows of clients.toml, in its order."""
    table = tomllib.loads((HERE / "clients.toml").read_text(encoding="utf-8"))
    return [Client(name, **row) for name, row in table.items()]


@contextmanager
def serving(home: Path, engine: str = "transformer", **settings: str) -> Iterator[Served]:
    """A `limner serve` as a process; by default it draws with the model that ships.

    `settings` are further environment variables.
    """
    command = [sys.executable, "-m", "limner", "serve", "--port", "0", "--quiet"]
    command += ["--engine", engine]
    variables = os.environ | {"LIMNER_HOME": str(home)} | settings
    log = home / "log.txt"
    with log.open("w") as file, subprocess.Popen(command, stderr=file, env=variables) as process:
        try:
            yield Served(_address(process, log), process.pid)
        finally:
            process.terminate()
            process.wait(STOP_S)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where the server listens, as soon as it says so."""
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s and process.poll() is None:
        if found := _ADDRESS.search(log.read_text()):
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"limner serve does not start:\n{log.read_text()}")


def run(client: Client, server: Served, home: Path) -> Result:
    """Let `client` go through its cases with `server`, and judge what it saw."""
    _write_pictures(home)
    command, variables = client.command(home)
    done = subprocess.run(
        [*command, server.address, str(home), *client.arguments],
        env=variables,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=RUN_S,
    )
    if done.returncode:
        raise RuntimeError(f"{client.script} failed:\n{done.stderr}")
    told = json.loads(done.stdout.splitlines()[-1])  # some clients print greetings before
    seen = told["seen"]
    if list(seen) != client.cases:
        raise RuntimeError(f"{client.script} ran {list(seen)}, and not {client.cases}")
    faults = {name: cases.fault(name, outcome, _fetch) for name, outcome in seen.items()}
    return Result(told["version"], faults)


def _write_pictures(folder: Path) -> None:
    """image.png, whose middle is clear, and mask.png, which opens its left half."""
    image = Image.new("RGBA", (256, 256), (200, 30, 30, 255))
    image.paste((0, 0, 0, 0), (32, 32, 224, 224))
    image.save(folder / "image.png")
    mask = Image.new("RGBA", (256, 256), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 128, 256))
    mask.save(folder / "mask.png")


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        data: bytes = answer.read()
    return data
