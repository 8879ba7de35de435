"""The page at /: what a browser and what a program is told there."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import httpx2
import pytest

from tests.server.helpers import Server, make_settings, running

# What Firefox and Chromium send when somebody enters an address.
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class _Page(HTMLParser):
    """The tags of a page, and where its links lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def _open(server: Server, **headers: str) -> httpx2.Response:
    response = server.http.get("/", headers=BROWSER | headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return response


def test_a_browser_gets_a_small_page(server: Server) -> None:
    response = _open(server)
    assert len(response.content) < 6000
    page = _Page(response.text)
    assert not page.tags & {"script", "img", "link", "iframe", "form"}
    assert f"{server.url}/v1<" in response.text
    assert page.links
    for link in page.links:
        assert server.http.get(link).status_code == 200, link


def test_its_policy_allows_its_style_and_nothing_else(server: Server) -> None:
    response = _open(server)
    policy = response.headers["content-security-policy"]
    [style] = re.findall(r"<style>(.*?)</style>", response.text, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_program_gets_json(server: Server) -> None:
    for headers in ({}, {"accept": "*/*"}, {"accept": "application/json"}):
        response = server.http.get("/", headers=headers)
        assert response.json()["api"] == f"{server.url}/v1"
        assert response.headers["vary"].lower().split(",")[0] == "accept"
    assert server.http.head("/").status_code == 200


def test_the_example_is_the_one_that_works(server: Server) -> None:
    text = re.sub(r"<[^>]+>", "", _open(server).text).replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.startswith("curl "))
    words = shlex.split(line)
    body = words[words.index("-d") + 1]
    kind = words[words.index("-H") + 1].removeprefix("Content-Type: ")
    response = httpx2.post(words[1], content=body, headers={"content-type": kind}, timeout=60)
    assert response.status_code == 200, response.text


def test_with_keys_it_opens_and_says_so(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, api_keys=("sk-secret",))) as server:
        page = _open(server).text
        assert "Bearer YOUR_KEY" in page
        assert "sk-secret" not in page


@pytest.mark.parametrize("host", ["pictures.localhost:8080", "127.0.0.1", "[::1]:9"])
def test_the_address_is_the_one_that_was_called(server: Server, host: str) -> None:
    assert f"http://{host}/v1" in _open(server, host=host).text


def test_behind_a_proxy_with_a_path(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, proxies=("127.0.0.1",))) as server:
        response = _open(
            server,
            **{
                "x-forwarded-host": "example.org",
                "x-forwarded-proto": "https",
                "x-forwarded-prefix": "/limner",
            },
        )
        assert "https://example.org/limner/v1<" in response.text
        assert "/limner/docs" in _Page(response.text).links
        docs = server.http.get("/docs", headers={"x-forwarded-prefix": "/limner"}).text
        assert "/limner/openapi.json" in _Page(docs).links


def test_what_a_client_claims_is_no_markup(server: Server) -> None:
    response = _open(server, host="a<script>.localhost")
    assert "<script" not in response.text
