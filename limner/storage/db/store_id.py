"""Who is who among servers that share: each LIMNER_HOME and each store has a name of its own."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from limner.errors import SettingsError
from limner.storage import files
from limner.storage.blobs.store import Store
from limner.storage.db.database import Database

MARKER = "place"  # a file of the store


def server_id(home: Path) -> str:
    """The name of this LIMNER_HOME among those that share a database, made up once."""
    path = home / "server"
    if not path.exists():
        with files.wrap_os_errors(home):
            home.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another server was first
            files.write_whole(path, os.urandom(8).hex().encode(), overwrite=False)
    with files.wrap_os_errors(path):
        return path.read_text(encoding="ascii").strip()


def claim(database: Database, store: Store) -> str:
    """The name of `store`, given by `database` when it was first used.

    A store of another database is a SettingsError: its pictures would pass for leftovers here,
    and be deleted.
    """
    id = _marked(store)
    if id is None:
        fresh = secrets.token_hex(8)
        # In the database first: a marker that no database knows would keep everyone away.
        database.execute("INSERT INTO places VALUES (?, ?)", [fresh, store.name])
        with database.transaction() as run:
            run("UPDATE places SET name = name")  # servers that start at once take turns
            if _marked(store) is None:
                store.put(MARKER, fresh.encode())
        id = _marked(store)
    if not database.read("SELECT id FROM places WHERE id = ?", [id or ""]):
        raise SettingsError(
            f"The pictures in {store.name} belong to another database than {database.name}",
            hint="use that database or another LIMNER_STORE; or, to begin anew, remove "
            f"{store.where(MARKER)}: then pictures that this database does not know are deleted",
        )
    return str(id)


def _marked(store: Store) -> str | None:
    found = store.get(MARKER)
    return found.read().decode("ascii", "replace").strip() if found else None
