"""The page for everyone: screen readers, both languages, both themes, phones; and no way in."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from limner.server.routes.page import assets
from limner.storage.db.keys import KeyStore
from tests.page.conftest import PHONE, WIDE, Opening
from tests.page.steps import draw, drawn, open_first, option, prompt, tiles
from tests.server.helpers import (
    GatedEngine,
    Server,
    make_settings,
    picture_file,
    running,
    wait_until,
)

HOSTILE = (
    "<script>window.broken=1</script><img src=x onerror=window.broken=1>"
    "\"'><svg onload=window.broken=1> {{7*7}} ${window.broken=1} &lt;b&gt; \u202e"
)


NAMED = ("script", "style")  # what stands in the document itself, and its hash in the policy


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _axe() -> str:
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec
    assert spec.origin
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")


# Rules of axe-core that look at colours: a theme changes nothing else.
OF_COLOURS = ("color-contrast", "link-in-text-block")


def violations(page: Page, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe-core finds on the page as it stands, by all its rules or by those named."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(_axe())
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = rules
    found = page.evaluate("options => axe.run(options)", options)
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def too_small(page: Page) -> list[str]:
    """What is to be touched and lower than a finger needs; a given box is as high as drawn."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("button:not(.given), summary, select, input, nav a")]
          .filter((one) => one.checkVisibility({visibilityProperty: true}) && !one.inert)
          .map((one) => one.closest("label") || one)
          .filter((one) => one.getBoundingClientRect().height < 43.5)
          .map((one) => one.outerHTML.slice(0, 100))"""
    )
    return found


def _begin(page: Page) -> None:
    expect(page.get_by_text("Nothing here yet").or_(tiles(page).first)).to_be_visible()


def _options(page: Page) -> None:
    option(page, "Number", "2")


def _gallery(page: Page) -> None:
    expect(tiles(page).first).to_be_visible()
    page.get_by_text("More filters").click()


def _detail(page: Page) -> None:
    tiles(page).first.get_by_role("link").click()
    expect(page.get_by_role("dialog").get_by_role("heading").first).to_be_visible()
    expect(page.locator(".family img").first).to_be_visible()


def _editor(page: Page) -> None:
    _detail(page)
    page.get_by_role("button", name="Change", exact=True).click()
    expect(page.get_by_role("application")).to_be_visible()
    box = page.get_by_role("application").bounding_box()
    assert box
    page.mouse.move(box["x"] + 80, box["y"] + 90)
    page.mouse.down()
    page.mouse.move(box["x"] + 190, box["y"] + 130, steps=5)
    page.mouse.up()


def _compare(page: Page) -> None:
    _detail(page)
    page.get_by_role("button", name="Compare with before").click()
    expect(page.get_by_role("dialog", name="Compare")).to_be_visible()


def _look(page: Page) -> None:
    _detail(page)
    page.get_by_role("button", name="What does the model see?").click()
    expect(page.get_by_role("heading", name="What the model thinks it drew")).to_be_visible()


def _place(page: Page) -> None:
    page.get_by_role("link", name="Place things").click()
    for _ in range(2):
        page.get_by_role("button", name="Add a thing").click()
    page.get_by_label("Thing 1", exact=True).fill("a cat")


def _help(page: Page) -> None:
    page.get_by_role("button", name="Help").click()
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()


def _admin(page: Page) -> None:
    page.get_by_role("link", name="Admin").click()
    expect(page.get_by_role("heading", name="Training")).to_be_visible()


VIEWS: dict[str, Callable[[Page], None]] = {
    "page": _begin,
    "options": _options,
    "gallery": _gallery,
    "picture": _detail,
    "change": _editor,
    "compare": _compare,
    "look": _look,
    "place": _place,
    "help": _help,
    "admin": _admin,
}


@pytest.fixture(scope="module")
def filled(able_site: Server) -> Server:
    """A server with some pictures, an edit among them, a key's usage and a training run."""
    for text in ("a red apple", "a green pear", "一只红色的狐狸"):
        data = able_site.generate(prompt=text, response_format="b64_json", model="testcard")
    file = base64.b64decode(data.json()["data"][0]["b64_json"])
    able_site.edit([("image", ("a.png", file, "image/png"))], model="testcard").raise_for_status()
    write_run(able_site.service.settings.home)
    return able_site


def write_run(home: Path, sheet: bytes | None = None) -> None:
    """A training run as `limner train` writes it, with the page of samples `sheet`."""
    folder = home / "training" / "nano-2" / "generator"
    (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint" / "config.json").write_text('{"loop": {"steps": 4000}}')
    rows = [
        {"step": step, "loss": 6 / (1 + step / 400) + 0.1 * (step % 60 == 0), "steps_per_s": 1.4}
        for step in range(20, 2000, 20)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step"')
    plain = picture_file(256, 128, colour="#b3391fff")
    (folder / "sheet-001980.png").write_bytes(sheet or plain)


@pytest.mark.parametrize("screen", ["wide", "phone"])
def test_every_view_fits_the_screen_and_axe_finds_nothing(
    filled: Server, opening: Opening, screen: str
) -> None:
    options = {"viewport": PHONE, "has_touch": True} if screen == "phone" else {"viewport": WIDE}
    page = opening("about:blank", **options)
    found = {}
    for name, show in VIEWS.items():
        page.emulate_media(color_scheme="light")
        page.goto(filled.url)
        show(page)
        found[name] = violations(page) + (too_small(page) if screen == "phone" else [])
        page.emulate_media(color_scheme="dark")
        found[name] += violations(page, OF_COLOURS)
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide, f"{name} is wider than the screen"
    assert found == {name: [] for name in VIEWS}


def test_axe_finds_nothing_while_it_draws_or_fails(
    slow_site: Server, engine: GatedEngine, opening: Opening
) -> None:
    page = opening(slow_site.url)
    draw(page)
    engine.gate.release(2)
    expect(page.locator("img.preview")).to_be_visible()
    assert violations(page) == []
    engine.cannot_draw = "a red apple"
    engine.let_all_go()
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []


def test_axe_finds_nothing_where_a_key_is_asked_for(tmp_path: Path, opening: Opening) -> None:
    with running(make_settings(tmp_path, api_keys="sk-one-of-many")) as server:
        page = opening(server.url)
        expect(page.get_by_role("dialog", name="A key, please")).to_be_visible()
        assert violations(page) == []


def test_chinese(site: Server, opening: Opening) -> None:
    page = opening(site.url, locale="zh-CN")
    expect(page.get_by_label("提示词")).to_be_visible()
    page.get_by_label("提示词").fill("一个红苹果")
    page.get_by_role("button", name="画", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="完成")).to_be_attached()
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    page.get_by_text("更多筛选").click()
    page.get_by_text("选项", exact=True).click()
    shown = page.evaluate("document.querySelector('main').innerText")
    names = {"testcard", "PNG", "WebP", "JPEG", "SVG", "GIF"}
    assert set(re.findall("[A-Za-z]{3,}", shown)) <= names
    assert violations(page) == []
    page.get_by_role("button", name="EN", exact=True).click()
    expect(prompt(page)).to_have_value("一个红苹果")
    page.reload()
    expect(prompt(page)).to_be_visible()  # it is remembered


def test_every_word_is_there_in_both_languages(site: Server, opening: Opening) -> None:
    sources = dict(assets.sources())
    lexicon = sources.pop("basics/lexicon.js")
    words = dict(re.findall(r"^  (\w+): (\[.*?\]),$", lexicon, re.M | re.S))
    assert len(words) > 150
    for name, both in words.items():
        english, chinese = json.loads(re.sub(r",\s*\]", "]", both))
        assert english
        assert re.search("[\u4e00-\u9fff]", chinese), name
    code = "".join(text for path, text in sources.items() if path.endswith(".js"))
    assert set(re.findall(r'\bt\("(\w+)"', code)) <= set(words)
    named = set(re.findall(r"\b\w+\b", code))  # some by a value, such as "png" or "square"
    said_by_server = {"colour", "drop_words", "new_seed", "draw_apart"}
    assert {name for name in words if name not in named} == said_by_server


def test_theme_is_chosen_and_kept(site: Server, opening: Opening) -> None:
    page = opening(site.url, color_scheme="light")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Theme: Dark").click()
    dark = page.evaluate(colour)
    assert light != dark
    page.reload()
    assert page.evaluate(colour) == dark


def test_a_window_that_the_browser_closes_is_left(site: Server, opening: Opening) -> None:
    """The browser closes it where an Escape cannot be prevented."""
    page = opening(site.url)
    for close in ("document.querySelector('dialog').close()", ""):
        page.evaluate("location.hash = '#/admin'")
        expect(page.get_by_role("dialog", name="Admin")).to_be_visible()
        page.evaluate(close) if close else page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)  # a hidden one neither
        assert page.evaluate("location.hash") == "#/"


def test_hostile_prompts_never_become_html(site: Server, opening: Opening) -> None:
    page = opening(site.url)
    drawn(page, HOSTILE)
    window = open_first(page)
    expect(window.get_by_role("heading", name="<script>")).to_be_visible()
    page.keyboard.press("Escape")
    with page.expect_response(lambda response: "q=" in response.url):
        page.get_by_role("searchbox").fill(HOSTILE.rstrip("\u202e "))  # printable characters only
    expect(tiles(page)).to_have_count(1)
    draw(page, "gore " + HOSTILE)  # refused, and the refusal is shown
    expect(page.get_by_role("alert").first).to_be_visible()
    assert page.evaluate("window.broken") is None
    assert page.locator("main script, main svg[onload], dialog script").count() == 0


def test_policy_allows_nothing_inline(site: Server, opening: Opening) -> None:
    response = site.http.get("/", headers={"accept": "text/html"})
    policy = dict(
        part.strip().split(" ", 1)
        for part in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    html = response.text
    [script], [style] = (re.findall(f"<{tag}>(.*?)</{tag}>", html, re.S) for tag in NAMED)
    assert policy["script-src"] == f"'self' {_source(script)}"
    assert policy["style-src"] == _source(style)
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in response.headers["content-security-policy"]
    page = opening(site.url, is_watched=False)  # the browser complains of what is tried
    tried = page.evaluate(
        """() => new Promise((resolve) => setTimeout(() => {  // else the debugger's rights hold
          const said = [];
          const style = document.createElement("style");
          style.textContent = "h1 { display: none }";
          document.head.append(style);
          const {display} = getComputedStyle(document.querySelector("h1"));
          if (display === "none") said.push("done");
          for (const attempt of [() => { document.body.innerHTML += "<b>x</b>"; },
                                 () => eval("1"), () => new Function("return 1")()]) {
            try { attempt(); said.push("done"); } catch (error) { said.push(error.name); }
          }
          resolve(said);
        }))"""
    )
    assert "done" not in tried


def test_files_are_few_bytes_kept_for_good_and_of_one_version(site: Server) -> None:
    files = assets.files()
    response = site.http.get("/", headers={"accept": "text/html"})
    html = response.text
    n_bytes = sum(map(len, files.packed.values())) + len(gzip.compress(response.content))
    assert n_bytes < 60_000
    addresses = re.findall(r'(?:href|src|data-script)="(/page/[^"]+)"', html)
    assert len(addresses) == len(files.plain)
    for address in addresses:
        response = site.http.get(address)
        assert response.status_code == 200, address
        assert "immutable" in response.headers["cache-control"]
        assert response.headers["x-content-type-options"] == "nosniff"
        again = site.http.get(address, headers={"if-none-match": response.headers["etag"]})
        assert again.status_code == 304
    for path in (
        "0000/page.js",
        f"{files.version}/index.html",
        f"{files.version}/../routes/page/assets.py",
    ):
        assert site.http.get(f"/page/{path}").status_code == 404
    assert site.http.get("/favicon.ico").headers["content-type"] == "image/svg+xml"


def test_behind_a_proxy_with_a_path(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, proxies=("127.0.0.1",))) as server:
        headers = {"accept": "text/html", "x-forwarded-prefix": "/limner"}
        html = server.http.get("/", headers=headers).text
        assert 'data-prefix="/limner"' in html
        for address in re.findall(r'(?:href|src|data-script)="([^"]+)"', html):
            assert address.startswith("/limner/")


def test_admin_sees_what_is_under_way_keys_usage_and_training(
    slow_site: Server, engine: GatedEngine, opening: Opening, tmp_path: Path
) -> None:
    write_run(tmp_path)
    store = KeyStore(slow_site.service.database)
    boss = store.create("boss", ["draw", "admin"])
    anna = store.create("anna")
    slow_site.service.keys.read()
    page = opening(slow_site.url)
    page.get_by_label("Key", exact=True).fill(boss)
    page.get_by_role("button", name="Enter").click()
    slow_site.begin([], {"authorization": f"Bearer {anna}"}, prompt="of anna")
    _admin(page)
    window = page.get_by_role("dialog", name="Admin")
    expect(window.get_by_role("cell", name="anna").first).to_be_visible()
    expect(window.get_by_text("nano-2 · generator")).to_be_visible()
    expect(window.get_by_text("1980 / 4000")).to_be_visible()
    expect(window.get_by_text("24 minutes")).to_be_visible()
    expect(window.get_by_role("img", name="Newest sheet")).to_be_visible()
    loaded = "(image) => image.naturalWidth === 256"
    wait_until(lambda: page.evaluate(f"[...document.querySelectorAll('.run img')].every({loaded})"))
    engine.let_all_go()
