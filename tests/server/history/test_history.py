"""What the API keeps of each request, shows and deletes."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limner.engines.base import Picture
from limner.storage.db import database as database_module
from limner.storage.db.keys import KeyStore, setting_name
from tests.server.helpers import (
    EDITS,
    HISTORY,
    VARIATIONS,
    GatedEngine,
    Server,
    assert_openai_error,
    make_settings,
    picture_file,
    running,
    wait_until,
)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server with a history of its own."""
    with running(make_settings(tmp_path)) as server:
        yield server


def _latest(server: Server) -> dict[str, Any]:
    row: dict[str, Any] = server.http.get(HISTORY, params={"limit": 1}).json()["data"][0]
    return row


@pytest.mark.parametrize("body", [{}, {"response_format": "b64_json"}, {"stream": True}])
def test_request_is_in_the_history_once_it_is_answered(own: Server, body: dict[str, Any]) -> None:
    response = own.generate(n=2, seed=7, quality="low", **body)
    row = _latest(own)
    assert row["id"] == response.headers["x-request-id"]
    assert (row["status"], row["prompt"], row["model"]) == ("done", "a cat", "testcard")
    assert row["parameters"] == {
        "n": 2,
        "size": "256x256",
        "quality": "low",
        "background": "auto",
        "seed": 7,
        "best_of": None,
        "retry_below": None,
        "mark": False,
        "refine": False,
        "output_format": "png",
    }
    assert [picture["index"] for picture in row["pictures"]] == [0, 1]
    for picture in row["pictures"]:
        data = own.http.get(picture["url"]).content
        assert hashlib.sha256(data).hexdigest() == picture["sha256"]
        assert (len(data), picture["size"]) == (picture["bytes"], "256x256")
    assert own.http.get(f"{HISTORY}/{row['id']}").json()["prompt"] == "a cat"


def test_edit_and_variation_name_the_picture_they_began_with(own: Server) -> None:
    data = picture_file(256)
    files = {"image": ("a.png", data, "image/png")}
    form = {"size": "256x256", "model": "dall-e-2"}
    own.http.post(EDITS, data=form | {"prompt": "a hat"}, files=files).raise_for_status()
    own.http.post(VARIATIONS, data=form, files=files).raise_for_status()
    variation, edit = own.http.get(HISTORY).json()["data"]
    assert (edit["kind"], edit["prompt"]) == ("edit", "a hat")
    assert (variation["kind"], variation["prompt"]) == ("variation", "")
    for row in (edit, variation):
        assert row["pictures"][0]["parent"] == hashlib.sha256(data).hexdigest()


def test_pages(own: Server) -> None:
    ids = [own.generate().headers["x-request-id"] for _ in range(3)]
    first = own.http.get(HISTORY, params={"limit": 2}).json()
    assert [row["id"] for row in first["data"]] == ids[:0:-1]
    assert (first["has_more"], first["last_id"]) == (True, ids[1])
    second = own.http.get(HISTORY, params={"limit": 2, "after": ids[1]}).json()
    assert ([row["id"] for row in second["data"]], second["has_more"]) == ([ids[0]], False)
    for limit in ("0", "101", "x", "-1", "²"):
        response = own.http.get(HISTORY, params={"limit": limit})
        assert_openai_error(response, 400, "invalid_value", "limit")
    assert_openai_error(own.http.get(HISTORY, params={"after": "req_no"}), 404, "not_found")


def test_deletion_takes_the_picture_too(own: Server) -> None:
    url = own.generate().json()["data"][0]["url"]
    row = _latest(own)
    deleted = own.http.delete(f"{HISTORY}/{row['id']}").json()
    assert deleted == {"id": row["id"], "object": "image.request.deleted", "deleted": True}
    assert_openai_error(own.http.get(url), 404, "unknown_url")
    assert own.stored == []
    assert_openai_error(own.http.delete(f"{HISTORY}/{row['id']}"), 404, "not_found")


def test_refused_request_leaves_nothing(own: Server) -> None:
    own.generate(n=11)
    assert own.http.get(HISTORY).json()["data"] == []


def test_history_can_be_turned_off(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, history="off")) as server:
        url = server.generate().json()["data"][0]["url"]
        assert server.http.get(url).status_code == 200
        assert_openai_error(server.http.get(HISTORY), 404, "no_history")
    database = database_module.Database("", tmp_path)
    assert database.read("SELECT * FROM requests") == []
    database.close()


def test_each_key_sees_its_own(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, api_keys="sk-one, sk-two")) as server:
        one, two = ({"authorization": f"Bearer sk-{name}"} for name in ("one", "two"))
        body = {"prompt": "a cat", "size": "256x256"}
        server.http.post("/v1/images/generations", json=body, headers=one)
        [row] = server.http.get(HISTORY, headers=one).json()["data"]
        assert row["key"] == setting_name("sk-one")
        assert server.http.get(HISTORY, headers=two).json()["data"] == []
        for method in ("GET", "DELETE"):
            response = server.http.request(method, f"{HISTORY}/{row['id']}", headers=two)
            assert_openai_error(response, 404, "not_found")
        assert_openai_error(server.http.get(HISTORY), 401, None)


def test_key_keeps_its_requests_when_the_first_is_removed(tmp_path: Path) -> None:
    one, two = ({"authorization": f"Bearer sk-{name}"} for name in ("one", "two"))
    ids = {}
    with running(make_settings(tmp_path, api_keys="sk-one, sk-two")) as server:
        for name, headers in (("one", one), ("two", two)):
            ids[name] = server.ask(headers).headers["x-request-id"]
    with running(make_settings(tmp_path, api_keys="sk-two")) as server:
        rows = server.http.get(HISTORY, headers=two).json()["data"]
        assert [row["id"] for row in rows] == [ids["two"]]


def test_requests_of_a_key_named_by_its_place_are_seen_by_admin_alone_until_moved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"authorization": "Bearer sk-one"}
    settings = make_settings(tmp_path, api_keys="sk-one")
    with running(settings) as server:
        id = server.ask(headers).headers["x-request-id"]
        server.service.database.execute("UPDATE requests SET key_name = 'key-1'")  # as it was
    with (
        running(settings) as server,
        contextlib.closing(database_module.Database("", tmp_path)) as database,
    ):
        assert "limner keys move key-1 NAME" in caplog.text
        store = KeyStore(database)
        admin = {"authorization": f"Bearer {store.create('boss', ['admin'])}"}
        server.service.keys.read()
        assert server.http.get(HISTORY, headers=headers).json()["data"] == []
        assert server.http.get(f"{HISTORY}/{id}", headers=headers).status_code == 404
        assert server.http.get(f"{HISTORY}/{id}", headers=admin).json()["key"] == "key-1"
        store.move("key-1", setting_name("sk-one"))
        assert server.http.get(f"{HISTORY}/{id}", headers=headers).status_code == 200


def test_failure_and_leaving_are_told_apart(gated: Server, engine: GatedEngine) -> None:
    engine.fail_at = Picture
    engine.let_all_go()
    gated.generate()
    wait_until(lambda: _latest(gated)["status"] == "failed")
    gated.generate(stream=True, partial_images=1)
    wait_until(lambda: _latest(gated)["status"] == "failed")


def test_who_leaves_is_cancelled_and_a_running_one_stays(
    gated: Server, engine: GatedEngine
) -> None:
    body = {"prompt": "a cat", "size": "256x256", "stream": True, "partial_images": 1}
    engine.gate.release(2)
    with gated.http.stream("POST", "/v1/images/generations", json=body) as response:
        id = response.headers["x-request-id"]
        assert _latest(gated)["status"] == "running"
        assert_openai_error(gated.http.delete(f"{HISTORY}/{id}"), 400, "request_running")
    wait_until(lambda: _latest(gated)["status"] == "cancelled")


def test_locked_database_is_503_and_nothing_is_torn(
    own: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.generate()
    monkeypatch.setattr(database_module, "BUSY_S", 0.5)
    other = sqlite3.connect(tmp_path / database_module.FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    response = own.generate()
    message = assert_openai_error(response, 503, "database_error")
    assert str(tmp_path) not in message
    assert response.headers["retry-after"] == "5"
    other.execute("ROLLBACK")
    other.close()
    assert own.generate().status_code == 200
    rows = own.http.get(HISTORY).json()["data"]
    assert [row["status"] for row in rows] == ["done", "done"]
    assert len(own.stored) == 2


def test_picture_whose_row_cannot_be_written_is_not_left(
    own: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limner.errors import DatabaseError
    from limner.storage.history.history import History

    def fail(*_: Any, **__: Any) -> None:
        raise DatabaseError("it is full")

    monkeypatch.setattr(History, "add", fail)
    assert_openai_error(own.generate(), 503, "database_error")
    assert own.stored == []
    wait_until(lambda: _latest(own)["status"] == "failed")


def test_history_keeps_to_its_bytes_with_every_picture(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, history_mb=1)) as server:
        for _ in range(12):
            body = server.generate(size="1024x1024", n=4, response_format="url").json()
            url = body["data"][3]["url"]
            assert server.http.get(url).status_code == 200
            assert sum(path.stat().st_size for path in server.stored) <= 1_000_000
        assert 1 < len(server.http.get(HISTORY).json()["data"]) < 12
