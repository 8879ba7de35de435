"""Who shares a store and a database finds it so, and a store of another database is left alone."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from limner.errors import SettingsError
from limner.storage.blobs.store import Folder, Store
from limner.storage.db.database import Database
from limner.storage.db.store_id import MARKER, claim, server_id


def test_home_keeps_its_name(tmp_path: Path) -> None:
    first = server_id(tmp_path / "home")
    assert server_id(tmp_path / "home") == first
    assert server_id(tmp_path / "elsewhere") != first


def test_store_keeps_its_name(database: Database, store: Store) -> None:
    place = claim(database, store)
    assert claim(database, store) == place
    found = store.get(MARKER)
    assert found
    assert found.read() == place.encode()


def test_store_of_another_database_is_refused(
    database: Database, store: Store, tmp_path: Path
) -> None:
    place = claim(database, store)
    other = Database("", tmp_path / "other")
    with pytest.raises(SettingsError, match="belong to another database") as caught:
        claim(other, store)
    assert store.where(MARKER) in str(caught.value.hint)
    store.delete([MARKER])  # as the hint says
    assert claim(other, store) != place
    other.close()


def test_store_from_before_places_were_listed_is_known(tmp_path: Path) -> None:
    database = Database("", tmp_path)
    database.execute("INSERT INTO places VALUES ('0123456789abcdef', '')")  # as migration 4 does
    (tmp_path / MARKER).write_text("0123456789abcdef")
    assert claim(database, Folder(tmp_path)) == "0123456789abcdef"
    database.close()


def test_two_that_start_at_once_agree(database: Database, store: Store, tmp_path: Path) -> None:
    databases = [Database(database._url, tmp_path) for _ in range(4)]
    places: list[str] = []
    threads = [
        threading.Thread(target=lambda one=one: places.append(claim(one, store)))
        for one in databases
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for one in databases:
        one.close()
    assert len(places) == 4
    assert len(set(places)) == 1
