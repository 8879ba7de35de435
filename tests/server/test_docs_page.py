"""/docs: all that the description says, in a page that needs nothing from elsewhere."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

from limner.server.openapi import docs_page
from tests.server.helpers import Server, assert_openai_error


class _Page(HTMLParser):
    """A page's tags, its text, and every address it names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.addresses: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Part of HTMLParser."""
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("href", "src", "srcset", "action", "data"):
                self.addresses.append(value or "")
            if name == "id":
                self.anchors.add(value or "")

    def handle_data(self, data: str) -> None:
        """Part of HTMLParser."""
        self.text += data


def test_page_shows_every_route_and_field(server: Server) -> None:
    description = server.http.get("/openapi.json").json()
    response = server.http.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page = _Page(response.text)
    for path, item in description["paths"].items():
        for method, route in item.items():
            assert f"{method.upper()} {path}" in page.text
            assert route["summary"] in page.text
            for body in route.get("requestBody", {}).get("content", {}).values():
                assert all(name in page.text for name in body["schema"]["properties"])


def test_page_needs_no_network(server: Server) -> None:
    response = server.http.get("/docs")
    page = _Page(response.text)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert "url(" not in response.text
    assert "@import" not in response.text
    outside = [address for address in page.addresses if not address.startswith("#")]
    assert outside == ["/openapi.json"]
    assert {address[1:] for address in page.addresses if address.startswith("#")} == page.anchors
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_pages_of_the_framework_are_gone(server: Server) -> None:
    for path in ("/redoc", "/docs/oauth2-redirect"):
        assert_openai_error(server.http.get(path), 404, "unknown_url")


def test_what_is_described_cannot_become_html() -> None:
    evil = '<script>"&'
    route = {
        "operationId": evil,
        "summary": evil,
        "parameters": [{"name": evil, "in": evil}],
        "requestBody": {
            "content": {evil: {"schema": {"properties": {evil: {"type": evil, "enum": [evil]}}}}}
        },
        "responses": {evil: {"description": evil, "content": {evil: {}}}},
    }
    info = {"title": evil, "summary": evil, "version": evil}
    page = docs_page.render({"info": info, "paths": {evil: {"post": route}}}, evil)
    assert "<script" not in page
    assert len(re.findall(re.escape(evil), unescape(page))) >= 12
