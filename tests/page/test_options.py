"""What can be said beside the prompt: styles, things in boxes, drawing again, a model's own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from limner.engines.testcard import CardEngine
from tests.page.conftest import Opening
from tests.page.steps import drawn, history, open_first, prompt, tiles
from tests.server.helpers import Server


@pytest.fixture(scope="module")
def shared_site(able_site: Server) -> Server:
    """The server of these tests."""
    return able_site


def _fold(page: Page) -> None:
    page.get_by_text("Options", exact=True).click()


def _sent(page: Page) -> dict[str, Any]:
    """What the page asks for when "Draw" is pressed; nothing is drawn."""
    page.route("**/v1/images/generations", lambda route: route.abort())
    with page.expect_request("**/v1/images/generations") as asked:
        page.get_by_role("button", name="Draw", exact=True).last.click()
    page.unroute("**/v1/images/generations")
    body: dict[str, Any] = json.loads(asked.value.post_data or "")
    return body


def test_styles_of_the_model_are_said_after_the_prompt(site: Server, opening: Opening) -> None:
    page = opening(site.url)
    _fold(page)
    style = page.get_by_label("Style")
    styles = ["Any", "Noto style", "flat colour icon"]
    expect(style.get_by_role("option")).to_have_text(styles)
    style.select_option("Noto style")
    drawn(page, "a red apple")
    expect(page.get_by_text("Drawn by AI")).to_be_visible()
    prompt(page).fill("一个红苹果")
    assert _sent(page)["prompt"] == "一个红苹果，Noto 风格"
    style.select_option("Any")
    assert history(site)[0]["prompt"] == "a red apple, Noto style"
    open_first(page).get_by_role("button", name="Use all settings").click()
    expect(prompt(page)).to_have_value("a red apple")
    expect(style).to_have_value("Noto style")


def test_options_of_the_model_itself_are_offered_sent_and_recalled(
    site: Server, opening: Opening
) -> None:
    page = opening(site.url, permissions=["clipboard-read", "clipboard-write"])
    _fold(page)
    page.get_by_label("steps").fill("7")
    page.get_by_label("scheduler").select_option("heun")
    drawn(page)
    expect(page.get_by_text("steps 7 · scheduler heun")).to_be_visible()
    row: Any = history(site)[0]
    assert row["parameters"]["options"] == {"scheduler": "heun", "steps": 7}
    page.get_by_role("button", name="Reset options").click()
    expect(page.get_by_label("steps")).to_have_value("")
    window = open_first(page)
    window.get_by_role("button", name="Copy as Python").click()
    expect(page.get_by_text("Copied.").first).to_be_visible()
    assert '"scheduler": "heun", "steps": 7' in page.evaluate("navigator.clipboard.readText()")
    window.get_by_role("button", name="Again").click()
    expect(tiles(page)).to_have_count(2)
    again, first = history(site)
    assert again["parameters"] == first["parameters"]


def test_drawing_again_is_an_option_with_its_limits_said(site: Server, opening: Opening) -> None:
    page = opening(site.url)
    _fold(page)
    box = page.get_by_role("checkbox", name="Draw again if something is missing")
    expect(box).not_to_be_checked()
    expect(page.get_by_text("three times at most")).to_be_visible()
    box.check()
    drawn(page)
    row: Any = history(site)[0]
    assert row["parameters"]["refine"] is True
    box.uncheck()
    open_first(page).get_by_role("button", name="Use all settings").click()
    expect(box).to_be_checked()
    page.get_by_role("button", name="Change", exact=True).first.click()
    window = page.get_by_role("dialog", name="Change a picture")  # only pictures from text
    window.get_by_label("What should be there").fill("a hat")
    window.get_by_role("button", name="Draw", exact=True).click()
    expect(tiles(page)).to_have_count(2)


def test_things_are_placed_by_dragging(site: Server, opening: Opening) -> None:
    page = opening(site.url)
    page.get_by_role("link", name="Place things").click()
    window = page.get_by_role("dialog", name="Place things")
    expect(window.get_by_role("button", name="Draw", exact=True)).to_be_disabled()
    sheet = window.locator(".placing").bounding_box()
    assert sheet

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        for n, (x, y) in enumerate((start, end)):
            page.mouse.move(sheet["x"] + x * sheet["width"], sheet["y"] + y * sheet["height"])
            page.mouse.down() if n == 0 else page.mouse.up()

    drag((0.05, 0.2), (0.45, 0.8))
    page.keyboard.type("a cat: grey; old")  # the new thing's words have the focus
    drag((0.9, 0.9), (0.6, 0.5))
    page.keyboard.type("a ball")
    drag((0.7, 0.7), (0.65, 0.6))  # the ball, moved
    body = _sent(page)
    assert body["boxes"] == "a cat grey old: 5,20,40,60; a ball: 55,40,30,40"
    assert body["prompt"] == "a cat: grey; old, a ball"
    expect(window).to_have_count(0)
    page.get_by_role("link", name="2 placed").click()
    expect(window.get_by_role("button", name="Box 2")).to_be_visible()  # no mouse waits for it
    drag((0.44, 0.79), (0.49, 0.9))  # a corner
    window.get_by_role("button", name="Remove thing 2").click()
    page.keyboard.press("Escape")
    drawn(page, "in the snow")
    row: Any = history(site)[0]
    assert row["prompt"] == "in the snow"
    assert row["parameters"]["options"]["boxes"] == "a cat grey old: 5,20,45,71"
    page.get_by_text("Options", exact=True).click()
    page.get_by_role("button", name="Reset options").click()
    open_first(page).get_by_role("button", name="Use all settings").click()
    expect(page.get_by_role("link", name="1 placed")).to_be_visible()


def test_things_are_placed_by_keyboard_alone(site: Server, opening: Opening) -> None:
    page = opening(f"{site.url}/#/place")
    window = page.get_by_role("dialog", name="Place things")
    window.get_by_role("button", name="Add a thing").press("Enter")
    expect(window.get_by_label("Thing 1", exact=True)).to_be_focused()
    page.keyboard.type("an owl")
    box = window.get_by_role("button", name="Box 1, an owl: 10% from the left")
    box.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    expect(window.get_by_role("button", name="Box 1")).to_have_accessible_name(
        "Box 1, an owl: 12% from the left, 12% from the top, 42% wide, 38% high"
    )
    for _ in range(30):  # never beyond the picture
        page.keyboard.press("ArrowRight")
    window.get_by_role("button", name="Add a thing").press("Enter")
    expect(window.get_by_label("Thing 2", exact=True)).to_be_focused()
    page.keyboard.type("a tree")
    window.get_by_role("button", name="Box 2").press("Delete")
    expect(window.get_by_role("button", name="Box 2")).to_have_count(0)
    page.route("**/v1/images/generations", lambda route: route.abort())
    with page.expect_request("**/v1/images/generations") as asked:
        window.get_by_label("Thing 1", exact=True).press("Enter")
    assert json.loads(asked.value.post_data or "")["boxes"] == "an owl: 58,12,42,38"


def test_model_without_boxes_has_no_sheet(
    site: Server, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = replace(CardEngine.capabilities, options=())
    monkeypatch.setitem(site.app.state.catalogue.capabilities, "testcard", plain)
    page = opening(f"{site.url}/#/place")
    expect(page.get_by_role("button", name="Draw", exact=True)).to_be_visible()
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    expect(page.get_by_role("link", name="Place things")).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)
