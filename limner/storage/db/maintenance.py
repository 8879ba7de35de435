"""Keeps the history in order: ends what nobody draws, deletes what outlived its time.

Every server does this once in a while, for all that share its database and its store. A server
says that it is alive at each turn; the requests of one that has been silent for `SILENT_S` are
"interrupted". On its own machine that is known sooner: a server holds a shared lock on
LIMNER_HOME while it runs, and who finds itself alone at a start knows that no other lives.

A file without a row is deleted when it is older than `LEFT_S`: by then its row would be there, or
is refused. In a folder that is nobody else's, a server that starts alone need not wait for that.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.storage import files
from limner.storage.blobs.store import outlived
from limner.storage.db import store_id
from limner.storage.db.history import FOLDER, History

log = logging.getLogger("limner.storage")

LOCK = "server.lock"
EVERY_S = 60.0  # how often `tend` should be called
SILENT_S = 300.0  # more than clocks of several machines differ
LEFT_S = 3600.0  # more than it takes from a file to its row, and more than SILENT_S
_TEMPORARY = ".limner-*.part"
_DAY_S = 86_400.0
_REMOVED_AT_ONCE = 50  # requests in one step, so that the database is never held for long
_NAMES_AT_ONCE = 500


@dataclass(frozen=True)
class Retention:
    """How long the history is kept; None: for ever."""

    days: int | None = None
    n_bytes: int | None = None  # of pictures


class Maintenance:
    """What keeps `history` in order, done by one of the servers that use it."""

    def __init__(self, history: History, home: Path, retention: Retention | None = None) -> None:
        self._history, self._home = history, home
        self._retention = retention or Retention()
        self._swept_s = float("-inf")
        self._lock_handle: int | None = None

    def acquire(self) -> None:
        """Take part until the process ends, and put right what is known to be left behind."""
        path = self._home / LOCK
        with files.wrap_os_errors(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("another server uses %s: what a killed one left waits", self._home)
            else:
                self._sweep_alone()
            fcntl.flock(handle, fcntl.LOCK_SH)
        self._lock_handle = handle
        self.run_maintenance()

    def release(self) -> None:
        """Stop taking part."""
        if self._lock_handle is not None:
            os.close(self._lock_handle)
        self._lock_handle = None

    def run_maintenance(self) -> None:
        """Say that this server lives, and do for all what is due."""
        now_s, database = self._history.clock(), self._history.database
        self._history.end_late()
        database.execute(
            "INSERT INTO servers VALUES (?, ?) "
            "ON CONFLICT (id) DO UPDATE SET seen_s = excluded.seen_s",
            [self._history.server, now_s],
        )
        database.execute("DELETE FROM servers WHERE seen_s < ?", [now_s - SILENT_S])
        self._interrupt("server NOT IN (SELECT id FROM servers)")
        self.trim()
        if not 0 <= now_s - self._swept_s < LEFT_S:
            self._swept_s = now_s
            self._remove_left(LEFT_S)

    def trim(self) -> int:
        """Delete what is older than the retention, or more than it; returns how many requests."""
        n_deleted = 0
        while ids := self._outlived():
            n_gone = self._history.delete(ids)
            n_deleted += n_gone
            if not n_gone:  # another server was quicker
                break
        if n_deleted:
            log.info("deleted %d requests that the history keeps no longer", n_deleted)
        return n_deleted

    def _sweep_alone(self) -> None:
        self._interrupt("server LIKE ?", [f"{store_id.server_id(self._home)}%"])
        for path in self._home.glob(_TEMPORARY):
            path.unlink(missing_ok=True)
        if not self._history.store.is_shared:
            self._remove_left(float("-inf"))

    def _interrupt(self, condition: str, values: Sequence[str] = ()) -> None:
        """End running requests. One whose last row is on its way is waited for."""
        stopped = self._history.database.execute(
            f"UPDATE requests SET state = 'interrupted' WHERE state = 'running' AND {condition} "
            "RETURNING id",
            values,
        )
        if stopped:
            log.info("%d requests were interrupted", len(stopped))

    def _remove_left(self, age_s: float) -> None:
        """Delete files without a row. Listed before the rows are read, so none is missed."""
        store, database = self._history.store, self._history.database
        n_removed = 0
        found = outlived(store, FOLDER, age_s, self._history.clock())
        for start in range(0, len(found), _NAMES_AT_ONCE):
            names = found[start : start + _NAMES_AT_ONCE]
            marks = ", ".join("?" * len(names))
            rows = database.read(f"SELECT file FROM pictures WHERE file IN ({marks})", names)
            left = set(names) - {row["file"] for row in rows}
            store.delete(f"{FOLDER}/{name}" for name in left)
            n_removed += len(left)
        if n_removed:
            log.info("removed %d files without a row", n_removed)

    def _outlived(self) -> list[str]:
        """Some requests that the retention does not keep, oldest first."""
        database, place = self._history.database, self._history.place
        if self._retention.days is not None:
            end_s = self._history.clock() - self._retention.days * _DAY_S
            rows = database.read(
                "SELECT id FROM requests WHERE created_s < ? AND place = ? AND state <> 'running' "
                "ORDER BY created_s LIMIT ?",
                [end_s, place, _REMOVED_AT_ONCE],
            )
            if rows:
                return [row["id"] for row in rows]
        if self._retention.n_bytes is None:
            return []
        rows = database.read(
            "SELECT id FROM (SELECT r.id, r.created_s, "
            "sum(p.n_bytes) OVER (ORDER BY r.created_s DESC, r.id DESC) AS up_to_here "
            "FROM requests r JOIN pictures p ON p.request_id = r.id "
            "WHERE r.place = ? AND r.state <> 'running') AS sums "
            "WHERE up_to_here > ? GROUP BY id, created_s ORDER BY created_s LIMIT ?",
            [place, self._retention.n_bytes, _REMOVED_AT_ONCE],
        )
        return [row["id"] for row in rows]
