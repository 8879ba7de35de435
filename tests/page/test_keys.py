"""Keys on the page: typed once, kept as a cookie that only this page can use, and ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from limner.storage.db.keys import KeyStore
from tests.page.conftest import Opening
from tests.page.steps import draw, drawn, prompt, tiles
from tests.server.helpers import Server, make_settings, running, wait_until


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[tuple[Server, KeyStore, str]]:
    """A server with one key, and that key."""
    with running(make_settings(tmp_path)) as server:
        store = KeyStore(server.service.database)
        key = store.create("anna")
        server.service.keys.read()
        yield server, store, key


def _enter(page: Page, key: str) -> None:
    page.get_by_role("dialog", name="A key, please").get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Enter").click()


def test_key_is_typed_once_and_stored_nowhere(
    keyed: tuple[Server, KeyStore, str], opening: Opening
) -> None:
    server, _, key = keyed
    page = opening(server.url)
    expect(page.get_by_text("This server asks for a key.")).to_be_visible()
    _enter(page, "sk-limner-wrong")
    expect(page.get_by_role("alert")).to_contain_text("does not work")
    _enter(page, key)
    expect(page.get_by_role("dialog")).to_have_count(0)
    drawn(page)
    page.reload()
    expect(tiles(page)).to_have_count(1)
    width = "document.querySelector('.tile img').naturalWidth"
    wait_until(lambda: page.evaluate(width) == 320)
    [cookie] = page.context.cookies()
    assert cookie["name"].startswith("limner_session_")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert key not in str(page.context.storage_state())
    assert page.evaluate("document.cookie") == ""
    expect(page.get_by_role("link", name="Admin")).to_have_count(0)


def test_key_is_asked_for_until_it_is_entered(
    keyed: tuple[Server, KeyStore, str], opening: Opening
) -> None:
    server, _, key = keyed
    page = opening(server.url)
    window = page.locator("dialog:modal", has_text="This server asks for a key.")
    expect(window).to_be_visible()
    page.keyboard.press("Escape")
    expect(window).to_be_visible()
    page.evaluate("document.querySelector('dialog').close()")  # as the browser may do by itself
    expect(window).to_be_visible()
    _enter(page, key)
    expect(page.locator("dialog")).to_have_count(0)


def test_revoked_key_and_ended_visit_are_told_apart(
    keyed: tuple[Server, KeyStore, str], opening: Opening
) -> None:
    server, store, key = keyed
    page = opening(server.url)
    _enter(page, key)
    drawn(page)
    server.service.database.execute("DELETE FROM sessions")
    draw(page, "a pear")
    expect(page.get_by_text("Your visit has ended.")).to_be_visible()
    _enter(page, key)
    expect(prompt(page)).to_have_value("a pear")  # nothing is lost
    drawn(page, "a pear")
    store.revoke("anna")
    server.service.keys.read()
    draw(page, "a plum")
    expect(page.get_by_text("This key does not work, or no longer")).to_be_visible()


def test_visit_is_ended_at_the_server(
    keyed: tuple[Server, KeyStore, str], opening: Opening
) -> None:
    server, _, key = keyed
    page = opening(server.url)
    _enter(page, key)
    drawn(page)
    [cookie] = page.context.cookies()
    page.get_by_role("button", name="End the visit").click()
    expect(page.get_by_role("dialog", name="A key, please")).to_be_visible()
    assert page.context.cookies() == []
    stolen = {"cookie": f"{cookie['name']}={cookie['value']}"}
    assert server.http.get("/v1/models", headers=stolen).status_code == 401


def test_pages_of_other_ports_cannot_use_the_cookie(
    keyed: tuple[Server, KeyStore, str], opening: Opening, tmp_path: Path
) -> None:
    server, _, key = keyed
    with running(make_settings(tmp_path / "other")) as other:
        page = opening(server.url)
        _enter(page, key)
        drawn(page)
        foreign = page.context.new_page()  # of the same host, so the browser sends the cookie
        foreign.goto(f"{other.url}/health")
        tried = foreign.evaluate(
            """async (url) => {
              const said = [];
              for (const [method, path] of [["GET", "history"], ["POST", "generations"]]) {
                try {
                  const body = method === "POST" ? new Blob(['{"prompt":"x"}']) : undefined;
                  const options = {method, body, credentials: "include", mode: "no-cors"};
                  said.push((await fetch(`${url}/v1/images/${path}`, options)).status);
                } catch (error) { said.push(error.name); }
              }
              return said;
            }""",
            server.url,
        )
        assert 200 not in tried
        drawn(page, "a pear")  # and the page goes on
        rows = server.http.get(
            "/v1/images/history", headers={"authorization": f"Bearer {key}"}
        ).json()["data"]
        assert [row["prompt"] for row in rows] == ["a pear", "a red apple"]


def test_two_servers_on_one_host_keep_their_visits_apart(
    keyed: tuple[Server, KeyStore, str], opening: Opening, tmp_path: Path
) -> None:
    server, _, key = keyed
    with running(make_settings(tmp_path / "other", api_keys="sk-of-the-other")) as other:
        page = opening(server.url)
        _enter(page, key)
        second = page.context.new_page()  # the browser sends one host's cookies to every port
        second.goto(other.url)
        _enter(second, "sk-of-the-other")
        drawn(second)
        page.reload()
        drawn(page)
        second.get_by_role("button", name="End the visit").click()
        expect(second.get_by_role("dialog", name="A key, please")).to_be_visible()
        page.reload()
        expect(tiles(page)).to_have_count(1)
        second.context.close()  # or the server would wait for its connections
