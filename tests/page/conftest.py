"""A browser for the tests of the page, and what they share: real servers, real clicks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from limner.engines.testcard import CardEngine
from limner.engines.transformer.scenes.user_boxes import BOXES
from limner.options import OptionSpec
from tests.server.conftest import engine
from tests.server.helpers import (
    HISTORY,
    GatedEngine,
    Server,
    make_settings,
    running,
    wait_until,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["engine"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDE = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}

STYLES = (("Noto style", "Noto 风格"), ("flat colour icon", "扁平图标风格"))
STEPS = OptionSpec("steps", "integer", "Steps of drawing.", low=1, high=50, default=20)
METHOD = OptionSpec("scheduler", "choice", "Method of the steps.", choices=("euler", "heun"))

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


class Visits:
    """Pages for the tests of one file.

    A page of the usual kind is used again, with nothing left of the visit before: a new one takes
    a process of the browser. All else is a visit of its own, closed after the test.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._usual: Page | None = None
        self._is_taken = False
        self._own: list[Page] = []
        self._is_watched = True
        self._complaints: list[str] = []  # of the scripts, in this test

    def open(
        self, address: str, *, is_own: bool = False, is_watched: bool = True, **options: Any
    ) -> Page:
        """A page in a visit of its own.

        is_own: in a context of its own, too. is_watched: whether complaints fail the test.
        """
        self._is_watched &= is_watched
        if is_own or options or self._is_taken:
            page = self._new(**options)
            self._own.append(page)
        else:
            if self._usual is None or self._usual.is_closed():
                self._usual = self._new()
            page, self._is_taken = self._usual, True
        page.goto(address)
        if address != "about:blank":
            shown(page)
        return page

    def end(self) -> list[str]:
        """End the visits of a test; returns what their scripts complained of."""
        for page in self._own:
            page.context.close()
        self._own.clear()
        if self._is_taken and self._usual and not self._usual.is_closed():
            self._forget(self._usual)
        complaints = self._complaints if self._is_watched else []
        self._is_taken, self._is_watched, self._complaints = False, True, []
        return complaints

    def _new(self, **options: Any) -> Page:
        values: dict[str, Any] = {"viewport": WIDE, "locale": "en-GB", "reduced_motion": "reduce"}
        page = self._browser.new_context(**(values | options)).new_page()
        page.set_default_timeout(30_000)
        watch(page, lambda: self._complaints)
        return page

    def _forget(self, page: Page) -> None:
        for other in page.context.pages:
            if other != page:
                other.close()
        if page.url.startswith("http"):
            page.evaluate("localStorage.clear()")
        page.goto("about:blank")  # and what was not answered is given up
        page.unroute_all(behavior="ignoreErrors")
        page.context.clear_cookies()
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        page.mouse.move(0, 0)


@pytest.fixture(scope="module")
def visits(browser: Browser) -> Visits:
    """Pages for the tests of one file; the browser closes them."""
    return Visits(browser)


@pytest.fixture
def opening(visits: Visits) -> Iterator[Opening]:
    """Opens a page in a visit of its own; whatever its scripts complain of fails the test."""
    yield visits.open
    assert visits.end() == []


def shown(page: Page) -> None:
    """Wait until the script of the page has run; by polling, as the page forbids eval."""
    wait_until(lambda: page.evaluate("performance.getEntriesByName('limner-shown').length"), 30)


def watch(page: Page, of_test: Callable[[], list[str]]) -> None:
    """Collect errors of the scripts and breaches of the policy; a refused call is no such thing."""
    page.on("pageerror", lambda error: of_test().append(str(error)))

    def said(message: Any) -> None:
        is_call = re.match("Failed to load resource", message.text)
        if message.type == "error" and not is_call:
            of_test().append(message.text)

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


@pytest.fixture(scope="module")
def able_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose engine declares what test cards have not: styles, boxes, options, AI."""
    able = replace(CardEngine.capabilities, ai=True, styles=STYLES, options=(BOXES, STEPS, METHOD))
    with running(make_settings(tmp_path_factory.mktemp("able"))) as server:
        server.service.workers["testcard"].engine.capabilities = able
        server.app.state.catalogue.capabilities["testcard"] = able
        yield server


@pytest.fixture
def slow_site(engine: GatedEngine, tmp_path: Path) -> Iterator[Server]:
    """A server that draws with `engine`, and lets one request wait."""
    with running(make_settings(tmp_path, engine="gated", queue=1)) as server:
        yield server
        engine.let_all_go()
