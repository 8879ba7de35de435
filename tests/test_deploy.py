"""The recipes for running limner name what there is, as far as that shows without running them."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from limner.cli.serving.serve import DRAIN_S
from tests.server.helpers import make_settings, running

ROOT = Path(__file__).parents[1]
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")
UNIT = (ROOT / "deploy" / "limner.service").read_text(encoding="utf-8")


def test_the_image_is_built_of_files_that_it_is_sent_and_of_extras_without_pytorch() -> None:
    [names] = re.findall(r"^COPY (pyproject\.toml .*) \./$", CONTAINERFILE, re.MULTILINE)
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in [*names.split(), "limner"]:
        assert (ROOT / name).exists()
        assert f"!{name}" in sent
    [extras] = re.findall(r"'\.\[(.+)\]'", CONTAINERFILE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = [
        requirement
        for extra in extras.split(",")
        for requirement in project["optional-dependencies"][extra]
    ]
    assert not any(requirement.startswith(("torch", "matplotlib")) for requirement in installed)


def test_health_check_of_the_image_tells_a_server_from_none(tmp_path: Path) -> None:
    [words] = re.findall(r"^HEALTHCHECK .* CMD (\[.*?\])$", CONTAINERFILE, re.MULTILINE | re.DOTALL)
    program, *arguments = json.loads(words.replace("\\\n", ""))
    assert program == "python"

    def check(port: int | None) -> int:
        environ = os.environ | {"LIMNER_PORT": str(port)}
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=environ, capture_output=True, timeout=60).returncode

    with running(make_settings(tmp_path)) as server:
        port = urlsplit(server.url).port
        assert check(port) == 0
    assert check(port) == 1


def test_time_to_stop_is_longer_than_it_takes() -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    stated = re.findall(r"(?:TimeoutStopSec=|--stop-timeout |Give it )(\d+)", UNIT + guide)
    assert len(stated) == 3
    assert all(int(seconds) > DRAIN_S + 25 for seconds in stated)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "limner.service"
    unit.write_text(UNIT.replace("/opt/limner/bin/limner", sys.executable), encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
