"""One interface to SQLite and PostgreSQL: all or nothing, up to date, and clear when it fails."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from limner.errors import DatabaseError, MissingExtra
from limner.storage.blobs.folder import Folder
from limner.storage.db import database as module
from limner.storage.db.database import Database, without_password
from limner.storage.history.history import History
from tests.support.postgres import PostgresServer

# As a server of the first two steps left it when it was killed while it drew.
OLD = Path(__file__).with_name("database_of_2.sql")
OLD_TABLES = ("requests", "pictures", "keys", "pictures_by_day")
RELEASED = ["476836d5490ed1cd", "6fa17aedb4314340"]  # SHA-256 of each step, its first 16 digits


def _drop_everything(database: Database) -> None:
    for table in (
        "responses",
        *OLD_TABLES[::-1],
        "recent",
        "idempotency_keys",
        "servers",
        "places",
        "secrets",
        "deletions",
        "clock",
        "sessions",
        "limner_version",
    ):
        database.execute(f"DROP TABLE {table}")


def _insert(database: Database, *names: str | None) -> None:
    with database.transaction() as run:
        for name in names:
            if name is None:
                raise ZeroDivisionError
            run("INSERT INTO things VALUES (?)", [name])


def test_transaction_holds_whole_or_not_at_all(database: Database) -> None:
    database.execute("CREATE TABLE things (name TEXT PRIMARY KEY)")
    with database.transaction() as run:
        run("INSERT INTO things VALUES (?)", ["one"])
        run("INSERT INTO things VALUES (?)", ["two"])
    with pytest.raises(DatabaseError):
        _insert(database, "three", "one")
    with pytest.raises(ZeroDivisionError):
        _insert(database, "three", None)
    rows = database.read("SELECT name FROM things ORDER BY name")
    assert rows == [{"name": "one"}, {"name": "two"}]


def test_migrations_run_once_and_a_newer_database_is_refused(
    database: Database, tmp_path: Path
) -> None:
    newest = max(module._steps())
    assert database.version == newest > 0
    again = Database(database._url, tmp_path)
    assert again.version == newest
    again.execute("INSERT INTO limner_version VALUES (?, ?)", [newest + 1, 0.0])
    again.close()
    with pytest.raises(DatabaseError, match=f"is of version {newest + 1}"):
        Database(database._url, tmp_path)


def test_database_of_an_older_limner_is_brought_up_to_date_and_loses_nothing(
    database: Database, tmp_path: Path
) -> None:
    _drop_everything(database)
    statements = OLD.read_text(encoding="utf-8").rstrip().rstrip(";").split(";\n")
    for statement in statements:
        database.execute(statement)
    before = {table: database.read(f"SELECT * FROM {table}") for table in OLD_TABLES}
    assert [len(rows) for rows in before.values()] == [2, 7, 1, 1]
    database.close()

    adopted = Database(database._url, tmp_path)
    assert adopted.version == max(module._steps()) > 2
    for table, rows in before.items():
        columns = ", ".join(rows[0])  # new ones are of no concern here
        assert adopted.read(f"SELECT {columns} FROM {table}") == rows
    history = History(adopted, Folder(tmp_path / "store"), tmp_path)
    newest, oldest = history.page(10)
    assert oldest["prompt"] == "an owl; it's asleep\n-- 猫头鹰"
    assert (newest["state"], newest["resume"], len(newest["pictures"])) == ("running", None, 5)
    adopted.close()


def test_steps_that_were_released_are_never_changed() -> None:
    steps = [step for _, step in sorted(module._steps().items())]
    hashes = [hashlib.sha256(step.encode()).hexdigest()[:16] for step in steps]
    assert hashes[: len(RELEASED)] == RELEASED


def test_database_whose_steps_were_counted_by_place_is_brought_up_to_date(
    database: Database, tmp_path: Path
) -> None:
    """For three hours step 4 was there and step 3 was not: it was the third, and stands as 3."""
    _drop_everything(database)
    database.execute(
        "CREATE TABLE limner_version (version BIGINT PRIMARY KEY, run_s DOUBLE PRECISION NOT NULL)"
    )
    for place, number in enumerate((1, 2, 4), start=1):
        for statement in module._steps()[number].split(";\n"):
            database.execute(statement)
        database.execute("INSERT INTO limner_version VALUES (?, 0)", [place])
    database.execute("INSERT INTO secrets VALUES ('link', 'abcd')")
    database.close()
    for _ in range(2):
        adopted = Database(database._url, tmp_path)
        assert adopted.read("SELECT name, value FROM secrets") == [
            {"name": "link", "value": "abcd"}
        ]
        assert adopted.read("SELECT client_id FROM requests") == []
        numbers = [row["version"] for row in adopted.read("SELECT version FROM limner_version")]
        assert sorted(numbers) == sorted(module._steps())
        adopted.close()


def test_migration_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "_steps", lambda: {1: "CREATE TABLE a (b TEXT);\nCREATE TABLE a (b"}
    )
    with pytest.raises(DatabaseError):
        Database("", tmp_path)
    with sqlite3.connect(tmp_path / module.FILE) as plain:
        assert plain.execute("SELECT name FROM sqlite_master").fetchall() == []
    plain.close()


def test_two_that_start_at_once_agree(database: Database, tmp_path: Path) -> None:
    _drop_everything(database)
    made: list[Database] = []
    threads = [
        threading.Thread(target=lambda: made.append(Database(database._url, tmp_path)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [one.version for one in made] == [max(module._steps())] * 4
    for one in made:
        one.close()


def test_file_is_its_owners_alone(tmp_path: Path) -> None:
    database = Database("", tmp_path)
    assert stat.S_IMODE((tmp_path / module.FILE).stat().st_mode) == 0o600
    assert database.read("PRAGMA journal_mode") == [{"journal_mode": "wal"}]
    database.close()


def test_locked_database_is_waited_for_and_then_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_S", 0.1)
    database = Database("", tmp_path)
    other = sqlite3.connect(tmp_path / module.FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseError, match="locked") as caught:
        database.execute("INSERT INTO limner_version VALUES (?, ?)", [99, 0.0])
    assert caught.value.hint
    assert database.version < 99  # who reads is not held up
    other.execute("ROLLBACK")
    other.close()
    database.execute("INSERT INTO limner_version VALUES (?, ?)", [99, 0.0])
    assert database.version == 99
    database.close()


def test_damaged_file_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / module.FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseError, match="not a database") as caught:
        Database("", tmp_path)
    assert "limner history recover" in str(caught.value.hint)


def test_disk_that_is_full_leaves_the_database_whole(tmp_path: Path) -> None:
    # A limit on the size of files is a full disk that anyone can have.
    program = f"""
import resource, signal
from pathlib import Path
from limner.errors import DatabaseError
from limner.storage.db.database import Database
database = Database("", Path({str(tmp_path)!r}))
database.execute("CREATE TABLE notes (text TEXT)")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
n = 0
try:
    while True:
        database.execute("INSERT INTO notes VALUES (?)", ["x" * 10_000])
        n += 1
except DatabaseError as error:
    assert "free some space" in error.hint, error
print(n)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    database = Database("", tmp_path)
    [row] = database.read("SELECT count(*) AS n FROM notes")
    assert row["n"] == int(done.stdout) > 0
    assert database.read("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    database.close()


def test_server_out_of_reach_is_an_error_without_its_password() -> None:
    url = "postgresql://limner:secret@127.0.0.1:9/limner?connect_timeout=1"
    with pytest.raises(DatabaseError) as caught:
        Database(url, Path("/nonexistent"))
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:9" in str(caught.value)


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra) as caught:
        Database("postgresql://localhost/limner", Path("/nonexistent"))
    assert caught.value.hint == "pip install 'limner[pg]'"


def test_password_is_not_shown() -> None:
    shown = without_password("postgresql://me:secret@db:5432/limner?password=secret")
    assert shown == "postgresql://db:5432/limner"


@pytest.mark.slow
def test_connection_that_broke_is_made_anew(postgres: str, tmp_path: Path) -> None:
    database = Database(postgres, tmp_path)
    other = Database(postgres, tmp_path)
    other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    with pytest.raises(DatabaseError):
        database.read("SELECT 1 AS one")
    assert database.read("SELECT 1 AS one") == [{"one": 1}]
    database.close()
    other.close()


def test_psycopg_is_loaded_by_nobody_who_does_not_use_it() -> None:
    assert shutil.which(sys.executable)
    program = "import limner.storage.db.database, sys; print('psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"


_ENDLESS = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) "
    "SELECT sum(i) AS total FROM n"
)


def test_statement_that_takes_too_long_is_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "BUSY_S", 0.2)
        with pytest.raises(DatabaseError, match=r"interrupted|did not answer"):
            database.read(_ENDLESS)
    assert database.read("SELECT 1 AS one") == [{"one": 1}]
    with database.patience(60):
        short = _ENDLESS.replace("1000000000", "1000000")
        assert database.read(short) == [{"total": 500000500000}]


def test_who_finds_no_connection_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = module.N_CONNECTIONS if not database.is_sqlite else 1
    goes_on, held = threading.Event(), threading.Barrier(threads + 1)

    def hold() -> None:
        with database.transaction():
            held.wait(60)
            goes_on.wait(60)

    holding = [threading.Thread(target=hold) for _ in range(threads)]
    for thread in holding:
        thread.start()
    held.wait(60)
    with monkeypatch.context() as patch:
        patch.setattr(module, "BUSY_S", 0.2)
        with pytest.raises(DatabaseError, match="in use") as caught:
            database.execute("DELETE FROM limner_version WHERE version = 0")
        assert "0.2 s" in str(caught.value.hint)
    goes_on.set()
    for thread in holding:
        thread.join(60)
    database.execute("DELETE FROM limner_version WHERE version = 0")


@pytest.mark.slow
def test_restart_of_the_server_costs_one_use(
    postgres: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    database = Database(postgres, tmp_path)
    held = threading.Barrier(4)

    def use() -> None:
        with database.transaction():
            held.wait(60)

    threads = [threading.Thread(target=use) for _ in range(4)]  # four connections
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    postgres_server.stop("fast")
    postgres_server.start()
    with pytest.raises(DatabaseError):
        database.read("SELECT 1 AS one")
    assert [database.read("SELECT 1 AS one") for _ in range(5)] == [[{"one": 1}]] * 5
    database.close()
