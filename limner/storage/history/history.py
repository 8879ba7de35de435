"""The history: one row per request, one row per picture, and the picture files.

The order of writes allows a process to be killed at any moment:

- A request's row is written before it is drawn, as "running".
- A picture's file is stored whole, and only then its row; the row of the last picture also makes
  its request "done". The answer goes out after that. So a row never lacks its file.
- To delete, the rows go first, and in the same transaction the names of their files into the
  table `deletions`; the files go after that, and last the names. No other file is ever deleted.

What a killed process leaves behind is therefore a "running" request that nobody draws, a file
without a row, or a name in `deletions`. `maintenance` puts them right. It may take a request for
dead whose server only slept: such a server's pictures are refused here. A server that is told to
stop ends its requests as "interrupted" itself. Those that asked for it are resumed by the server
that finds them first (`take_interrupted`), except for the pictures that they have.

Prompts are stored here and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import DatabaseError
from limner.storage.blobs.store import HISTORY, Store
from limner.storage.db import store_id
from limner.storage.db.database import Database, Row
from limner.storage.disk_reserve import Reserve
from limner.storage.history.search import HAS_STAR, Search

FOLDER = HISTORY
UPLOAD = "upload"  # the kind of a row whose picture was sent, and not drawn
ANSWER = "answer"  # the kind of a row without pictures: a planner's answer, drawn by other rows
MAX_RESUMED = 5
_FILES_AT_ONCE = 500
ALL = Search()
INSERT_PICTURE = (
    "INSERT INTO pictures (request_id, number, file, sha256, n_bytes, seed, score, width, height, "
    "format, parent, details) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True)
class Asked:
    """A request as it is recorded before it is drawn."""

    id: str
    key_name: str  # empty: drawn without a key
    kind: str  # generation, edit, variation, UPLOAD or ANSWER
    model: str
    prompt: str
    n: int
    parameters: Mapping[str, Any]
    parent: str | None = None  # SHA-256 of the picture it begins with
    client_id: str | None = None  # what the client calls it
    resume: Mapping[str, Any] | None = None  # what else it takes to draw on after a stop


@dataclass(frozen=True)
class Made:
    """A finished picture: its index in the request, its file, and what redraws it."""

    number: int
    seed: int
    score: float | None
    width: int
    height: int
    format: str
    details: Mapping[str, Any] | None = None  # what whoever drew it said of it


class History:
    """The requests of a database and their pictures in a store. Several servers may share both."""

    def __init__(
        self,
        database: Database,
        store: Store,
        home: Path,
        clock: Callable[[], float] = time.time,
        *,
        recovering: bool = False,
    ) -> None:
        """Raises OutputError, DatabaseError or StoreError if home, database or store is unusable.

        A store that is not known to be of this database is a SettingsError, unless `recovering`.
        """
        self.database, self.store, self.clock = database, store, clock
        self._late: deque[list[Any]] = deque(maxlen=10_000)  # ends to be written
        self.store_id = store_id.claim(database, store, recovering=recovering)
        # Of this process: another one of the same home may live on when it dies.
        self.server = f"{store_id.server_id(home)}-{secrets.token_hex(4)}"
        self.reserve = Reserve(home)

    # Written by the server, in this order.

    def begin(self, asked: Asked) -> Record:
        """Write the row of a request that is about to be drawn."""
        now_s = self.clock()
        record = Record(self, asked, now_s)
        with self._ended_later("failed", record):
            self._insert(asked, now_s)
        return record

    def _insert(self, asked: Asked, now_s: float) -> None:
        self.database.execute(
            "INSERT INTO requests (id, place, server, key_name, created_s, kind, model, prompt, "
            "parameters, client_id, resume, state) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'running')",
            [
                asked.id,
                self.store_id,
                self.server,
                asked.key_name,
                now_s,
                asked.kind,
                asked.model,
                asked.prompt,
                json.dumps(asked.parameters),
                asked.client_id,
                None if asked.resume is None else json.dumps(asked.resume),
            ],
        )

    def add(self, record: Record, made: Made, file: str, data: bytes, *, is_last: bool) -> None:
        """Write the row of a picture whose file is stored; the last picture ends its request.

        Holds the row of the request first, so that `maintenance` comes wholly before or after.
        """
        with self.database.transaction() as run:
            if not run(_HOLD, [record.asked.id, self.server]):
                raise DatabaseError(f"Request {record.asked.id} was ended by somebody else")
            run(
                INSERT_PICTURE,
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
                    None if made.details is None else json.dumps(made.details),
                ],
            )
            if is_last:
                run(_END, self._ended("done", record))

    def has(self, record: Record, file: str) -> bool:
        """Whether `file` has its row; waits until that is certain.

        A connection that broke while `add` ended leaves that open: PostgreSQL may still be at it,
        and then holds the row of the request.
        """
        with self.database.transaction() as run:
            run("UPDATE requests SET server = server WHERE id = ?", [record.asked.id])
            return bool(run("SELECT file FROM pictures WHERE file = ?", [file]))

    def count_attempt(self, record: Record) -> None:
        """Count one more attempt to resume a request; `end` resets the count."""
        self.database.execute(_COUNT_ATTEMPT, [record.asked.id, self.server])

    def end(self, record: Record, state: str) -> None:
        """End a request before its last picture. If the write fails, `end_late` repeats it."""
        with self._ended_later(state, record):
            self.database.execute(_END, self._ended(state, record))

    def end_late(self) -> None:
        """Write the ends that could not be written before."""
        while self._late:
            self.database.execute(_END, self._late[0])
            self._late.popleft()

    @contextmanager
    def _ended_later(self, state: str, record: Record) -> Iterator[None]:
        try:
            yield
        except DatabaseError:
            self._late.append(self._ended(state, record))
            raise

    def _ended(self, state: str, record: Record) -> list[Any]:
        return [state, self.clock() - record.begun_s, record.asked.id, self.server]

    # Read and deleted by people.

    def page(
        self,
        n: int,
        before: str | None = None,
        key_name: str | None = None,
        search: Search = ALL,
        *,
        uploads: bool = False,
    ) -> list[Row]:
        """The latest `n` requests with their pictures, or the `n` before request `before`.

        Only those that `search` asks for, and of `key_name`, if one is given; none of kind ANSWER.
        With `uploads`, files that were sent instead.
        """
        conditions, values = search.conditions()
        conditions.append("kind = ?" if uploads else "kind NOT IN (?, ?)")
        values += [UPLOAD] if uploads else [UPLOAD, ANSWER]
        if before is not None:
            # Two of the same moment are told apart by their ids, so that no page loses one.
            conditions.append("(created_s, id) < (SELECT created_s, id FROM requests WHERE id = ?)")
            values.append(before)
        if key_name is not None:
            conditions.append("key_name = ?")
            values.append(key_name)
        where = " AND ".join(conditions)
        requests = self.database.read(
            f"SELECT * FROM requests WHERE {where} ORDER BY created_s DESC, id DESC LIMIT ?",
            [*values, n],
        )
        return self._with_pictures(requests)

    def find(self, id: str) -> Row | None:
        """A request with its pictures."""
        found = self._with_pictures(self.database.read("SELECT * FROM requests WHERE id = ?", [id]))
        return found[0] if found else None

    def find_by_client(self, key_name: str, client_id: str) -> Row | None:
        """The latest request of a key with this client id, with its pictures."""
        found = self._with_pictures(
            self.database.read(
                "SELECT * FROM requests WHERE key_name = ? AND client_id = ? "
                "ORDER BY created_s DESC LIMIT 1",
                [key_name, client_id],
            )
        )
        return found[0] if found else None

    def delete(self, ids: list[str], *, keep_starred: bool = False) -> int:
        """Delete requests, their prompts and the files of their pictures; returns how many.

        One that is being drawn is left alone, and with `keep_starred` one that has a starred
        picture. A full disk is no obstacle: it has a reserve.
        """
        self.store.reach()  # out of reach, it keeps the rows too: they are what says its files
        n_deleted = self.reserve.with_room(lambda: self._delete_rows(ids, keep_starred))
        self.finish_deletions()
        self.database.forget_deleted()
        return n_deleted

    def _delete_rows(self, ids: list[str], keep_starred: bool) -> int:
        n_deleted = 0
        kept = f" AND NOT {HAS_STAR}" if keep_starred else ""
        with self.database.transaction() as run:
            for id in ids:
                pictures = run("SELECT file FROM pictures WHERE request_id = ?", [id])
                gone = run(
                    "DELETE FROM requests WHERE id = ? AND state <> 'running'"
                    f"{kept} RETURNING place",
                    [id],
                )
                n_deleted += len(gone)
                for picture in pictures if gone else ():
                    run("INSERT INTO deletions VALUES (?, ?)", [picture["file"], gone[0]["place"]])
        return n_deleted

    def finish_deletions(self) -> None:
        """Delete the files of this store whose rows are gone."""
        while rows := self.database.read(
            "SELECT file FROM deletions WHERE place = ? LIMIT ?", [self.store_id, _FILES_AT_ONCE]
        ):
            files = [row["file"] for row in rows]
            self.store.delete(f"{FOLDER}/{file}" for file in files)
            marks = ", ".join("?" * len(files))
            self.database.execute(f"DELETE FROM deletions WHERE file IN ({marks})", files)

    def unknown(self, files: list[str]) -> list[str]:
        """The `files` that have no row and are not listed for deletion."""
        known: set[str] = set()
        for start in range(0, len(files), _FILES_AT_ONCE):
            some = files[start : start + _FILES_AT_ONCE]
            marks = ", ".join("?" * len(some))
            for table in ("pictures", "deletions"):
                rows = self.database.read(f"SELECT file FROM {table} WHERE file IN ({marks})", some)
                known |= {row["file"] for row in rows}
        return [file for file in files if file not in known]

    # Drawn on after a stop.

    def take_interrupted(self, models: Collection[str]) -> list[tuple[Row, Record]]:
        """Take the interrupted requests to resume, oldest first; they become "running" again.

        Only those of `models`. One that was being drawn when MAX_RESUMED servers died may be what
        they died of, and is left as it is.
        """
        marks = ", ".join("?" * len(models))
        taken = self.database.execute(
            "UPDATE requests SET state = 'running', server = ? "
            "WHERE state = 'interrupted' AND place = ? AND resume IS NOT NULL AND n_resumed < ? "
            f"AND model IN ({marks}) RETURNING id, created_s",
            [self.server, self.store_id, MAX_RESUMED, *models],
        )
        taken.sort(key=lambda row: row["created_s"])
        rows = [row for row in (self.find(row["id"]) for row in taken) if row]
        return [(row, self._record_of(row)) for row in rows]

    def _record_of(self, row: Row) -> Record:
        names = ("id", "key_name", "kind", "model", "prompt", "parameters", "client_id", "resume")
        asked = Asked(n=row["parameters"]["n"], **{name: row[name] for name in names})
        return Record(self, asked, row["created_s"], len(row["pictures"]))

    def _with_pictures(self, requests: list[Row]) -> list[Row]:
        marks = ", ".join("?" * len(requests))
        pictures = (
            self.database.read(
                f"SELECT * FROM pictures WHERE request_id IN ({marks}) ORDER BY number",
                [request["id"] for request in requests],
            )
            if requests
            else []
        )
        for picture in pictures:
            picture["details"] = picture["details"] and json.loads(picture["details"])
        for request in requests:
            for name in ("parameters", "resume"):
                request[name] = request[name] and json.loads(request[name])
            request["pictures"] = [row for row in pictures if row["request_id"] == request["id"]]
        return requests


_HOLD = (
    "UPDATE requests SET server = server WHERE id = ? AND state = 'running' AND server = ? "
    "RETURNING id"
)
_COUNT_ATTEMPT = (
    "UPDATE requests SET n_resumed = n_resumed + 1 "
    "WHERE id = ? AND state = 'running' AND server = ?"
)
# A server that ends a request has not died of it: n_resumed counts those that may have.
_END = (
    "UPDATE requests SET state = ?, seconds = ?, n_resumed = 0 "
    "WHERE id = ? AND state = 'running' AND server = ?"
)


class Record:
    """The history's record of a request in progress."""

    def __init__(self, history: History, asked: Asked, begun_s: float, n_added: int = 0) -> None:
        self.asked, self.begun_s = asked, begun_s
        self._history = history
        self._n_added = n_added
        self._is_over = False

    def count_attempt(self) -> None:
        """Record that resuming begins, so that a crash caused by it is counted."""
        self._history.count_attempt(self)

    def has(self, file: str) -> bool:
        """Whether `file` has its row after an `add` that failed."""
        return self._history.has(self, file)

    def add(self, made: Made, file: str, data: bytes) -> None:
        """Write the row of a stored picture; the last of n ends the request."""
        is_last = self._n_added + 1 == self.asked.n
        self._history.add(self, made, file, data, is_last=is_last)
        self._n_added += 1
        self._is_over = is_last

    def end(self, state: str) -> None:
        """End as "failed", "cancelled" or "interrupted"; does nothing after the end."""
        if not self._is_over:
            self._is_over = True
            self._history.end(self, state)
