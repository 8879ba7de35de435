"""What was drawn, for whom and when: a row a request, a row a picture, and the files of the latter.

The order of writes lets a process be killed at any moment:

- A request's row is written before it is drawn, as "running".
- A picture's file is written whole and synced, and only then its row; the row of the last picture
  also makes its request "done". The answer goes out after that. So a row never lacks its file.
- To delete, the rows go first and the files after them.

What a killed process leaves behind is therefore a "running" request that nobody draws, or a file
without a row. Both are put right by `sweep` at the next start: the request becomes "interrupted",
the file is removed. A server holds a shared lock on LIMNER_HOME while it runs, and only who finds
itself alone sweeps: another's running requests and fresh files are not touched.

Prompts are stored here and nowhere else.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import OutputError
from limner.storage import files
from limner.storage.database import Database, Row

log = logging.getLogger("limner.storage")

FOLDER = "history"
LOCK = "server.lock"
TEMPORARY = ".limner-*.part"
_SWEEP_EVERY_S = 60.0
_DAY_S = 86_400.0
_REMOVED_AT_ONCE = 50  # requests in one step, so that a sweep never holds the database for long


@dataclass(frozen=True)
class Retention:
    """How long the history is kept; None: for ever."""

    days: int | None = None
    n_bytes: int | None = None  # of pictures


@dataclass(frozen=True)
class Asked:
    """What is known of a request before it is drawn."""

    id: str
    key_name: str  # empty: drawn without a key
    kind: str  # generation, edit or variation
    model: str
    prompt: str
    n: int
    parameters: Mapping[str, Any]
    parent: str | None = None  # SHA-256 of the picture it begins with


@dataclass(frozen=True)
class Made:
    """A finished picture: its place in the request, its file, and how to draw it again."""

    number: int
    seed: int
    score: float | None
    width: int
    height: int
    format: str


class History:
    """The requests and pictures of one LIMNER_HOME, in a database that others may share."""

    def __init__(
        self,
        database: Database,
        home: Path,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises OutputError if LIMNER_HOME cannot be written."""
        self.folder = home / FOLDER
        self._home = home
        self._database = database
        self._retention = retention or Retention()
        self._clock = clock
        self._swept_s = 0.0
        self._lock_handle: int | None = None
        with files.reported(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._place = _read_place(home / "place")

    # Written by the server, in this order.

    def begin(self, asked: Asked) -> Record:
        """A row for a request that is going to be drawn."""
        self._trim_sometimes()
        now_s = self._clock()
        self._database.execute(
            "INSERT INTO requests (id, place, key_name, created_s, kind, model, prompt, parameters,"
            " state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'running')",
            [
                asked.id,
                self._place,
                asked.key_name,
                now_s,
                asked.kind,
                asked.model,
                asked.prompt,
                json.dumps(asked.parameters),
            ],
        )
        return Record(self, asked, now_s)

    def add(self, record: Record, made: Made, file: str, data: bytes, *, is_last: bool) -> None:
        """A row for a picture whose file is in place; the last one ends its request."""
        with self._database.transaction() as run:
            run(
                "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    record.asked.id,
                    made.number,
                    file,
                    hashlib.sha256(data).hexdigest(),
                    len(data),
                    made.seed,
                    made.score,
                    made.width,
                    made.height,
                    made.format,
                    record.asked.parent,
                ],
            )
            if is_last:
                run(_END, ["done", self._clock() - record.begun_s, record.asked.id])

    def end(self, record: Record, state: str) -> None:
        """End a request that did not come to its last picture."""
        seconds = self._clock() - record.begun_s
        self._database.execute(_END, [state, seconds, record.asked.id])

    # Read and deleted by people.

    def page(self, n: int, before: str | None = None, key_name: str | None = None) -> list[Row]:
        """The latest `n` requests with their pictures, or the `n` before request `before`.

        Only those of `key_name`, if one is given.
        """
        conditions, values = [], []
        if before is not None:
            # Two of the same moment are told apart by their ids, so that no page loses one.
            conditions.append("(created_s, id) < (SELECT created_s, id FROM requests WHERE id = ?)")
            values.append(before)
        if key_name is not None:
            conditions.append("key_name = ?")
            values.append(key_name)
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        requests = self._database.read(
            f"SELECT * FROM requests {where}ORDER BY created_s DESC, id DESC LIMIT ?", [*values, n]
        )
        return self._with_pictures(requests)

    def find(self, id: str) -> Row | None:
        """A request with its pictures."""
        found = self._with_pictures(
            self._database.read("SELECT * FROM requests WHERE id = ?", [id])
        )
        return found[0] if found else None

    def delete(self, ids: list[str]) -> int:
        """Delete requests, their prompts and the files of their pictures; returns how many.

        One that is being drawn is left alone.
        """
        names: list[str] = []
        n_deleted = 0
        with self._database.transaction() as run:
            for id in ids:
                pictures = run("SELECT file FROM pictures WHERE request_id = ?", [id])
                gone = run(
                    "DELETE FROM requests WHERE id = ? AND state <> 'running' RETURNING id", [id]
                )
                n_deleted += len(gone)
                names += [row["file"] for row in pictures if gone]
        for name in names:
            self._remove(self.folder / name)
        self._database.forget_deleted()
        return n_deleted

    # Kept in order.

    def hold(self) -> None:
        """Take part in LIMNER_HOME until the process ends, after a sweep if nobody else does."""
        path = self._home / LOCK
        with files.reported(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("another server uses %s: what a killed one left stays", self._home)
            else:
                self.sweep()
            fcntl.flock(handle, fcntl.LOCK_SH)
        self._lock_handle = handle

    def release(self) -> None:
        """Stop taking part."""
        if self._lock_handle is not None:
            os.close(self._lock_handle)
        self._lock_handle = None

    def sweep(self) -> None:
        """Put right what a killed process left behind; only while no server draws here."""
        stopped = self._database.execute(
            "UPDATE requests SET state = 'interrupted' "
            "WHERE state = 'running' AND place = ? RETURNING id",
            [self._place],
        )
        known = {row["file"] for row in self._database.read("SELECT file FROM pictures")}
        orphans = [path for path in self.folder.iterdir() if path.name not in known]
        for path in [*orphans, *self._home.glob(TEMPORARY)]:
            if path.is_file():
                self._remove(path)
        if stopped or orphans:
            log.info("%d requests were interrupted, %d files removed", len(stopped), len(orphans))
        self.trim()

    def trim(self) -> int:
        """Delete what is older than the retention, or more than it; returns how many requests."""
        n_deleted = 0
        while ids := self._outlived():
            n_gone = self.delete(ids)
            n_deleted += n_gone
            if not n_gone:  # all of them are being drawn
                break
        return n_deleted

    def _outlived(self) -> list[str]:
        """Some requests that the retention does not keep, oldest first."""
        if self._retention.days is not None:
            end_s = self._clock() - self._retention.days * _DAY_S
            rows = self._database.read(
                "SELECT id FROM requests WHERE created_s < ? AND place = ? AND state <> 'running' "
                "ORDER BY created_s LIMIT ?",
                [end_s, self._place, _REMOVED_AT_ONCE],
            )
            if rows:
                return [row["id"] for row in rows]
        if self._retention.n_bytes is None:
            return []
        rows = self._database.read(
            "SELECT id FROM (SELECT r.id, r.created_s, "
            "sum(p.n_bytes) OVER (ORDER BY r.created_s DESC, r.id DESC) AS up_to_here "
            "FROM requests r JOIN pictures p ON p.request_id = r.id "
            "WHERE r.place = ? AND r.state <> 'running') AS sums "
            "WHERE up_to_here > ? GROUP BY id, created_s ORDER BY created_s LIMIT ?",
            [self._place, self._retention.n_bytes, _REMOVED_AT_ONCE],
        )
        return [row["id"] for row in rows]

    def _trim_sometimes(self) -> None:
        now_s = self._clock()
        if not 0 <= now_s - self._swept_s < _SWEEP_EVERY_S:
            self._swept_s = now_s
            n_deleted = self.trim()
            if n_deleted:
                log.info("deleted %d requests that the history keeps no longer", n_deleted)

    def _with_pictures(self, requests: list[Row]) -> list[Row]:
        marks = ", ".join("?" * len(requests))
        pictures = (
            self._database.read(
                f"SELECT * FROM pictures WHERE request_id IN ({marks}) ORDER BY number",
                [request["id"] for request in requests],
            )
            if requests
            else []
        )
        for request in requests:
            request["parameters"] = json.loads(request["parameters"])
            request["pictures"] = [row for row in pictures if row["request_id"] == request["id"]]
        return requests

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot delete {path}: {error.strerror}") from error


_END = "UPDATE requests SET state = ?, seconds = ? WHERE id = ? AND state = 'running'"


class Record:
    """A request under way in the history."""

    def __init__(self, history: History, asked: Asked, begun_s: float) -> None:
        self.asked, self.begun_s = asked, begun_s
        self._history = history
        self._n_added = 0
        self._is_over = False

    def add(self, made: Made, file: str, data: bytes) -> None:
        """A picture whose file is in place; the last of n ends the request."""
        is_last = self._n_added + 1 == self.asked.n
        self._history.add(self, made, file, data, is_last=is_last)
        self._n_added += 1
        self._is_over = is_last

    def end(self, state: str) -> None:
        """ "failed" or "cancelled", unless it came to its end already."""
        if not self._is_over:
            self._is_over = True
            self._history.end(self, state)


def _read_place(path: Path) -> str:
    """The name of this LIMNER_HOME among those that share a database, made up once."""
    if not path.exists():
        with suppress(FileExistsError):  # another server was first
            files.write_whole(path, os.urandom(8).hex().encode(), overwrite=False)
    with files.reported(path):
        return path.read_text(encoding="ascii").strip()
