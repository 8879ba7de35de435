"""Whether a picture could be stored now: what `/ready` asks, and what is asked before each one."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from pathlib import Path

from limner.errors import LimnerError, OutputError, StoreError
from limner.storage import files
from limner.storage.blobs.store import Store
from limner.storage.db.database import Database
from limner.storage.history.maintenance import HomeGone, Maintenance

log = logging.getLogger("limner.server")

# Below this a disk counts as full: the database needs some of it to delete.
MIN_FREE_BYTES = 8_000_000
PICTURE_BYTES = 256_000  # what must fit into the store at least
KNOWN_FOR_S = 5.0


def reason(error: LimnerError) -> str:
    """What is wrong, in words for anyone: without paths and addresses."""
    if files.is_full(error) or isinstance(error, DiskFull):
        return "the disk is full"
    if isinstance(error, HomeGone):
        return "the database is gone"
    if isinstance(error, OutputError):
        return "the disk cannot be written"
    if isinstance(error, StoreError):
        return "the store of pictures cannot be used"
    return "the database cannot be written"


class DiskFull(OutputError):
    """Too little is free to store a picture."""


class Room:
    """The home, the store and the database of a server, as far as they can be written."""

    def __init__(
        self, home: Path, store: Store, database: Database, maintenance: Maintenance | None
    ) -> None:
        self._home, self._store, self._database, self._upkeep = home, store, database, maintenance
        self._asking = threading.Lock()
        self._asked_s = float("-inf")
        self._trouble: LimnerError | None = None

    def check(self) -> None:
        """Raise OutputError, StoreError or DatabaseError if a picture cannot be stored.

        Costs a few microseconds: it asks the system only what is in its memory.
        """
        if self._upkeep:
            self._upkeep.check_home()
        if self._store.is_local:
            self._store.reach()
        if self._database.is_sqlite:
            self._check_free()

    def trouble(self) -> LimnerError | None:
        """Why no picture can be stored, found by writing; asked again every `KNOWN_FOR_S`.

        Takes time: not on the loop.
        """
        with self._asking:
            if time.monotonic() - self._asked_s >= KNOWN_FOR_S:
                before, self._trouble = self._trouble, self._found()
                self._asked_s = time.monotonic()
                if self._trouble and not before:
                    log.error("no picture can be stored: %s", self._trouble.message)
            return self._trouble

    def _found(self) -> LimnerError | None:
        try:
            self.check()
            self._store.probe(PICTURE_BYTES)
            self._database.execute("UPDATE limner_version SET run_s = run_s")
        except LimnerError as error:
            return error
        return None

    def _check_free(self) -> None:
        try:
            free_bytes = shutil.disk_usage(self._home).free
        except OSError as error:
            raise OutputError(f"Cannot look at the disk of {self._home}: {error}") from error
        if free_bytes < MIN_FREE_BYTES:
            raise DiskFull(
                f"The disk of {self._home} is full: {free_bytes / 1e6:.1f} MB are free, and "
                f"{MIN_FREE_BYTES / 1e6:.0f} MB are kept free for the database",
                hint="free some space, or delete with limner history delete",
            )
