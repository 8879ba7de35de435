"""A temporary PostgreSQL server, if its programs are installed."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Postgres:
    """One that runs: its address for LIMNER_DATABASE, and its first process."""

    url: str
    pid: int


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, or None if PostgreSQL is not installed."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), shutil.which("pg_ctl")]
    return next((Path(path).parent for path in found if path), None)


@contextlib.contextmanager
def postgres(folder_of_programs: Path) -> Iterator[Postgres]:
    """An empty one on a free port; it refuses to run as root, and is run by `postgres` then."""
    user = "postgres" if os.geteuid() == 0 else None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="limner-postgres-") as name:
        if user:
            shutil.chown(name, user)
        data = Path(name) / "data"

        def run(program: str, *arguments: str) -> None:
            command = [folder_of_programs / program, *arguments, "--pgdata", data]
            subprocess.run(command, cwd=name, user=user, check=True, stdout=subprocess.DEVNULL)

        run("initdb", "--username", "limner", "--auth", "trust", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories="
        run("pg_ctl", "start", "--wait", "--log", f"{name}/log", "--options", options)
        try:
            pid = int((data / "postmaster.pid").read_text().split()[0])
            yield Postgres(f"postgresql://limner:secret@127.0.0.1:{port}/postgres", pid)
        finally:
            run("pg_ctl", "stop", "--mode", "immediate")
