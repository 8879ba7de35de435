"""Visits by a cookie: given for a key, to the page of this server alone, and ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from limner.storage.db import sessions
from limner.storage.db.database import Database
from limner.storage.db.keys import KeyStore
from limner.storage.db.sessions import LIFETIME_S, Sessions
from tests.server.helpers import HISTORY, Server, assert_openai_error, make_settings, running


@pytest.fixture
def keyed(tmp_path: Path, database_url: str) -> Iterator[tuple[Server, KeyStore, str]]:
    """A server with one key, in each kind of database."""
    with running(make_settings(tmp_path, database=database_url)) as server:
        store = KeyStore(server.service.database)
        key = store.create("anna", ["draw", "admin"])
        server.service.keys.read()
        yield server, store, key


def _begin(server: Server, key: str, origin: str | None = None) -> httpx2.Response:
    """A visit, by a client that keeps no cookie."""
    headers = {"origin": origin or server.url}
    return httpx2.post(f"{server.url}/session", json={"key": key}, headers=headers)


def _cookie(response: httpx2.Response) -> dict[str, str]:
    assert response.status_code == 200, response.text
    return {"cookie": response.headers["set-cookie"].split(";")[0]}


def test_cookie_stands_for_the_key_and_does_not_hold_it(
    keyed: tuple[Server, KeyStore, str],
) -> None:
    server, _, key = keyed
    response = _begin(server, key)
    assert response.json() == {
        "object": "session",
        "key": "anna",
        "scopes": ["draw", "admin"],
        "needs_key": True,
    }
    said = response.headers["set-cookie"]
    assert "HttpOnly" in said
    assert "SameSite=strict" in said
    assert "Secure" not in said  # plain HTTP
    assert key not in said
    cookie = _cookie(response)
    assert cookie["cookie"].partition("=")[2] not in str(
        server.service.database.read("SELECT * FROM sessions")
    )
    assert httpx2.get(f"{server.url}/session", headers=cookie).json()["key"] == "anna"
    assert httpx2.get(server.url + HISTORY, headers=cookie).status_code == 200


def test_wrong_key_gets_none(keyed: tuple[Server, KeyStore, str]) -> None:
    server, _, _ = keyed
    for key in ("sk-limner-wrong", "", " "):
        response = _begin(server, key)
        assert response.status_code == 401
        assert "set-cookie" not in response.headers


def test_only_the_page_of_this_server_may_use_it(keyed: tuple[Server, KeyStore, str]) -> None:
    server, _, key = keyed
    cookie = _cookie(_begin(server, key))
    address = server.url + HISTORY
    for headers in (
        {"origin": "http://localhost:3000"},  # may call the API by a key, as of this machine
        {"origin": "http://127.0.0.1:1"},
        {"origin": "null"},
        {"sec-fetch-site": "same-site"},
    ):
        refused = httpx2.get(address, headers=cookie | headers)
        assert_openai_error(refused, 403, "origin_not_allowed")
        drawing = httpx2.post(
            f"{server.url}/v1/images/generations", json={"prompt": "x"}, headers=cookie | headers
        )
        assert_openai_error(drawing, 403, "origin_not_allowed")
    without = httpx2.post(
        f"{server.url}/v1/images/generations", json={"prompt": "x"}, headers=cookie
    )
    assert_openai_error(without, 403, "origin_not_allowed")
    for origin in ("http://localhost:3000", "https://evil.example"):
        assert _begin(server, key, origin).status_code == 403
    own = cookie | {"origin": server.url}
    body = {"prompt": "x", "size": "256x256"}
    drawn = httpx2.post(f"{server.url}/v1/images/generations", json=body, headers=own, timeout=60)
    assert drawn.status_code == 200


def test_a_key_in_a_header_counts_more(keyed: tuple[Server, KeyStore, str]) -> None:
    server, _, key = keyed
    cookie = _cookie(_begin(server, key))
    wrong = cookie | {"authorization": "Bearer sk-limner-wrong"}
    assert_openai_error(httpx2.get(server.url + HISTORY, headers=wrong), 401, "invalid_api_key")


def test_revoked_key_and_ended_visit(keyed: tuple[Server, KeyStore, str]) -> None:
    server, store, key = keyed
    cookie, other = _cookie(_begin(server, key)), _cookie(_begin(server, key))
    address = server.url + HISTORY
    ended = httpx2.delete(f"{server.url}/session", headers=cookie | {"origin": server.url})
    assert ended.json()["deleted"] is True
    assert "Max-Age=0" in ended.headers["set-cookie"]
    assert_openai_error(httpx2.get(address, headers=cookie), 401, "session_ended")
    assert httpx2.get(address, headers=other).status_code == 200
    store.revoke("anna")
    server.service.keys.read()
    assert_openai_error(httpx2.get(address, headers=other), 401, "invalid_api_key")


def test_https_makes_it_secure(tmp_path: Path) -> None:
    settings = make_settings(
        tmp_path, api_keys="sk-one-of-many", public_url="https://draw.example/limner"
    )
    with running(settings) as server:
        response = _begin(server, "sk-one-of-many", "https://draw.example")
        said = response.headers["set-cookie"]
        assert "Secure" in said
        assert "Path=/limner" in said


def test_cookies_of_servers_with_different_databases_have_different_names(tmp_path: Path) -> None:
    names = []
    for home in ("one", "other", "one"):
        with running(make_settings(tmp_path / home, api_keys="sk-one-of-many")) as server:
            cookie = _cookie(_begin(server, "sk-one-of-many"))
            names.append(cookie["cookie"].partition("=")[0])
    assert names[0] == names[2]
    assert names[0] != names[1]


def test_server_without_keys_needs_none(server: Server) -> None:
    assert server.http.get("/session").json()["needs_key"] is False
    response = _begin(server, "anything")
    assert response.status_code == 200
    assert "set-cookie" not in response.headers


def test_visits_end_after_their_time_and_are_forgotten(tmp_path: Path) -> None:
    database = Database("", tmp_path)
    now_s = [1_800_000_000.0]
    kept = Sessions(database, lambda: now_s[0])
    token = kept.begin("hash")
    assert kept.key_hash(token) == "hash"
    assert kept.key_hash(token + "x") is None
    now_s[0] += LIFETIME_S
    assert kept.key_hash(token) is None
    kept.begin("other")
    assert len(database.read("SELECT * FROM sessions")) == 1
    assert sessions.LIFETIME_S == 7 * 86_400
    database.close()
