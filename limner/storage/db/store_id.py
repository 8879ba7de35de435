"""Identities of servers and stores: each LIMNER_HOME and each store has a unique id."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from limner.errors import SettingsError
from limner.settings import Settings
from limner.storage import files
from limner.storage.blobs.opening import open_store
from limner.storage.blobs.store import HISTORY, MARKER, PASSING, Store
from limner.storage.db.database import FILE, Database

_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


def server_id(home: Path) -> str:
    """The name of this LIMNER_HOME among those that share a database, made up once.

    16 hexadecimal digits. A file that says anything else is a SettingsError.
    """
    path = home / "server"
    with files.wrap_os_errors(path):
        files.make_private_folder(home)
        if not path.exists():
            with suppress(FileExistsError):  # another server was first
                fresh = secrets.token_hex(8).encode()
                files.write_whole(path, fresh, overwrite=False)
        id = path.read_bytes().decode("ascii", "replace").strip()
        if os.stat(path).st_mode & 0o077:
            path.chmod(files.PRIVATE_FILE)
    if not _ID.fullmatch(id):
        raise SettingsError(
            f"{path} does not hold the name of this LIMNER_HOME: 16 hexadecimal digits, found "
            f"{id[:40]!r}",
            hint="remove that file: a new name is made up, and nothing else is lost",
        )
    return id


def check(settings: Settings) -> None:
    """Refuse the store that `settings` name if it is not limner's, before anything is written.

    Raises SettingsError for what `claim` would refuse, as far as this shows without opening the
    database: a file that does not exist yet knows no store. Every command that opens a history for
    the first time calls it before the database.
    """
    store = open_store(settings)
    if not settings.database and (settings.home / FILE).exists():
        return
    if _marked(store) is None:
        _check_unused(store)
    elif not settings.database:
        raise _of_another(store, str(settings.home / FILE))


def claim(database: Database, store: Store, *, recovering: bool = False) -> str:
    """The name of `store`, given by `database` when it was first used.

    A SettingsError: a store that another database has marked, one that has files and no mark, and
    one whose folders are links. With `recovering`, the first two are taken over as they are.
    """
    id = _marked(store)
    if id is None and not recovering:
        # A home from before every store was marked: only a server that got past this check, or one
        # of that time, has made the key of addresses in the database beside the pictures.
        is_old = database.is_sqlite and not store.is_shared
        if not (is_old and database.read("SELECT name FROM secrets WHERE name = 'link'")):
            _check_unused(store)
    if id is None:
        id = _mark(database, store)
    if not database.read("SELECT id FROM places WHERE id = ?", [id]):
        if not recovering:
            raise _of_another(store, database.name)
        database.execute("INSERT INTO places VALUES (?, ?)", [id, store.name])
    for folder in (HISTORY, PASSING):
        store.tighten(folder)
    return id


def _mark(database: Database, store: Store) -> str:
    fresh = secrets.token_hex(8)
    # In the database first: a marker that no database knows would keep everyone away.
    database.execute("INSERT INTO places VALUES (?, ?)", [fresh, store.name])
    with database.transaction() as run:
        run("UPDATE places SET name = name")  # servers that start at once take turns
        id = _marked(store)
        if id is None:
            store.put(MARKER, fresh.encode())
    return id or fresh


def _of_another(store: Store, database_name: str) -> SettingsError:
    return SettingsError(
        f"The pictures in {store.name} belong to another database than {database_name}",
        hint="use that database or another LIMNER_STORE; if that database is lost, "
        "limner history recover keeps the pictures and makes new rows for them",
    )


def _check_unused(store: Store) -> None:
    """Refuse a store that has files, but no mark that says whose they are."""
    used = [folder for folder in (HISTORY, PASSING) if not store.is_empty(folder)]
    if not used or _marked(store) is not None:  # another server marked it in this moment
        return
    setting = "LIMNER_STORE" if store.is_shared else "LIMNER_HOME"
    raise SettingsError(
        f"{store.where(used[0])} has files, and nothing says that limner put them there",
        hint=f"set {setting} to a folder or prefix of limner's own; if they are pictures of "
        "limner's, limner history recover takes them in; neither deletes anything",
    )


def _marked(store: Store) -> str | None:
    """What the mark says, if there is one that limner may have made."""
    found = store.get(MARKER)
    id = found.read().decode("ascii", "replace").strip() if found else ""
    return id if _ID.fullmatch(id) else None
