"""The database: a SQLite file in LIMNER_HOME, or PostgreSQL by a URL.

Both are spoken to in the SQL that they share, with ? for values. SQLAlchemy and Alembic would do
this more richly; together they are 33 MB, which the base install has no room for.

Several threads use it at once, each with a connection of a small pool. SQLite has one connection
that writes, and others that only read: those are not held up by a writer. Nothing waits for ever:
one use of the database (a statement, or a transaction with all of its statements) ends after
`BUSY_S`, the wait for a connection and for locks included, unless its thread has more `patience`.

A connection that broke is made anew at the next use. Whatever goes wrong is a DatabaseError.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from limner.errors import DatabaseError, needed
from limner.storage import files
from limner.storage.db.pool import FileConnection, Pool, PoolTimeout

Row = dict[str, Any]

FILE = "limner.db"
BUSY_S = 5.0  # how long one use of the database may take, and how long a lock is waited for
N_READERS = 4  # connections to SQLite that only read
N_CONNECTIONS = 8  # to PostgreSQL, of one server
_MIGRATION_S = 3600.0
_MIGRATION_LOCK = 7_281_119  # any number, the same for all: PostgreSQL's lock for one migrator


class Database:
    """Runs statements, each alone or several in a `transaction`; safe to share by threads."""

    def __init__(self, url: str, home: Path) -> None:
        """Connect to `url`, or to the file in `home` if it is empty, and bring it up to date."""
        self.is_sqlite = not url
        self.name = str(home / FILE) if self.is_sqlite else without_password(url)
        self._url, self._path = url, home / FILE
        self._of_thread = threading.local()
        open = self._open_file if self.is_sqlite else self._open_server
        self._writers: Pool[Any] = Pool(open, 1 if self.is_sqlite else N_CONNECTIONS)
        self._readers: Pool[Any] = Pool(open, N_READERS) if self.is_sqlite else self._writers
        if self.is_sqlite:
            with files.wrap_os_errors(home):
                files.make_private_folder(home)
        try:
            with self.patience(_MIGRATION_S):
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
        with self._cursor(self._writers) as cursor:
            cursor.execute("BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN")
            try:
                if not self.is_sqlite and self._within_s > BUSY_S:
                    cursor.execute(f"SET LOCAL lock_timeout = '{self._within_s:.0f}s'")
                yield lambda statement, values=(): self._run(cursor, statement, values)
                cursor.execute("COMMIT")
            except BaseException:
                self._roll_back(cursor)
                raise

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Rows of a SELECT; on SQLite no writer holds it up."""
        with self._cursor(self._readers) as cursor:
            return self._run(cursor, statement, values)

    @contextmanager
    def patience(self, within_s: float) -> Iterator[None]:
        """Let each use of the database by this thread take so long in the block, as work on many
        rows may. A lock of SQLite is waited for `BUSY_S` all the same.
        """
        before_s = getattr(self._of_thread, "within_s", None)
        self._of_thread.within_s = within_s
        try:
            yield
        finally:
            self._of_thread.within_s = before_s

    def forget_deleted(self) -> None:
        """Leave nothing of deleted rows in the files of SQLite, as far as readers allow."""
        if self.is_sqlite:
            with self._cursor(self._writers) as cursor:
                self._run(cursor, "PRAGMA wal_checkpoint(TRUNCATE)", ())

    def close(self) -> None:
        """Disconnect; the next use connects again."""
        self._readers.close()
        self._writers.close()

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

    @property
    def _within_s(self) -> float:
        within_s: float | None = getattr(self._of_thread, "within_s", None)
        return BUSY_S if within_s is None else within_s

    @contextmanager
    def _cursor(self, pool: Pool[Any]) -> Iterator[Any]:
        """A cursor of a connection that is this thread's alone.

        It is closed before the connection goes back. SQLite holds a lock of its own for as long as
        a statement runs, and who frees a cursor waits for that lock with Python's: freed later, by
        another thread, a cursor would stop the whole process until a statement has ended.
        """
        until_s = time.monotonic() + self._within_s
        with (
            self._reported(),
            pool.lent(until_s) as connection,
            closing(connection.cursor()) as cursor,
        ):
            yield cursor

    def _open_file(self) -> FileConnection:
        connection = sqlite3.connect(
            self._path,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
            factory=FileConnection,
        )
        connection.lock_s = BUSY_S
        # Prompts are nobody else's business; SQLite gives its other files the same mode.
        self._path.chmod(0o600)
        connection.execute("PRAGMA journal_mode=WAL")
        # What was answered must outlive a power cut, so each transaction is synced.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")
        return connection

    def _open_server(self) -> Any:
        _check_psycopg()
        from limner.storage.db import postgres

        return postgres.connect(self._url, within_s=self._within_s, lock_s=BUSY_S)

    def _roll_back(self, cursor: Any) -> None:
        try:
            cursor.execute("ROLLBACK")
        except Exception:  # the transaction is gone already, and maybe the connection with it
            cursor.connection.discard()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        kinds: tuple[type[Exception], ...] = (sqlite3.Error, OSError)
        if not self.is_sqlite:
            kinds = (_check_psycopg().Error,)
        try:
            yield
        except PoolTimeout as error:
            raise self._explained("all connections to it were in use") from error
        except kinds as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            if isinstance(error, OSError) and error.strerror:
                reason = error.strerror  # without the path, which may hold any word
            raise self._explained(reason) from error

    def _explained(self, reason: str) -> DatabaseError:
        hint = None
        if "locked" in reason:
            hint = f"another program has held it for more than {BUSY_S:g} s; end that program"
        elif "lock timeout" in reason or "in use" in reason or "interrupted" in reason:
            hint = f"what was asked of it took more than {self._within_s:g} s; try again later"
        elif "full" in reason or "disk I/O" in reason or "No space" in reason:
            hint = "free some space on its disk"
        elif "unable to open" in reason or "readonly" in reason.lower().replace("-", ""):
            hint = "see who may write there, or set LIMNER_HOME to another folder"
        elif "malformed" in reason or "not a database" in reason:
            hint = (
                f"it is damaged: move {self.name} away, and those with -wal and -shm, too; then "
                "limner history recover makes a new one and keeps the pictures. Keys are made anew"
            )
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
            done = self._steps_done(run)
            if done and max(done) > max(steps):
                raise DatabaseError(
                    f"The database {self.name} is of version {max(done)}; "
                    f"this limner knows versions up to {max(steps)}",
                    hint="use the newer limner that wrote it",
                )
            for version in sorted(steps.keys() - done):
                for statement in steps[version].split(";\n"):
                    run(statement)
                run("INSERT INTO limner_version VALUES (?, ?)", [version, time.time()])

    def _steps_done(self, run: Any) -> set[int]:
        """The numbers of the steps that this database has had.

        Once steps were counted by their place: the fourth was there before the third was written,
        and stands as 3 in the databases of that time.
        """
        done = {row["version"] for row in run("SELECT version FROM limner_version")}
        if max(done, default=0) == 3 and not self._has_table(run, "recent"):
            run("UPDATE limner_version SET version = 4 WHERE version = 3")
            done = {1, 2, 4}
        return done

    def _has_table(self, run: Any, name: str) -> bool:
        if self.is_sqlite:
            return bool(run("SELECT name FROM sqlite_master WHERE name = ?", [name]))
        return bool(
            run(
                "SELECT tablename FROM pg_tables "
                "WHERE tablename = ? AND schemaname = current_schema()",
                [name],
            )
        )


def without_password(url: str) -> str:
    """A database URL as a message or a table may show it."""
    parts = urlsplit(url)
    _, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=host, query="").geturl()


def _steps() -> dict[int, str]:
    """The SQL of every migration by its number, which begins the name of its file."""
    folder = resources.files("limner.storage.db.migrations")
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return {
        int(name.partition("_")[0]): (folder / name).read_text("utf-8").strip().rstrip(";")
        for name in names
    }


def _check_psycopg() -> Any:
    with needed("PostgreSQL", "limner[pg]"):
        import psycopg
    return psycopg
