"""The image of docs/deploy.md, run by the guide's own commands, where it has been built."""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

GUIDE = (Path(__file__).parents[1] / "docs" / "deploy.md").read_text(encoding="utf-8")
BODY = {"prompt": "a red apple", "size": "256x256", "seed": 1}
_HEALTHY_S = 60.0


def podman(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = ["podman", *words]
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=100)


def is_built() -> bool:
    if not shutil.which("podman"):
        return False
    return podman("image", "exists", "limner", check=False).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_built(), reason="podman has no image `limner`: see docs/deploy.md"),
]


class Container:
    """What the guide starts, with a name, a volume and a port of its own."""

    def __init__(self) -> None:
        self.name = f"limner-test-{uuid4().hex[:8]}"
        self.key = ""

    def start(self) -> None:
        """With a key, and until its health check passes."""
        make_key, serve = re.findall(r"^podman (run (?:\\\n|.)+)$", GUIDE, re.MULTILINE)
        self.key = podman(*self._own(make_key)).stdout.strip()
        podman(*self._own(serve))
        self.wait()

    def _own(self, command: str) -> list[str]:
        command = command.replace("limner:/var/lib/limner", f"{self.name}:/var/lib/limner")
        command = command.replace("--name limner", f"--name {self.name}").replace("\\\n", " ")
        return shlex.split(command.replace(":8000:8000", "::8000"))

    @property
    def http(self) -> httpx2.Client:
        """A client for the port that it has now."""
        headers = {"authorization": f"Bearer {self.key}"}
        address = podman("port", self.name, "8000/tcp").stdout.strip()
        return httpx2.Client(base_url=f"http://{address}", headers=headers, timeout=60)

    def inside(self, *words: str) -> subprocess.CompletedProcess[str]:
        return podman("exec", self.name, *words, check=False)

    def says(self, field: str) -> str:
        return podman("inspect", "--format", f"{{{{{field}}}}}", self.name).stdout.strip()

    def wait(self) -> None:
        """Until its health check passes."""
        end_s = time.monotonic() + _HEALTHY_S
        while podman("healthcheck", "run", self.name, check=False).returncode:
            assert time.monotonic() < end_s, podman("logs", self.name).stderr
            time.sleep(0.1)

    def remove(self) -> None:
        podman("rm", "--force", "--ignore", self.name)
        podman("volume", "rm", "--force", self.name)


@pytest.fixture
def container() -> Iterator[Container]:
    container = Container()
    try:
        container.start()
        yield container
    finally:
        container.remove()


def test_the_image_draws_without_rights_and_keeps_its_pictures(container: Container) -> None:
    assert container.inside("id", "-u").stdout == "10001\n"
    assert container.inside("touch", "/opt/limner/x").returncode != 0
    doctor = container.inside("limner", "doctor")
    assert doctor.returncode == 0, doctor.stdout
    with container.http as http:
        answer = http.post("/v1/images/generations", json=BODY)
        assert answer.status_code == 200, answer.text
        drawn = http.get(answer.json()["data"][0]["url"]).content
    assert drawn.startswith(b"\x89PNG")

    podman("stop", container.name)
    assert container.says(".State.ExitCode") == "0"
    podman("start", container.name)
    container.wait()
    with container.http as http:
        [request] = http.get("/v1/images/history").json()["data"]
        assert http.get(request["pictures"][0]["url"]).content == drawn
