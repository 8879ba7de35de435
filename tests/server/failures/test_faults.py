"""Killed, without room to write, or cut off from its database or store: no picture is lost or torn.

What is killed, stopped and filled here is real: server processes, PostgreSQL, an S3 server, a disk.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.storage.blobs import s3
from limner.storage.blobs.opening import open_store
from limner.storage.db.database import FILE
from limner.storage.db.keys import KeyStore
from tests.server.helpers import (
    GENERATIONS,
    HISTORY,
    Server,
    assert_openai_error,
    make_settings,
    running,
    wait_until,
)
from tests.server.processes import CAT, check_whole, draw_until_it_breaks, serving
from tests.support.postgres import PostgresServer
from tests.support.s3 import S3Server


@contextmanager
def _drawn_from(url: str, answered: list[str]) -> Iterator[None]:
    """Three clients that draw until the server breaks."""
    clients = [
        threading.Thread(target=draw_until_it_breaks, args=(url, answered)) for _ in range(3)
    ]
    for client in clients:
        client.start()
    yield
    for client in clients:
        client.join(60)


def _kill_while_drawing(
    home: Path, n_rounds: int, longest_s: float, **values: Any
) -> dict[str, int]:
    answered: list[str] = []
    for _ in range(n_rounds):
        with serving(home, **values) as (process, url), _drawn_from(url, answered):
            n_before = len(answered)
            wait_until(lambda n=n_before: len(answered) > n, timeout_s=60)
            threading.Event().wait(random.uniform(0, longest_s))
            process.kill()
            process.wait(60)
    with serving(home, **values):
        return check_whole(home, answered, **values)


def test_killed_while_drawing(tmp_path: Path) -> None:
    states = _kill_while_drawing(tmp_path, 1, 0.1, engine="testcard")
    assert states["done"] > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("engine", "n_rounds", "longest_s"), [("testcard", 12, 0.3), ("transformer", 4, 1.0)]
)
def test_killed_many_times_while_drawing(
    tmp_path: Path, engine: str, n_rounds: int, longest_s: float
) -> None:
    states = _kill_while_drawing(tmp_path, n_rounds, longest_s, engine=engine)
    # Every kill met at least one of three clients that never paused.
    assert states["interrupted"] >= n_rounds // 2
    assert states["done"] >= n_rounds


@pytest.mark.slow
def test_killed_while_all_is_in_postgres_and_s3(
    tmp_path: Path, postgres: str, bucket: str, s3_server: S3Server
) -> None:
    values = {"engine": "testcard", "database": postgres} | s3_server.settings(bucket)
    states = _kill_while_drawing(tmp_path, 5, 0.3, **values)
    assert states["interrupted"] >= 2
    assert states["done"] >= 5


def test_disk_without_room_for_a_picture_refuses_and_leaves_nothing(tmp_path: Path) -> None:
    answered = []
    with (
        serving(tmp_path, max_file_bytes=300_000, engine="testcard") as (_, url),
        httpx2.Client(base_url=url, timeout=60) as http,
    ):
        body = {"prompt": "a cat", "size": "256x256", "n": 2}
        answered.append(http.post(GENERATIONS, json=body).headers["x-request-id"])
        for _ in range(40):  # until the database's log reaches the limit, if no picture does
            response = http.post(GENERATIONS, json={"prompt": "word " * 190})
            if response.status_code != 200:
                break
        assert response.status_code in (500, 503)
        code = response.json()["error"]["code"]
        assert_openai_error(response, response.status_code, code)
        assert code in ("output_error", "database_error")
        assert str(tmp_path) not in json.dumps(response.json())
        assert http.get("/health").status_code == 200
    with serving(tmp_path, engine="testcard") as (_, url):
        states = check_whole(tmp_path, answered)
        assert states["done"] >= 1
        response = httpx2.post(url + GENERATIONS, json={"prompt": "a", "size": "256x256"})
        assert response.status_code == 200


@contextmanager
def _disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "limner-test", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here; another test limits the size of files")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB."""
    with _disk(tmp_path / "disk", "400k") as folder:
        yield folder


@pytest.fixture
def home_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB, for a home."""
    with _disk(tmp_path / "disk", "24m") as folder:
        yield folder


def _fill(disk: Path) -> Path:
    """Leave no byte free on `disk`; returns the file that takes them."""
    path = disk / f"other-{len(list(disk.iterdir()))}"
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return path


def _ready(url: str) -> dict[str, Any]:
    response = httpx2.get(f"{url}/ready", timeout=60)
    body: dict[str, Any] = response.json()
    assert response.status_code == (200 if body["status"] == "ok" else 503)
    return body


@pytest.mark.slow
def test_full_disk_of_the_home_is_told_and_deletion_frees_it(home_disk: Path) -> None:
    home = home_disk / "home"
    said: list[str] = []
    with (
        serving(home, said=said, engine="testcard") as (_, url),
        httpx2.Client(base_url=url, timeout=60) as http,
    ):
        ids = [
            http.post(GENERATIONS, json=CAT | {"n": 4}).headers["x-request-id"] for _ in range(30)
        ]
        assert http.delete(f"{HISTORY}/{ids[0]}").status_code == 200  # its log is empty now
        other = _fill(home_disk)
        wait_until(lambda: _ready(url)["storage"] == "the disk is full", 30)
        response = http.post(GENERATIONS, json=CAT)
        assert response.status_code in (500, 503)
        for id in ids[1:]:
            assert http.delete(f"{HISTORY}/{id}").status_code == 200
        assert len(list((home / "history").iterdir())) <= 1
        other.unlink()
        wait_until(lambda: _ready(url)["status"] == "ok", 30)
        response = http.post(GENERATIONS, json=CAT)
        assert response.status_code == 200
        check_whole(home, [response.headers["x-request-id"]])
    assert not any("Traceback" in line for line in said)


@pytest.mark.slow
def test_server_starts_on_a_full_disk_so_that_something_can_be_deleted(home_disk: Path) -> None:
    home = home_disk / "home"
    with serving(home, engine="testcard") as (process, url):
        response = httpx2.post(url + GENERATIONS, json=CAT, timeout=60)
        process.terminate()
        process.wait(60)
    other = _fill(home_disk)
    with serving(home, engine="testcard", is_ready=False) as (_, url):
        assert _ready(url)["storage"] == "the disk is full"
        id = response.headers["x-request-id"]
        assert httpx2.delete(f"{url}{HISTORY}/{id}", timeout=60).status_code == 200
        other.unlink()
        wait_until(lambda: _ready(url)["status"] == "ok", 30)


@pytest.mark.slow
def test_home_that_becomes_read_only_is_told(home_disk: Path) -> None:
    home = home_disk / "home"
    with serving(home, engine="testcard") as (_, url):
        body = CAT | {"response_format": "url"}
        address = httpx2.post(url + GENERATIONS, json=body).json()["data"][0]["url"]
        # What is open for writing stays so; whatever is opened from now on is read-only.
        subprocess.run(["mount", "--bind", "-o", "ro", str(home), str(home)], check=True)
        wait_until(lambda: _ready(url)["status"] != "ok", 30)
        assert _ready(url)["storage"] == "the disk cannot be written"
        assert httpx2.get(address, timeout=60).status_code == 200
        assert_openai_error(httpx2.post(url + GENERATIONS, json=CAT), 500, "output_error")
    environ = os.environ | {"LIMNER_HOME": str(home)}
    command = [sys.executable, "-m", "limner", "serve", "--engine", "testcard", "--port", "0"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 8  # systemd tries again: it may be mounted anew
    assert "Read-only file system\n\nhint: see who may write there" in done.stderr
    assert "Traceback" not in done.stderr


def test_home_that_is_removed_is_noticed_before_anything_is_answered(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(make_settings(home)) as server:
        assert server.generate().status_code == 200
        shutil.rmtree(home)
        assert_openai_error(server.generate(), 503, "database_error")
        body = _ready(server.url)
        assert (body["status"], body["storage"]) == ("unavailable", "the database is gone")
        assert not home.exists()


def test_picture_without_a_row_is_adopted_at_the_start_and_seen_by_admins_alone(
    tmp_path: Path,
) -> None:
    settings = make_settings(tmp_path, label="full")
    with running(settings) as server:
        data = httpx2.get(server.generate().json()["data"][0]["url"]).content
        name = server.service.links.keep(data, "png", "req_1", 0)
        draw, admin = (
            KeyStore(server.service.database).create(scope, [scope]) for scope in ("draw", "admin")
        )
    (tmp_path / "history" / "holiday.png").write_bytes(data)
    with running(settings) as server:
        seen = [
            server.http.get(HISTORY, headers={"authorization": f"Bearer {key}"}).json()["data"]
            for key in (draw, admin)
        ]
        assert seen[0] == []
        rows = {"recovered" in row["parameters"]: row for row in seen[1]}
        assert rows[True]["prompt"] == rows[False]["prompt"] == "a cat"
        assert rows[True]["pictures"][0]["sha256"] == rows[False]["pictures"][0]["sha256"]
        assert name in rows[True]["pictures"][0]["url"]
    assert (tmp_path / "history" / "holiday.png").read_bytes() == data


def test_disk_full_of_pictures_refuses_until_some_are_deleted(
    tmp_path: Path, small_disk: Path
) -> None:
    settings = make_settings(tmp_path / "home", store=str(small_disk))
    answered: list[str] = []
    with running(settings) as server:
        for _ in range(30):
            response = server.generate(size="1024x1024", n=2)
            if response.status_code != 200:
                break
            answered.append(response.headers["x-request-id"])
        assert_openai_error(response, 500, "output_error")
        assert answered
        wait_until(lambda: server.http.get(HISTORY).json()["data"][0]["status"] == "failed")
        for id in answered[:2]:
            assert server.http.delete(f"{HISTORY}/{id}").status_code == 200
        response = server.generate(size="1024x1024")
        assert response.status_code == 200
        assert server.http.get(response.json()["data"][0]["url"]).status_code == 200
    check_whole(tmp_path / "home", answered[2:], store=str(small_disk))


@pytest.mark.slow
def test_store_that_goes_away_and_comes_back(
    tmp_path: Path, s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PATIENCE_S", 1.0)
    values = s3_server.settings(bucket)
    with running(make_settings(tmp_path, **values)) as server:
        first = server.generate()
        url, id = first.json()["data"][0]["url"], first.headers["x-request-id"]
        data = server.http.get(url).content
        links = server.service.links
        name = links.keep(os.urandom(60_000_000), "png", "req_1", 0)
        large = links.address(name)
        try:
            with server.http.stream("GET", large) as response:
                coming = response.iter_raw()
                next(coming)
                s3_server.kill()
                with pytest.raises(httpx2.HTTPError):  # not a picture that only looks whole
                    list(coming)
            _check_out_of_reach(server, url, id)
        finally:
            s3_server.start()
        # It takes new pictures before it finds its old ones again.
        wait_until(lambda: server.http.get(url).status_code == 200, 60)
        assert server.http.get(url).content == data
        links.discard(name)  # no picture, so nobody would adopt it
        second = server.generate()
        assert second.status_code == 200
        answered = [id, second.headers["x-request-id"]]
        assert check_whole(tmp_path, answered, **values)["failed"] == 3
        assert server.http.delete(f"{HISTORY}/{id}").status_code == 200
        assert_openai_error(server.http.get(url), 404, "unknown_url")


def _check_out_of_reach(server: Server, url: str, id: str) -> None:
    """Everything that needs the store is refused, may be tried again, and changes nothing."""
    for answer in (
        server.generate(),
        server.generate(response_format="b64_json"),
        server.http.get(url),
        server.http.head(url, headers={"accept": "*/*"}),
        server.http.delete(f"{HISTORY}/{id}"),
    ):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        if answer.request.method != "HEAD":
            message = assert_openai_error(answer, 503, "store_error")
            assert "127.0.0.1" not in message
    stream = server.generate(stream=True)
    assert '"code":"store_error"' in stream.text or stream.status_code == 503
    rows = server.http.get(HISTORY).json()["data"]
    assert rows[-1]["id"] == id
    assert [len(row["pictures"]) for row in rows] == [0] * (len(rows) - 1) + [1]


@pytest.mark.slow
def test_store_lost_in_mid_download_is_one_line_of_the_log(
    tmp_path: Path, s3_server: S3Server, bucket: str
) -> None:
    values: dict[str, Any] = {"engine": "testcard", "log": "json"} | s3_server.settings(bucket)
    said: list[str] = []
    with serving(tmp_path, said=said, **values) as (_, url):
        body = CAT | {"response_format": "url"}
        picture = httpx2.post(url + GENERATIONS, json=body).json()["data"][0]["url"]
        store = open_store(make_settings(tmp_path, **values))
        [entry] = store.list("history")
        store.put(f"history/{entry.file}", os.urandom(60_000_000))
        try:
            with httpx2.stream("GET", picture, timeout=60) as response:
                coming = response.iter_raw()
                next(coming)
                s3_server.kill()
                with pytest.raises(httpx2.HTTPError):  # not a picture that only looks whole
                    list(coming)
            wait_until(lambda: any('"error"' in line for line in said))
            assert httpx2.get(f"{url}/health").status_code == 200
        finally:
            s3_server.start()
    [line] = [line for line in map(json.loads, said) if line["level"] not in ("info", "warning")]
    assert line["request_id"] == response.headers["x-request-id"]
    assert "was cut off: The store" in line["message"]
    assert bucket in line["message"]
    assert "exception" not in line


@pytest.mark.slow
def test_database_that_is_restarted_while_it_is_used(
    tmp_path: Path, postgres: str, postgres_server: PostgresServer
) -> None:
    values: dict[str, Any] = {"engine": "testcard", "database": postgres}
    answered: list[str] = []
    refused: list[httpx2.Response] = []
    is_over = threading.Event()

    def draw(url: str) -> None:
        with httpx2.Client(base_url=url, timeout=60) as http:
            while not is_over.is_set():
                response = http.post(GENERATIONS, json=CAT | {"n": 2})
                if response.status_code == 200:
                    answered.append(response.headers["x-request-id"])
                else:
                    refused.append(response)
                    time.sleep(0.1)

    with serving(tmp_path, **values) as (_, url):
        clients = [threading.Thread(target=draw, args=(url,)) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            for mode in ("fast", "immediate"):
                n_before = len(answered)
                wait_until(lambda n=n_before: len(answered) > n + 3, 30)
                n_refused = len(refused)
                postgres_server.stop(mode)
                wait_until(lambda n=n_refused: len(refused) > n + 3, 30)
                n_before = len(answered)
                postgres_server.start()
                wait_until(lambda n=n_before: len(answered) > n + 3, 30)
        finally:
            is_over.set()
            for client in clients:
                client.join(60)
    for response in refused:
        assert_openai_error(response, 503, "database_error")
    with serving(tmp_path, **values):  # ends what could not be ended
        check_whole(tmp_path, answered, **values)


_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_database_that_another_program_holds(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _LOCK, str(tmp_path / FILE)]
    with running(make_settings(tmp_path)) as server:
        url = server.generate().json()["data"][0]["url"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout
            assert other.stdin
            assert other.stdout.readline() == b"locked\n"
            response = server.generate()
            assert_openai_error(response, 503, "database_error")
            assert response.headers["retry-after"] == "5"
            assert server.http.get(url).status_code == 200  # who only reads is not held up
            assert server.http.get(HISTORY).status_code == 200
            other.stdin.close()
            other.wait(60)
        answered = [server.generate().headers["x-request-id"]]
    check_whole(tmp_path, answered)
