"""Killed, or without room to write: a real server process loses no picture and tears none."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.storage.database import Database
from limner.storage.history import History
from tests.server.helpers import GENERATIONS, assert_openai_error, open_picture, wait_until


@contextmanager
def _serving(home: Path, *, max_file_bytes: int | None = None, **variables: str) -> Iterator[Any]:
    """A server process and its URL; killed, if it still lives, in the end."""

    def limit() -> None:
        if max_file_bytes is not None:  # a full disk that anyone can have
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))

    command = [sys.executable, "-m", "limner", "serve", "--port", "0"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LIMNER_HOME": str(home), **variables},
        preexec_fn=limit,
    ) as process:
        try:
            assert process.stderr
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
            assert found, process.stderr.read()
            # Read on, or a full pipe would stop the server.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            # The address is said before all is swept; who calls then waits.
            assert httpx2.get(f"{found[0]}/ready", timeout=60).status_code == 200
            yield process, found[0]
        finally:
            process.kill()


def _draw_until_it_breaks(url: str, answered: list[str]) -> None:
    with suppress(httpx2.HTTPError), httpx2.Client(base_url=url, timeout=100) as http:
        while True:
            body = {"prompt": "a cat", "size": "256x256", "quality": "low", "n": 2}
            response = http.post(GENERATIONS, json=body)
            response.raise_for_status()
            answered.append(response.headers["x-request-id"])


def _check_whole(home: Path, answered: list[str], url: str = "") -> dict[str, int]:
    """Nothing is torn or lost; returns how many requests ended how."""
    database = Database(url, home)
    history = History(database, home)
    rows = {row["id"]: row for row in history.page(100_000)}
    if database.is_sqlite:
        assert database.read("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    database.close()
    assert [id for id in answered if rows[id]["state"] != "done"] == []
    named = set()
    for row in rows.values():
        assert row["state"] == "interrupted" or len(row["pictures"]) == row["parameters"]["n"]
        for picture in row["pictures"]:
            data = (history.folder / picture["file"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == picture["sha256"]
            assert open_picture(data).size == (256, 256)
            named.add(picture["file"])
    assert {path.name for path in history.folder.iterdir()} == named
    states = [row["state"] for row in rows.values()]
    assert "running" not in states
    return {state: states.count(state) for state in set(states)}


def _kill_while_drawing(
    home: Path, n_rounds: int, engine: str, longest_s: float, database: str = ""
) -> dict[str, int]:
    answered: list[str] = []
    variables: Any = {"LIMNER_ENGINE": engine, "LIMNER_DATABASE": database}
    for _ in range(n_rounds):
        with _serving(home, **variables) as (process, url):
            clients = [
                threading.Thread(target=_draw_until_it_breaks, args=(url, answered))
                for _ in range(3)
            ]
            for client in clients:
                client.start()
            n_before = len(answered)
            wait_until(lambda n=n_before: len(answered) > n, timeout_s=60)
            threading.Event().wait(random.uniform(0, longest_s))
            process.kill()
            process.wait(10)
            for client in clients:
                client.join(30)
    with _serving(home, **variables):
        return _check_whole(home, answered, database)


def test_killed_while_drawing(tmp_path: Path) -> None:
    states = _kill_while_drawing(tmp_path, 1, "testcard", 0.1)
    assert states["done"] > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("engine", "n_rounds", "longest_s"), [("testcard", 12, 0.3), ("onnx", 4, 1.0)]
)
def test_killed_many_times_while_drawing(
    tmp_path: Path, engine: str, n_rounds: int, longest_s: float
) -> None:
    states = _kill_while_drawing(tmp_path, n_rounds, engine, longest_s)
    # Every kill met at least one of three clients that never paused.
    assert states["interrupted"] >= n_rounds // 2
    assert states["done"] >= n_rounds


@pytest.mark.slow
def test_killed_while_the_history_is_in_postgres(tmp_path: Path, postgres: str) -> None:
    states = _kill_while_drawing(tmp_path, 4, "testcard", 0.3, postgres)
    assert states["interrupted"] >= 2
    assert states["done"] >= 4


def test_disk_without_room_for_a_picture_refuses_and_leaves_nothing(tmp_path: Path) -> None:
    answered = []
    with (
        _serving(tmp_path, max_file_bytes=300_000, LIMNER_ENGINE="testcard") as (_, url),
        httpx2.Client(base_url=url, timeout=60) as http,
    ):
        body = {"prompt": "a cat", "size": "256x256", "n": 2}
        answered.append(http.post(GENERATIONS, json=body).headers["x-request-id"])
        for _ in range(40):  # until the database's log reaches the limit, if no picture does
            response = http.post(GENERATIONS, json={"prompt": "word " * 190})
            if response.status_code != 200:
                break
        assert response.status_code in (500, 503)
        code = response.json()["error"]["code"]
        assert_openai_error(response, response.status_code, code)
        assert code in ("output_error", "database_error")
        assert str(tmp_path) not in json.dumps(response.json())
        assert http.get("/health").status_code == 200
    with _serving(tmp_path, LIMNER_ENGINE="testcard") as (_, url):
        database = Database("", tmp_path)
        history = History(database, tmp_path)
        rows = history.page(1000)
        assert {row["id"]: row["state"] for row in rows}[answered[0]] == "done"
        named = {picture["file"] for row in rows for picture in row["pictures"]}
        assert {path.name for path in history.folder.iterdir()} == named
        database.close()
        response = httpx2.post(url + GENERATIONS, json={"prompt": "a", "size": "256x256"})
        assert response.status_code == 200
