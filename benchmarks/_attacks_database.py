"""A database that does not answer: the server's answers meanwhile, and its time to recover.

    python benchmarks/_attacks_database.py http://127.0.0.1:8000 --lock ~/.limner/limner.db
    python benchmarks/_attacks_database.py http://127.0.0.1:8000 --stop PID   # of PostgreSQL

Both are sections of benchmarks/attack.py; this file alone prints more. SQLite is locked by a
transaction of this program; all processes of PostgreSQL are stopped with SIGSTOP. Sixty clients
draw meanwhile. Answers that need no database are timed separately: /health, /ready, the
description of the API, and a picture by its address.
"""

import argparse
import contextlib
import http.client
import json
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from _target import Target

N_CLIENTS = 60
FROZEN_S = 45.0
RECOVERY_S = 120.0  # longer is given as infinity
_TIMEOUT_S = 100.0
_BODY = json.dumps({"prompt": "a fox", "size": "256x256", "response_format": "url"})

Row = dict[str, Any]


class Watch:
    """The answers to one kind of request: how many of each status, and the longest wait."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.longest_s = 0.0
        self.n_without_retry_after = 0  # of the answers 503
        self._lock = threading.Lock()

    def note(self, status: str, seconds: float, *, says_when: bool = True) -> None:
        """Count an answer; `says_when` is whether it has a Retry-After."""
        with self._lock:
            self.statuses[status] += 1
            self.longest_s = max(self.longest_s, seconds)
            self.n_without_retry_after += status == "503" and not says_when


def sqlite_locked(target: Target) -> None:
    """SQLite is locked for 45 s while 60 clients draw."""
    _draw_while(locked(target.home / "limner.db"), target)


def postgres_stopped(target: Target) -> None:
    """PostgreSQL is stopped for 45 s while 60 clients draw."""
    assert target.postgres_pid
    _draw_while(stopped(target.postgres_pid), target)


def _draw_while(frozen: AbstractContextManager[None], target: Target) -> None:
    stop, host = threading.Event(), urlsplit(target.url).netloc
    draw = partial(_draw_until, stop, host, {}, Watch())
    threads = [threading.Thread(target=draw) for _ in range(N_CLIENTS)]
    with frozen:
        for thread in threads:
            thread.start()
        time.sleep(FROZEN_S * target.scale)
    stop.set()
    for thread in threads:
        thread.join()


def freeze(
    url: str,
    frozen: Callable[[], AbstractContextManager[None]],
    *,
    key: str = "",
    pid: int | None = None,
    seconds: float = FROZEN_S,
) -> Row:
    """Draw with N_CLIENTS at the server at `url` while `frozen` holds its database.

    `key` is sent with requests that need one. `pid` is the server's process: with it the row says
    how many MB its memory grew. Returns the row: longest waits in seconds, statuses, and how long
    after the end of the freeze a picture was drawn again.
    """
    host = urlsplit(url).netloc
    headers = {"authorization": f"Bearer {key}"} if key else {}
    picture = _address_of_a_picture(host, headers)
    stop = threading.Event()
    free = {path: Watch() for path in ("/health", "/ready", "/openapi.json", picture)}
    drawing = Watch()
    start_mb = _memory_mb(pid)
    with _memory_peak(pid) as peak, frozen():
        threads = [
            threading.Thread(target=_ask_until, args=(stop, host, path, watch))
            for path, watch in free.items()
        ]
        for _ in range(N_CLIENTS):
            draw = partial(_draw_until, stop, host, headers, drawing)
            threads.append(threading.Thread(target=draw))
        for thread in threads:
            thread.start()
        time.sleep(seconds)
    stop.set()
    recovery_s = _recovery_s(host, headers)
    for thread in threads:
        thread.join()
    row: Row = {
        "health_longest_s": round(free["/health"].longest_s, 2),
        "without_database_longest_s": round(max(watch.longest_s for watch in free.values()), 2),
        "without_database": dict(sum((watch.statuses for watch in free.values()), Counter())),
        "drawing_longest_s": round(drawing.longest_s, 2),
        "drawing": dict(drawing.statuses),
        "503_without_retry_after": drawing.n_without_retry_after,
        "recovery_s": round(recovery_s, 2),
    }
    if pid is not None:
        row |= {"memory_before_mb": start_mb, "memory_peak_mb": peak()}
    return row


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that writers of the SQLite file at `path` need."""
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop process `pid` and its children; those that begin meanwhile, too, as they are forks."""
    held: list[int] = []
    try:
        for process in (pid, *_children(pid)):
            os.kill(process, signal.SIGSTOP)
            held.append(process)
        yield
    finally:
        for process in reversed(held):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _ask(
    host: str, method: str, path: str, headers: dict[str, str], body: str | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(host, timeout=_TIMEOUT_S)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()


def _draw(host: str, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
    headers = headers | {"content-type": "application/json"}
    return _ask(host, "POST", "/v1/images/generations", headers, _BODY)


def _address_of_a_picture(host: str, headers: dict[str, str]) -> str:
    answer, body = _draw(host, headers)
    if answer.status != 200:
        raise SystemExit(f"the server does not draw: {body.decode()}")
    address = urlsplit(json.loads(body)["data"][0]["url"])
    return f"{address.path}?{address.query}"


def _timed(watch: Watch, ask: Callable[[], tuple[http.client.HTTPResponse, bytes]]) -> None:
    started_s = time.monotonic()
    try:
        answer, _ = ask()
    except OSError as error:
        watch.note(type(error).__name__, time.monotonic() - started_s)
        return
    says_when = answer.headers["retry-after"] is not None
    watch.note(str(answer.status), time.monotonic() - started_s, says_when=says_when)


def _ask_until(stop: threading.Event, host: str, path: str, watch: Watch) -> None:
    while not stop.is_set():
        _timed(watch, lambda: _ask(host, "GET", path, {}))
        stop.wait(0.1)


def _draw_until(stop: threading.Event, host: str, headers: dict[str, str], watch: Watch) -> None:
    while not stop.is_set():
        _timed(watch, lambda: _draw(host, headers))
        stop.wait(0.5)


def _recovery_s(host: str, headers: dict[str, str]) -> float:
    """How long until a picture is drawn, from now."""
    started_s = time.monotonic()
    while time.monotonic() - started_s < RECOVERY_S:
        with contextlib.suppress(OSError):
            if _draw(host, headers)[0].status == 200:
                return time.monotonic() - started_s
        time.sleep(0.1)
    return float("inf")


def _memory_mb(pid: int | None) -> int:
    """Memory of process `pid` that is in use now; 0 for none."""
    if pid is None:
        return 0
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1000 for line in lines if line.startswith("VmRSS"))


@contextmanager
def _memory_peak(pid: int | None) -> Iterator[Callable[[], int]]:
    """Look at the memory of `pid` ten times a second; gives what tells the most that was seen."""
    seen, over = [_memory_mb(pid)], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            seen.append(_memory_mb(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: max(seen)
    finally:
        over.set()
        thread.join()


ATTACKS = {"database": (sqlite_locked, postgres_stopped)}


def main() -> None:
    """Freeze what the command line names, and print the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="address of the server, without /v1")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--lock", type=Path, metavar="FILE", help="SQLite file to lock")
    what.add_argument("--stop", type=int, metavar="PID", help="PostgreSQL's first process")
    parser.add_argument("--seconds", type=float, default=FROZEN_S)
    parser.add_argument("--key", default="", help="key of the server, if it wants one")
    parser.add_argument("--pid", type=int, help="the server's process, to see its memory")
    arguments = parser.parse_args()
    frozen = partial(locked, arguments.lock) if arguments.lock else partial(stopped, arguments.stop)
    row = freeze(
        arguments.url, frozen, key=arguments.key, pid=arguments.pid, seconds=arguments.seconds
    )
    print(json.dumps(row, indent=2))


if __name__ == "__main__":
    main()
