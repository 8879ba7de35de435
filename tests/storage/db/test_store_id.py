"""Who shares a store and a database finds it so, and a store of another database is left alone."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from limner.errors import SettingsError
from limner.storage.blobs.folder import Folder
from limner.storage.blobs.store import MARKER, Store
from limner.storage.db.database import Database
from limner.storage.db.keys import signing_key
from limner.storage.db.store_id import claim, server_id


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
    assert "limner history recover" in str(caught.value.hint)
    assert claim(other, store, recovering=True) == place
    for either in (database, other):
        assert claim(either, store) == place
    other.close()


@pytest.mark.parametrize("name", ["history/holiday.jpg", "pictures/2019/holiday.jpg"])
def test_store_with_files_and_no_mark_is_refused_and_left_as_it_is(
    database: Database, store: Store, name: str
) -> None:
    store.put(name, b"not ours")
    for _ in range(2):
        with pytest.raises(
            SettingsError, match="nothing says that limner put them there"
        ) as caught:
            claim(database, store)
        assert "limner history recover" in str(caught.value.hint)
        assert store.get(MARKER) is None
        assert database.read("SELECT * FROM places") == []
    found = store.get(name)
    assert found
    assert found.read() == b"not ours"
    place = claim(database, store, recovering=True)
    assert claim(database, store) == place


def test_home_of_an_early_server_without_a_history_is_known(tmp_path: Path) -> None:
    """It had no mark; that it signed addresses is in the database beside its pictures."""
    database, store = Database("", tmp_path), Folder(tmp_path)
    store.put("pictures/img.png", b"picture")
    signing_key(database)
    assert claim(database, store)
    database.close()


@pytest.mark.parametrize("text", ["", "%", "0123456789abcde%"])
def test_name_of_a_home_that_would_match_others_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "server").write_text(text)
    with pytest.raises(SettingsError, match="16 hexadecimal digits") as caught:
        server_id(tmp_path)
    assert "remove that file" in str(caught.value.hint)


def test_home_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        home = tmp_path / "home"
        server_id(home)
        Database("", home).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()] == [0o600, 0o600]


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
        thread.join(60)
    for one in databases:
        one.close()
    assert len(places) == 4
    assert len(set(places)) == 1
