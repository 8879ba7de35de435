"""Which web pages may use the server, and by which names it answers while it has no keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from limner.storage.db.database import Database
from limner.storage.db.keys import KeyStore
from tests.server.helpers import (
    BODY,
    EDITS,
    GENERATIONS,
    HISTORY,
    JOBS,
    Server,
    assert_openai_error,
    make_settings,
    picture_file,
    running,
)
from tests.server.raw import connect, read_to_the_end, send

EVIL = "http://evil.example"
_GUARDED: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", GENERATIONS, {"json": BODY}),
    ("POST", GENERATIONS, {"content": b'{"prompt": "a cat"}'}),
    (
        "POST",
        GENERATIONS,
        {"content": b'{"prompt":"a"}', "headers": {"content-type": "text/plain"}},
    ),
    ("POST", "/images/generations/", {"json": BODY}),
    ("POST", EDITS, {"files": {"image": picture_file()}, "data": {"prompt": "a hat"}}),
    ("GET", HISTORY, {}),
    ("DELETE", HISTORY + "/req_1", {}),
    ("GET", JOBS + "req_1", {}),
    ("DELETE", JOBS + "req_1", {}),
    ("POST", "/v1/moderations", {"json": {"input": "x"}}),
    ("GET", "/metrics", {}),
]


def _refused(server: Server, method: str, path: str, options: dict[str, Any], **more: str) -> bool:
    headers = options.get("headers", {}) | {name.replace("_", "-"): v for name, v in more.items()}
    response = server.http.request(method, path, **(options | {"headers": headers}))
    if response.status_code != 403:
        return False
    assert "LIMNER_ORIGINS_ALLOWED" in assert_openai_error(response, 403, "origin_not_allowed")
    return True


@pytest.mark.parametrize(("method", "path", "options"), _GUARDED)
def test_foreign_pages_are_refused_and_local_ones_are_not(
    server: Server, method: str, path: str, options: dict[str, Any]
) -> None:
    for origin in (EVIL, "null", "https://localhost.evil.example", "http://127.0.0.1.evil.example"):
        assert _refused(server, method, path, options, origin=origin), origin
    assert _refused(server, method, path, options, sec_fetch_site="cross-site")
    own = server.url.lower()
    for origin in ("http://localhost:3000", "https://127.0.0.1", "http://[::1]:80", own):
        headers = {"origin": origin, "sec_fetch_site": "cross-site"}
        assert not _refused(server, method, path, options, **headers), origin
    for site in ("none", "same-origin", "same-site"):
        assert not _refused(server, method, path, options, sec_fetch_site=site)
    assert not _refused(server, method, path, options)


def test_what_a_foreign_page_asks_leaves_nothing(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        assert _refused(server, "POST", GENERATIONS, {"json": BODY}, origin=EVIL)
        assert server.http.get(HISTORY).json()["data"] == []
        assert "origin_not_allowed" in server.http.get("/metrics").text


def test_any_page_may_embed_pictures_and_link_to_pages(server: Server) -> None:
    address = server.generate(response_format="url").json()["data"][0]["url"]
    for path in (address, "/", "/docs", "/openapi.json", "/health", "/ready"):
        for headers in ({"origin": EVIL}, {"sec-fetch-site": "cross-site"}):
            assert server.http.get(path, headers=headers).status_code == 200
    assert server.http.head(address, headers={"origin": EVIL}).status_code == 200


def test_named_pages_may(tmp_path: Path) -> None:
    pages = "https://Example.org/, app://notes, null"
    public = "https://pictures.example.net:8443/limner"
    settings = make_settings(tmp_path, origins_allowed=pages, public_url=public)
    with running(settings) as server:
        for origin, allowed in (
            ("https://example.org", True),
            ("app://notes", True),
            ("null", True),
            ("https://pictures.example.net:8443", True),
            ("http://example.org", False),
            ("https://example.org:8000", False),
            ("https://pictures.example.net", False),
        ):
            refused = _refused(server, "POST", GENERATIONS, {"json": BODY}, origin=origin)
            assert refused != allowed, origin


def test_star_lets_all_pages_in(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, origins_allowed="*")) as server:
        response = server.http.get(HISTORY, headers={"origin": EVIL})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without keys and with names."""
    settings = make_settings(
        tmp_path_factory.mktemp("named"),
        hosts_allowed="limner, Host.Docker.internal",
        public_url="https://pictures.example.net:8443",
    )
    with running(settings) as server:
        yield server


@pytest.mark.parametrize("path", [HISTORY, "/v1/models", "/health", "/docs", "/nowhere"])
def test_foreign_names_are_refused(server: Server, path: str) -> None:
    """By a name that its owner points at 127.0.0.1, a page of his counts as the server's own."""
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "1.2.3.4.example"):
        response = server.http.get(path, headers={"host": host, "origin": f"http://{host}"})
        message = assert_openai_error(response, 403, "host_not_allowed")
        assert "LIMNER_HOSTS_ALLOWED" in message
        assert host in message


def test_of_two_names_both_must_be_ours(server: Server) -> None:
    with connect(server.url) as connection:
        head = f"GET {HISTORY} HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n"
        send(connection, head.encode() + b"Connection: close\r\n\r\n")
        answer = read_to_the_end(connection)
    assert (answer.status, answer.error["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST.:8000", "limner.localhost", "127.0.0.1:1", "192.168.1.9:8000"),
        *("[::1]:8000", "[fe80::1]", "172.17.0.1"),
    ],
)
def test_names_of_this_machine_and_addresses_are_answered(server: Server, host: str) -> None:
    assert server.http.get(HISTORY, headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("limner:8000", 200),
        ("host.docker.internal", 200),
        ("pictures.example.net", 200),
        ("pictures.example.net:8443", 200),
        ("example.net", 403),
    ],
)
def test_names_in_the_settings_are_answered(named: Server, host: str, status: int) -> None:
    assert named.http.get(HISTORY, headers={"host": host}).status_code == status


def test_a_server_with_keys_answers_to_any_name(tmp_path: Path) -> None:
    """What a page of others lacks is the key; so it is with keys of `limner keys`, too."""
    settings = make_settings(tmp_path)
    with closing(Database(settings.database, settings.home)) as database:
        key = KeyStore(database).create("phone")
    with running(settings) as server:
        headers = {"host": "evil.example"}
        assert server.http.get(HISTORY, headers=headers).status_code == 401
        headers["authorization"] = f"Bearer {key}"
        assert server.http.get(HISTORY, headers=headers).status_code == 200
