"""Maintenance of the history: end abandoned requests, delete what is past its retention.

Every server runs it once a minute, for all that share its database and its store. Each run records
that the server is alive. Requests of a server that recorded nothing for `SILENT_S`, as measured by
the server that checks, become "interrupted". On one machine this is known sooner: a server holds a
shared lock on LIMNER_HOME while it runs, so a server that gets the lock alone at its start knows
that no other server is running.

Only files that the database names are deleted: pictures of its rows, and names in `deletions`. A
file without a row whose name this database made is adopted after `LEFT_S` without a row: by then
its row would exist, or will be refused. In a folder of one server alone, a server that starts alone
does not wait. All other files are left alone.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.errors import DatabaseError
from limner.storage import files
from limner.storage.blobs.names import Names
from limner.storage.db import database, store_id
from limner.storage.db.clock import ClockWatch, uptime
from limner.storage.history.history import FOLDER, History
from limner.storage.history.search import HAS_STAR

log = logging.getLogger("limner.storage")

LOCK = "server.lock"
EVERY_S = 60.0  # how often `tend` should be called
SILENT_S = 300.0
LEFT_S = 3600.0  # more than it takes from a file to its row, and more than SILENT_S
_DAY_S = 86_400.0
_REMOVED_AT_ONCE = 50  # requests in one step, so that the database is never held for long


class HomeGone(DatabaseError):
    """LIMNER_HOME or the database in it was removed while it was used."""


Adopt = Callable[[list[str]], object]


@dataclass(frozen=True)
class Retention:
    """How long the history is kept; None means without limit."""

    days: int | None = None
    n_bytes: int | None = None  # of pictures


class Maintenance:
    """Runs maintenance of `history` for one of the servers that use it."""

    def __init__(
        self,
        history: History,
        home: Path,
        retention: Retention | None = None,
        *,
        names: Names | None = None,
        adopt: Adopt | None = None,
        uptime: Callable[[], float] = uptime,
    ) -> None:
        """`adopt` writes rows for history files that `names` made and that have no row."""
        self._history, self._home = history, home
        self._retention = retention or Retention()
        self._names, self._adopt, self._uptime = names, adopt, uptime
        self.clock = ClockWatch(history.database, history.clock, uptime)
        self._swept_s = float("-inf")
        self._left: set[str] = set()  # files without a row at the last sweep
        self._heard: dict[str, tuple[float, float]] = {}  # of servers: their word, and since when
        self._n_bytes = 0  # of pictures, as far as this server knows
        self._trimming = threading.Lock()
        self._lock_handle: int | None = None
        self._database_file: tuple[int, int] | None = None

    def acquire(self) -> None:
        """Register this server until the process ends, and repair what a killed one left."""
        path = self._home / LOCK
        with files.wrap_os_errors(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT, files.PRIVATE_FILE)
            self._lock_handle = handle
            os.fchmod(handle, files.PRIVATE_FILE)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("another server uses %s: what a killed one left waits", self._home)
            else:
                self._history.reserve.with_room(self._sweep_alone)
            fcntl.flock(handle, fcntl.LOCK_SH)
        self._database_file = _identity(self._home / database.FILE)
        self._history.reserve.with_room(self.run_maintenance)

    def release(self) -> None:
        """Unregister this server."""
        if self._lock_handle is not None:
            os.close(self._lock_handle)
        self._lock_handle = None

    def check_home(self) -> None:
        """Raise DatabaseError if LIMNER_HOME or its database was removed since `acquire`."""
        if self._lock_handle is None:
            return
        about = os.fstat(self._lock_handle)
        is_same = _identity(self._home / LOCK) == (about.st_dev, about.st_ino)
        if self._history.database.is_sqlite:
            is_same &= _identity(self._home / database.FILE) == self._database_file
        if not is_same:
            raise HomeGone(
                f"{self._home} was removed or replaced while the server ran; what would be "
                "written now is lost",
                hint="put it back, and restart the server",
            )

    def run_maintenance(self) -> None:
        """Record that this server is alive, and do the maintenance that is due."""
        self.check_home()
        try:
            self._history.end_late()
            self._say_alive()
            self.clock.look()
        finally:  # a full disk, which stops the above, is what this may help against
            self.trim()
            self._history.finish_deletions()
        self._history.reserve.fill()
        if self._uptime() - self._swept_s >= LEFT_S:
            self._sweep()

    def trim(self) -> int:
        """Delete requests beyond the retention's age or bytes; returns how many."""
        n_deleted = 0
        with self._trimming:
            for find in (self._too_old, self._too_much):
                while ids := find():
                    n_gone = self._history.delete(ids, keep_starred=True)
                    n_deleted += n_gone
                    if not n_gone:  # another server was quicker
                        break
        if n_deleted:
            log.info("deleted %d requests that the history keeps no longer", n_deleted)
        return n_deleted

    def stored(self, n_bytes: int) -> None:
        """Call after a picture was added; runs `trim` if the history now exceeds its bytes."""
        self._n_bytes += n_bytes
        if self._retention.n_bytes is not None and self._n_bytes > self._retention.n_bytes:
            self.trim()

    def _say_alive(self) -> None:
        own, now_s = self._history.server, self._history.clock()
        run = self._history.database.execute
        run(
            "INSERT INTO servers VALUES (?, ?) "
            "ON CONFLICT (id) DO UPDATE SET seen_s = excluded.seen_s",
            [own, now_s],
        )
        for id, seen_s in self._silent():
            run("DELETE FROM servers WHERE id = ? AND seen_s = ?", [id, seen_s])
        self._interrupt("server NOT IN (SELECT id FROM servers)")

    def _silent(self) -> list[tuple[str, float]]:
        """Servers whose heartbeat has not changed for `SILENT_S`, measured by this server."""
        up_s, heard = self._uptime(), {}
        for row in self._history.database.read("SELECT id, seen_s FROM servers"):
            before = self._heard.get(row["id"])
            is_same = before is not None and before[0] == row["seen_s"]
            heard[row["id"]] = before if before and is_same else (row["seen_s"], up_s)
        self._heard = heard
        return [
            (id, seen_s) for id, (seen_s, since_s) in heard.items() if up_s - since_s > SILENT_S
        ]

    def _sweep_alone(self) -> None:
        id = store_id.server_id(self._home)
        self._interrupt("(server = ? OR server LIKE ?)", [id, f"{id}-%"])
        if not self._history.store.is_shared:
            self._sweep(is_alone=True)

    def _interrupt(self, condition: str, values: Sequence[str] = ()) -> None:
        """End running requests; waits for one whose last row is being written."""
        stopped = self._history.database.execute(
            f"UPDATE requests SET state = 'interrupted' WHERE state = 'running' AND {condition} "
            "RETURNING id",
            values,
        )
        if stopped:
            log.info("%d requests were interrupted", len(stopped))

    def _sweep(self, *, is_alone: bool = False) -> None:
        """Adopt pictures without a row, and delete files that a killed process wrote in part.

        Of both only what this database named, and what was so at the last sweep already, unless
        nobody else can be writing. Listed before the rows are read, so none is missed.
        """
        self._swept_s = self._uptime()
        names = self._names
        if names is None:
            return
        found = [entry.file for entry in self._history.store.list(FOLDER)]
        torn = {file for file in found if names.owns_temporary(file)}
        left = set(self._history.unknown([file for file in found if names.owns(file)]))
        settled = torn | left if is_alone else (torn | left) & self._left
        self._left = torn | left
        self._history.store.delete(f"{FOLDER}/{file}" for file in torn & settled)
        if self._adopt and left & settled:
            self._adopt(sorted(left & settled))

    def _too_old(self) -> list[str]:
        """Some requests without a star that are older than the retention, oldest first."""
        if self._retention.days is None:
            return []
        rows = self._history.database.read(
            "SELECT id FROM requests WHERE created_s < ? AND place = ? AND state <> 'running' "
            f"AND NOT {HAS_STAR} ORDER BY created_s LIMIT ?",
            [
                self.clock.believed_s - self._retention.days * _DAY_S,
                self._history.store_id,
                _REMOVED_AT_ONCE,
            ],
        )
        return [row["id"] for row in rows]

    def _too_much(self) -> list[str]:
        """The oldest requests that are more than the bytes of the retention; never the latest.

        Those with a starred picture do not count.
        """
        if self._retention.n_bytes is None:
            return []
        read, store_id = self._history.database.read, self._history.store_id
        [row] = read(
            "SELECT coalesce(sum(p.n_bytes), 0) AS n_bytes FROM pictures p "
            "JOIN requests r ON r.id = p.request_id WHERE r.place = ? AND r.id NOT IN "
            "(SELECT request_id FROM pictures WHERE starred = 1)",
            [store_id],
        )
        self._n_bytes = int(row["n_bytes"])
        n_over = self._n_bytes - self._retention.n_bytes
        if n_over <= 0:
            return []
        rows = read(
            "SELECT id, state, (SELECT sum(n_bytes) FROM pictures WHERE request_id = id) "
            f"AS n_bytes FROM requests WHERE place = ? AND NOT {HAS_STAR} "
            "AND EXISTS (SELECT file FROM pictures WHERE request_id = id) "
            "ORDER BY created_s, id LIMIT ?",
            [store_id, _REMOVED_AT_ONCE + 1],
        )
        ids = []
        for row in rows[:-1]:
            if n_over > 0 and row["state"] != "running":
                n_over -= int(row["n_bytes"])
                ids.append(row["id"])
        return ids


def is_served(history: History) -> bool:
    """Whether any server of this database recorded recently that it is alive."""
    since_s = history.clock() - SILENT_S
    return bool(history.database.read("SELECT id FROM servers WHERE seen_s > ?", [since_s]))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino
