"""Real server processes that may be killed, clients that never pause, and what must hold after."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO, Any

import httpx2

from limner import settings as settings_module
from limner.service.recovery.rebuild_rows import Recovery
from limner.storage.blobs.names import Names
from limner.storage.blobs.opening import open_store
from limner.storage.db.database import Database
from limner.storage.db.keys import signing_key
from limner.storage.history.history import FOLDER, History
from limner.storage.history.maintenance import LEFT_S, Maintenance
from tests.server.helpers import GENERATIONS, open_picture, wait_until

CAT = {"prompt": "a cat", "size": "256x256", "quality": "low"}


def variables(**values: Any) -> dict[str, str]:
    """Settings as a process is told them."""
    return {settings_module.variable(key): str(value) for key, value in values.items()}


def _read(stream: IO[str], lines: list[str]) -> None:
    for line in stream:
        lines.append(line)  # noqa: PERF402 (not `extend`, which may keep them to the end)


@contextmanager
def serving(
    home: Path,
    *,
    max_file_bytes: int | None = None,
    is_ready: bool = True,
    program: str = "",
    before: Sequence[str] = (),
    said: list[str] | None = None,
    **values: Any,
) -> Iterator[Any]:
    """A server process and its URL; killed, if it still lives, in the end.

    It must say that it is ready, or is not. `program` is Python to run in place of limner's command
    line, `before` a command to run it by; `said` gets the lines of its log as they come.
    """

    def limit() -> None:
        if max_file_bytes is not None:  # a full disk that anyone can have
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))

    command = [*before, sys.executable, *(["-c", program] if program else ["-m", "limner"])]
    command += ["serve", "--port", "0"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LIMNER_HOME": str(home), **variables(**values)},
        preexec_fn=limit,
    ) as process:
        lines = [] if said is None else said
        assert process.stderr
        # Read on, or a full pipe would stop the server.
        reader = threading.Thread(target=_read, args=(process.stderr, lines), daemon=True)
        reader.start()
        try:
            wait_until(lambda: lines or not reader.is_alive(), timeout_s=60)
            found = re.search(r"http://127\.0\.0\.1:\d+", lines[0]) if lines else None
            assert found, lines
            # The address is said before all is swept; who calls then waits.
            status = httpx2.get(f"{found[0]}/ready", timeout=60).status_code
            assert status == (200 if is_ready else 503)
            yield process, found[0]
        finally:
            process.kill()
            reader.join(60)


def draw_until_it_breaks(url: str, answered: list[str]) -> None:
    """Ask for two pictures at a time, and note what was answered."""
    with suppress(httpx2.HTTPError), httpx2.Client(base_url=url, timeout=100) as http:
        while True:
            response = http.post(GENERATIONS, json=CAT | {"n": 2})
            response.raise_for_status()
            answered.append(response.headers["x-request-id"])


def check_whole(home: Path, answered: list[str], **values: Any) -> dict[str, int]:
    """Nothing is torn or lost; returns how many requests ended how.

    In a store that others may write to, what was left behind must first come of age.
    """
    settings = settings_module.load(values, environ={"LIMNER_HOME": str(home)}, folder=home)
    database, store = Database(settings.database, home), open_store(settings)
    history = History(database, store, home)
    if store.is_shared:
        up_s = count(step=LEFT_S)
        names = Names(signing_key(database))
        adopt = Recovery(history, names).adopt_all
        keeper = Maintenance(history, home, names=names, adopt=adopt, uptime=lambda: next(up_s))
        for _ in range(3):
            keeper.run_maintenance()
    rows = {row["id"]: row for row in history.page(100_000)}
    if database.is_sqlite:
        assert database.read("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    database.close()
    assert [id for id in answered if rows[id]["state"] != "done"] == []
    named = set()
    for row in rows.values():
        if row["state"] == "done":
            assert len(row["pictures"]) == row["parameters"]["n"]
        for picture in row["pictures"]:
            found = store.get(f"{FOLDER}/{picture['file']}")
            assert found
            data = found.read()
            assert hashlib.sha256(data).hexdigest() == picture["sha256"]
            assert open_picture(data).size == (picture["width"], picture["height"])
            named.add(picture["file"])
    assert {entry.file for entry in store.list(FOLDER)} == named
    states = [row["state"] for row in rows.values()]
    assert "running" not in states
    return {state: states.count(state) for state in set(states)}
