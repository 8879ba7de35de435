"""A PostgreSQL server of the tests' own, for the conftest.py of those that want it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from tests.support.absent import absent
from tests.support.ports import free_port


@dataclass
class PostgresServer:
    """PostgreSQL as a process that can be stopped and started again with what it holds."""

    programs: Path
    folder: Path
    port: int = field(default_factory=free_port)
    # It refuses to run as root, and its folder must be its user's own.
    user: str | None = "postgres" if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        """Its address for LIMNER_DATABASE."""
        return f"postgresql://limner:secret@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """Make its folder ready."""
        if self.user:
            shutil.chown(self.folder, self.user)
        self._run("initdb", "--username", "limner", "--auth", "trust", "--no-sync")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories="
        self._run("pg_ctl", "start", "--wait", "--log", "log", "--options", options)

    def stop(self, mode: Literal["fast", "immediate"] = "immediate") -> None:
        """Stop it: after it has ended its clients, or as a crash would."""
        self._run("pg_ctl", "stop", "--mode", mode)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.programs / program, *arguments, "--pgdata", str(self.folder / "data")],
            cwd=self.folder,
            user=self.user,
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
        )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that lives as long as the tests do."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), shutil.which("pg_ctl")]
    found = [path for path in found if path]
    if not found:
        absent("PostgreSQL", "apt-get install postgresql")
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="limner-postgres-"))
    server = PostgresServer(Path(str(found[0])).parent, folder)
    server.make()
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> str:
    """The URL of a PostgreSQL with nothing in it."""
    import psycopg

    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return postgres_server.url
