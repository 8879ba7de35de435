"""The database: a SQLite file in LIMNER_HOME, or PostgreSQL by a URL. One connection, one lock.

Both are spoken to in the SQL that they share, with ? for values. SQLAlchemy and Alembic would do
this more richly; together they are 33 MB, which the base install has no room for.

A connection that broke is made anew at the next use. Whatever goes wrong is a DatabaseError.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from limner.errors import DatabaseError, MissingExtra
from limner.storage import files

Row = dict[str, Any]

FILE = "limner.db"
BUSY_S = 5.0  # how long a locked database is waited for
_CONNECT_S = 10
_SILENT_MS = 20_000  # after which a PostgreSQL that takes nothing is given up
_IDLE_MS = 60_000
_MIGRATION_LOCK = 7_281_119  # any number, the same for all: PostgreSQL's lock for one migrator


class Database:
    """Runs statements, each alone or several in a `transaction`; safe to share by threads."""

    def __init__(self, url: str, home: Path) -> None:
        """Connect to `url`, or to the file in `home` if it is empty, and bring it up to date."""
        self.is_sqlite = not url
        self.name = str(home / FILE) if self.is_sqlite else without_password(url)
        self._url, self._path = url, home / FILE
        self._lock = threading.RLock()
        self._connection: Any = None
        if self.is_sqlite:
            with files.wrap_os_errors(home):
                home.mkdir(parents=True, exist_ok=True)
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run one statement in a transaction of its own; returns its rows, if it has any."""
        with self.transaction() as run:
            rows: list[Row] = run(statement, values)
            return rows

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A function to run statements with: all of them hold, or none does.

        SQLite begins at once as a writer: one that began as a reader could not wait for another.
        """
        with self._lock, self._reported():
            cursor = self._connected().cursor()
            cursor.execute("BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN")
            try:
                yield lambda statement, values=(): self._run(cursor, statement, values)
                cursor.execute("COMMIT")
            except BaseException:
                self._roll_back(cursor)
                raise

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Rows of a SELECT; on SQLite no writer of another process holds it up."""
        with self._lock, self._reported():
            return self._run(self._connected().cursor(), statement, values)

    def forget_deleted(self) -> None:
        """Leave nothing of deleted rows in the files of SQLite, as far as readers allow."""
        if self.is_sqlite:
            self.read("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Disconnect; the next use connects again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    @property
    def version(self) -> int:
        """The number of the last migration that was run; 0 before the first."""
        return int(self.read("SELECT max(version) AS version FROM limner_version")[0]["version"])

    def _run(self, cursor: Any, statement: str, values: Sequence[Any]) -> list[Row]:
        cursor.execute(statement if self.is_sqlite else statement.replace("?", "%s"), values)
        if cursor.description is None:
            return []
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _connected(self) -> Any:
        if self._connection is None or getattr(self._connection, "closed", False):
            self._connection = self._open_file() if self.is_sqlite else self._open_server()
        return self._connection

    def _open_file(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        # Prompts are nobody else's business; SQLite gives its other files the same mode.
        self._path.chmod(0o600)
        connection.execute("PRAGMA journal_mode=WAL")
        # In WAL mode this loses nothing by a crash, and at most the last moments by a power cut.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")
        return connection

    def _open_server(self) -> Any:
        connection = _psycopg().connect(
            self._url, autocommit=True, connect_timeout=_CONNECT_S, tcp_user_timeout=_SILENT_MS
        )
        # A machine that went away in the middle of a transaction must not hold its rows for ever.
        connection.execute(f"SET idle_in_transaction_session_timeout = {_IDLE_MS}")
        return connection

    def _roll_back(self, cursor: Any) -> None:
        try:
            cursor.execute("ROLLBACK")
        except Exception:  # the transaction is gone already, and maybe the connection with it
            self.close()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        kinds: tuple[type[Exception], ...] = (sqlite3.Error, OSError)
        if not self.is_sqlite:
            kinds = (_psycopg().Error,)
        try:
            yield
        except kinds as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> DatabaseError:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        hint = None
        if "locked" in reason:
            hint = f"another program has held it for more than {BUSY_S:g} s; end that program"
        elif "full" in reason or "disk I/O" in reason:
            hint = "free some space on its disk"
        elif "unable to open" in reason or "readonly" in reason:
            hint = "see who may write there, or set LIMNER_HOME to another folder"
        elif "malformed" in reason or "not a database" in reason:
            hint = f"it is damaged; move {self.name} away, and a new one is made"
        elif not self.is_sqlite:
            hint = "see that PostgreSQL runs and LIMNER_DATABASE is right"
        return DatabaseError(f"The database {self.name} cannot be used: {reason}", hint=hint)

    def _migrate(self) -> None:
        """Run the steps that are new, all or none; two servers that start at once take turns."""
        steps = _steps()
        with self.transaction() as run:
            if not self.is_sqlite:
                run("SELECT pg_advisory_xact_lock(?)", [_MIGRATION_LOCK])
            run(
                "CREATE TABLE IF NOT EXISTS limner_version "
                "(version BIGINT PRIMARY KEY, run_s DOUBLE PRECISION NOT NULL)"
            )
            [row] = run("SELECT coalesce(max(version), 0) AS version FROM limner_version")
            if row["version"] > len(steps):
                raise DatabaseError(
                    f"The database {self.name} is of version {row['version']}; "
                    f"this limner knows versions up to {len(steps)}",
                    hint="use the newer limner that wrote it",
                )
            for version, text in enumerate(steps[row["version"] :], start=row["version"] + 1):
                for statement in text.split(";\n"):
                    run(statement)
                run("INSERT INTO limner_version VALUES (?, ?)", [version, time.time()])


def without_password(url: str) -> str:
    """A database URL as a message or a table may show it."""
    parts = urlsplit(url)
    _, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=host, query="").geturl()


def _steps() -> list[str]:
    """The SQL of every migration, in order."""
    folder = resources.files("limner.storage.db.migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(folder / name).read_text(encoding="utf-8").strip().rstrip(";") for name in names]


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise MissingExtra(
            "PostgreSQL needs psycopg, which is not installed", hint="pip install 'limner[pg]'"
        ) from error
    return psycopg
