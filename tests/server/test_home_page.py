"""What is at /: the page for browsers, the facts for programs; tests/page tries the page itself."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.server.helpers import Server, make_settings, running

# What Firefox and Chromium send when somebody enters an address.
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def _open(server: Server, **headers: str) -> httpx2.Response:
    response = server.http.get("/", headers=BROWSER | headers)
    assert response.status_code == 200, response.text
    return response


def test_a_browser_gets_the_page_in_one_piece(server: Server) -> None:
    response = _open(server)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.text.count("<script>") == response.text.count("<style>") == 1
    assert "{{" not in response.text
    again = server.http.get("/", headers=BROWSER | {"if-none-match": response.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_it_is_sent_with_gzip_or_without(server: Server, encoding: str) -> None:
    response = _open(server, **{"accept-encoding": encoding})
    assert ("content-encoding" in response.headers) == (encoding == "gzip")
    assert "limner" in response.text


def test_a_program_gets_json(server: Server) -> None:
    for headers in ({}, {"accept": "*/*"}, {"accept": "application/json"}):
        response = server.http.get("/", headers=headers)
        assert response.json()["api"] == f"{server.url}/v1"
        assert response.headers["vary"].lower().split(",")[0] == "accept"
    assert server.http.head("/").status_code == 200


@pytest.mark.parametrize("host", ["pictures.localhost:8080", "127.0.0.1", "[::1]:9"])
def test_the_address_is_the_one_that_was_called(server: Server, host: str) -> None:
    assert server.http.get("/", headers={"host": host}).json()["api"] == f"http://{host}/v1"


def test_with_keys_it_opens_all_the_same(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, api_keys=("sk-secret",))) as server:
        assert "sk-secret" not in _open(server).text
        assert server.http.get("/v1/models").status_code == 401


def test_what_a_client_claims_is_no_markup(server: Server) -> None:
    text = _open(server, host="a<b>.localhost", **{"x-forwarded-prefix": "/<b>"}).text
    assert "<b>" not in text
