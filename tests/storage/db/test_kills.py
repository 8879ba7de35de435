"""Killed at any moment, again and again: what was said to be stored is there, and nothing else."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import pytest

from limner import settings as settings_module
from limner.storage.blobs.names import Names
from limner.storage.blobs.opening import open_store
from limner.storage.db.database import Database
from limner.storage.db.keys import signing_key
from limner.storage.history.history import FOLDER, History
from limner.storage.history.maintenance import LEFT_S, Maintenance
from tests.support.s3 import S3Server

_STORE = """
import os, random, time
from limner import settings
from limner.storage.db.database import Database
from limner.storage.history.history import FOLDER, Asked, History, Made
from limner.storage.db.keys import signing_key
from limner.storage.blobs.names import Names
from limner.storage.blobs.opening import open_store
from limner.storage.history.maintenance import Maintenance

loaded = settings.load()
history = History(Database(loaded.database, loaded.home), open_store(loaded), loaded.home)
names = Names(signing_key(history.database))
Maintenance(history, loaded.home, names=names).acquire()
for number in range(10_000):
    id = f"req_{os.getpid()}_{time.time_ns()}"
    record = history.begin(Asked(id, "", "generation", "nano", "a red fox", 2, {}))
    for index in range(2):
        data = os.urandom(random.randrange(1, 300_000))
        file = names.make("png")
        history.store.put(f"{FOLDER}/{file}", data)
        record.add(Made(index, 7, None, 256, 256, "png"), file, data)
    print("stored", id, flush=True)
    if number % 3 == 2:
        print("deleting", id, flush=True)
        history.delete([id])
        print("deleted", id, flush=True)
"""


def _store_until_killed(variables: dict[str, str], longest_s: float) -> list[str]:
    """What a process said before it was killed, at most `longest_s` after its first word."""
    with subprocess.Popen(
        [sys.executable, "-c", _STORE],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    ) as process:
        assert process.stdout
        said = [process.stdout.readline()]
        assert said[0].startswith("stored")
        killer = threading.Timer(random.uniform(0, longest_s), process.kill)
        killer.start()
        said += process.stdout.readlines()
        killer.join()
    return [line for line in said if line.endswith("\n")]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("kind", "n_kills"), [("home", 50), ("shared", 15)])
def test_nothing_is_lost_or_torn(
    tmp_path: Path, kind: str, n_kills: int, request: pytest.FixtureRequest
) -> None:
    values = {"home": str(tmp_path)}
    if kind == "shared":
        server: S3Server = request.getfixturevalue("s3_server")
        values |= {"database": request.getfixturevalue("postgres")}
        values |= server.settings(request.getfixturevalue("bucket"))
    variables = {settings_module.variable(key): value for key, value in values.items()}
    said: dict[str, str] = {}
    for _ in range(n_kills):
        for line in _store_until_killed(variables, 0.1):
            word, id = line.split()
            said[id] = word
    settings = settings_module.load(environ=variables, folder=tmp_path)
    database, store = Database(settings.database, tmp_path), open_store(settings)
    history = History(database, store, tmp_path)
    left: set[str] = set()  # without a row
    up_s = count(step=LEFT_S)  # so that what was left behind in a shared store comes of age
    keeper = Maintenance(
        history,
        tmp_path,
        names=Names(signing_key(database)),
        adopt=left.update,
        uptime=lambda: next(up_s),
    )
    keeper.acquire()
    for _ in range(3):
        keeper.run_maintenance()
    keeper.release()
    rows = {row["id"]: row for row in history.page(100_000)}
    assert len(said) >= n_kills
    assert {id for id, word in said.items() if word == "stored"} <= set(rows)
    assert not {id for id, word in said.items() if word == "deleted"} & set(rows)
    named = set()
    for row in rows.values():
        assert row["state"] == "interrupted" or len(row["pictures"]) == 2
        assert row["state"] == "done" or row["id"] not in said
        for picture in row["pictures"]:
            found = store.get(f"{FOLDER}/{picture['file']}")
            assert found
            assert hashlib.sha256(found.read()).hexdigest() == picture["sha256"]
            named.add(picture["file"])
    assert {entry.file for entry in store.list(FOLDER)} == named | left
    assert len(left) <= n_kills
    assert not named & left
    database.close()
