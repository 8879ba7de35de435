"""Where the server of a LIMNER_HOME answers, for other programs of the same user."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from limner.errors import LimnerError
from limner.storage import files

FILE = "server.json"
_ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


@contextmanager
def announced(home: Path, address: str) -> Iterator[None]:
    """Say in `home` that a server listens at `address` (host:port), as long as it does."""
    host, _, port = address.rpartition(":")
    path = home / FILE
    told = {"url": f"http://{_ANY.get(host, host)}:{port}", "pid": os.getpid()}
    with suppress(LimnerError):  # on a full disk it answers all the same
        files.write_private(path, json.dumps(told).encode())
    try:
        yield
    finally:
        if (found := _read(path)) and found[1] == os.getpid():
            with suppress(OSError):
                path.unlink()


def find(home: Path) -> str | None:
    """The address of a server of `home` whose process lives: http://host:port."""
    found = _read(home / FILE)
    return found[0] if found and _lives(found[1]) else None


def _read(path: Path) -> tuple[str, int] | None:
    try:
        told = json.loads(path.read_bytes())
        return str(told["url"]), int(told["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
