"""A browser for the tests of the page, and what they share: real servers, real clicks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.conftest import engine
from tests.server.helpers import HISTORY, GatedEngine, Server, make_settings, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["engine"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDE = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}

Opening = Callable[..., "Page"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them need a browser, which takes seconds to start."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(300))
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="there is no chromium"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, for one file: while Playwright is open, no other asyncio loop can run."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # the machine may be busy
    with sync_playwright() as playwright:
        # As root, as in CI, Chromium has no sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opening(browser: Browser) -> Iterator[Opening]:
    """Opens a page in a visit of its own; whatever its scripts complain of fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(address: str, *, is_watched: bool = True, **options: Any) -> Page:
        values: dict[str, Any] = {"viewport": WIDE, "locale": "en-GB", "reduced_motion": "reduce"}
        context = browser.new_context(**(values | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        if is_watched:
            watch(page, complaints)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def watch(page: Page, complaints: list[str]) -> None:
    """Collect errors of the scripts and breaches of the policy; a refused call is no such thing."""
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def said(message: Any) -> None:
        is_call = re.match("Failed to load resource", message.text)
        if message.type == "error" and not is_call:
            complaints.append(message.text)

    page.on("console", said)


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with test cards for the tests of a module."""
    with running(make_settings(tmp_path_factory.mktemp("site"))) as server:
        yield server


@pytest.fixture
def site(shared_site: Server) -> Iterator[Server]:
    """A server with test cards whose history is empty."""
    yield shared_site
    while rows := shared_site.http.get(HISTORY).json()["data"]:
        for row in rows:
            shared_site.http.delete(f"{HISTORY}/{row['id']}").raise_for_status()


@pytest.fixture
def slow_site(engine: GatedEngine, tmp_path: Path) -> Iterator[Server]:
    """A server that draws with `engine`, and lets one request wait."""
    with running(make_settings(tmp_path, engine="gated", queue=1)) as server:
        yield server
        engine.let_all_go()
