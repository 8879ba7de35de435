"""A database that is locked or stopped holds up only what needs it, and that not for ever."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from limner.errors import DatabaseError
from limner.service import context
from limner.service.access import auth, rate_limits
from limner.service.access.auth import Keys
from limner.service.threads import Threads
from limner.storage.db import database as database_module
from limner.storage.db.database import FILE, Database
from limner.storage.db.keys import Key, KeyStore, Limits
from tests.server.helpers import (
    HISTORY,
    JOBS,
    Server,
    assert_openai_error,
    make_settings,
    running,
    wait_until,
)
from tests.support.postgres import PostgresServer

KEY = "sk-limner-0123456789abcdef"


@contextmanager
def _stopped(server: PostgresServer) -> Iterator[None]:
    """PostgreSQL with all of its processes stopped."""
    first = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    pids = [first, *map(int, children)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _longest_health_s(server: Server, is_over: threading.Event) -> float:
    """The longest wait for /health until `is_over`."""
    longest_s = 0.0
    with httpx2.Client(base_url=server.url, timeout=60) as http:
        while not is_over.wait(0.02):
            started_s = time.monotonic()
            assert http.get("/health").status_code == 200
            longest_s = max(longest_s, time.monotonic() - started_s)
    return longest_s


def _draw_meanwhile(server: Server, n: int) -> tuple[list[httpx2.Response], float]:
    """The answers to `n` requests at once, and the longest wait for /health until then."""
    answers: list[httpx2.Response] = []
    threads = [server.begin(answers, {}) for _ in range(n)]
    is_over = threading.Event()

    def end() -> None:
        for thread in threads:
            thread.join(100)
        is_over.set()

    ending = threading.Thread(target=end)
    ending.start()
    longest_s = _longest_health_s(server, is_over)
    ending.join()
    return answers, longest_s


def test_locked_sqlite_holds_up_only_what_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_S", 3.0)
    with running(make_settings(tmp_path)) as server:
        assert server.generate().status_code == 200
        other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        answers, longest_s = _draw_meanwhile(server, 4)
        for answer in answers:
            assert_openai_error(answer, 503, "database_error")
            assert answer.headers["retry-after"] == "5"
        assert longest_s < 2.5  # it was as long as a wait for the lock
        assert server.http.get(HISTORY).status_code == 200  # who reads is not held up
        other.execute("ROLLBACK")
        other.close()
        assert server.generate().status_code == 200


@pytest.mark.slow
def test_stopped_postgres_holds_up_only_what_needs_it(
    tmp_path: Path, postgres: str, postgres_server: PostgresServer
) -> None:
    with running(make_settings(tmp_path, database=postgres)) as server:
        assert server.generate().status_code == 200
        with _stopped(postgres_server):
            answers, longest_s = _draw_meanwhile(server, 20)
            for answer in answers:
                assert_openai_error(answer, 503, "database_error")
                assert answer.headers["retry-after"] == "5"
            assert longest_s < 2.5
        wait_until(lambda: server.generate().status_code == 200)


@pytest.mark.slow
def test_row_of_a_key_that_is_held_holds_up_nobody_else(
    tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    for module in (database_module, rate_limits, context):  # longer than all that comes meanwhile
        monkeypatch.setattr(module, "BUSY_S", 60.0)
    with running(make_settings(tmp_path, database=postgres)) as server:
        store = KeyStore(server.service.database)
        phone, boss = (
            {"authorization": f"Bearer {secret}"}
            for secret in (
                store.create("phone", limits=Limits(requests_per_minute=10)),
                store.create("boss", ["draw", "admin"], Limits(requests_per_minute=10)),
            )
        )
        wait_until(lambda: server.ask(phone).status_code == 200)
        answers: list[httpx2.Response] = []
        with psycopg.connect(postgres) as other:
            other.execute("SELECT * FROM recent WHERE key_name = 'phone' FOR UPDATE")
            threads = [server.begin(answers, phone) for _ in range(20)]
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            with psycopg.connect(postgres, autocommit=True) as looking:
                wait_until(lambda: looking.execute(waiting).fetchone() == (1,))
            assert server.ask(boss).status_code == 200
            assert server.http.get(HISTORY, headers=boss).status_code == 200
            server.service.run_maintenance()
            assert answers == []  # all of that while they waited
        for thread in threads:
            thread.join(60)
        assert {answer.status_code for answer in answers} <= {200, 429, 503}
        assert 200 in {answer.status_code for answer in answers}


def test_key_of_the_settings_needs_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: KeyStore) -> list[Key]:
        raise DatabaseError("it is away")

    settings = make_settings(tmp_path, api_keys=KEY, history="off")
    with running(settings) as server:
        monkeypatch.setattr(KeyStore, "all", fail)
        monkeypatch.setattr(auth, "KNOWN_FOR_S", 0.0)
        assert server.ask({"authorization": f"Bearer {KEY}"}).status_code == 200
        assert_openai_error(server.ask({"authorization": "Bearer x"}), 503, "database_error")


class _SlowStore(KeyStore):
    """Counts how often the keys are read, which takes until the test says so."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.n_readings = 0
        self.goes_on = threading.Event()

    def all(self) -> list[Key]:
        self.n_readings += 1
        assert self.goes_on.wait(60)
        return super().all()


def test_requests_at_once_wait_for_one_reading_of_the_keys(tmp_path: Path) -> None:
    with contextlib.closing(Database("", tmp_path)) as database:
        store = _SlowStore(database)
        secret = store.create("phone")

        async def ask() -> list[str]:
            keys, threads = Keys([], store), Threads(4, 5.0)
            asking = [
                asyncio.ensure_future(keys.holder(f"Bearer {secret}", threads)) for _ in range(30)
            ]
            await asyncio.sleep(0)
            store.goes_on.set()
            return [holder.name for holder in await asyncio.gather(*asking)]

        assert asyncio.run(ask()) == ["phone"] * 30
        assert store.n_readings == 1


def test_call_waits_for_a_thread_and_then_is_refused() -> None:
    async def ask() -> None:
        threads, goes_on = Threads(1, 0.1), threading.Event()
        first = asyncio.ensure_future(threads.run(goes_on.wait, 20))
        await asyncio.sleep(0)
        with pytest.raises(DatabaseError, match="earlier requests still wait"):
            await threads.run(print)
        goes_on.set()
        assert await first
        assert await threads.run(int, "7") == 7

    asyncio.run(ask())


@pytest.mark.parametrize("id", ["%00", "req_%00", "a%00b", "%0A", "x" * 600])
def test_id_that_cannot_be_is_not_found(tmp_path: Path, database_url: str, id: str) -> None:
    with running(make_settings(tmp_path, database=database_url)) as server:
        for method, path in (
            ("GET", JOBS + id),
            ("DELETE", JOBS + id),
            ("GET", f"{HISTORY}/{id}"),
            ("DELETE", f"{HISTORY}/{id}"),
            ("GET", f"{HISTORY}?after={id}"),
        ):
            assert_openai_error(server.http.request(method, path), 404, "not_found")
