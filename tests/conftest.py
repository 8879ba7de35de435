"""What holds for every test: a LIMNER_HOME of its own, no settings of the user, no network."""

import functools
import os
import signal
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore2
import httpx2
import pytest
from hypothesis import settings

# Each worker of pytest-xdist has a core; small networks are slower on several.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A client of HTTP loads the machine's certificates, which takes 30 ms; hundreds of clients of the
# tests, which reach this machine only, share one load.
httpcore2.default_ssl_context = functools.cache(httpcore2.default_ssl_context)

# Where a test says nothing else, a client waits for 5 s, which a busy machine may take.
httpx2._config.DEFAULT_TIMEOUT_CONFIG.read = 60.0
httpx2._config.DEFAULT_TIMEOUT_CONFIG.connect = 60.0

# The machine may be busy with a training run, so an example has no deadline of its own; in CI
# the examples are the same every time, so that a red run can be repeated.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# Started in the background by a shell, this process ignores Ctrl-C, and so would its children.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name: looking it up would already be network traffic
        return False


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything limner writes goes into the test's folder; LIMNER_… of the shell is not seen."""
    for name in list(os.environ):
        if name.startswith("LIMNER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "limner-home"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection of this process that leaves the machine."""
    real_connect = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            self.close()
            pytest.fail(f"a test tried to reach {address[0]}: tests use this machine only")
        real_connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(scope="session")
def tiny_weights() -> Path:
    """A folder of exported weights, tiny and random; read-only, since all tests share it."""
    from tests.support import tiny

    return tiny.EXPORTED
