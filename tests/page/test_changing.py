"""A picture is varied, painted over, widened, and its tree walked; one of one's own is dropped."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from limner.engines.base import Capabilities, ImageTask
from limner.engines.testcard import CardEngine
from limner.request import Edit, Size, SizeRule, Variation
from tests.page.conftest import Opening
from tests.page.steps import drop, history, open_first, say, tiles
from tests.server.helpers import HISTORY, Server, picture_file, wait_until


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the engine is given to begin with, one a request."""
    given: list[Any] = []
    draw = CardEngine.draw

    def spy(self: CardEngine, tasks: list[ImageTask], *rest: Any) -> Any:
        given.extend(one.request.source for one in tasks if one.index == 0)
        return draw(self, tasks, *rest)

    monkeypatch.setattr(CardEngine, "draw", spy)
    return given


def _file(server: Server) -> bytes:
    [row] = server.http.get(HISTORY).json()["data"][-1:]
    return server.http.get(row["pictures"][0]["url"]).content


def _begin(page: Page) -> Locator:
    open_first(page).get_by_role("button", name="Change", exact=True).click()
    window = page.get_by_role("dialog", name="Change a picture")
    expect(window.get_by_role("application")).to_be_visible()
    return window


def _pull(page: Page, handle: Locator, x: float, y: float) -> None:
    box = handle.bounding_box()
    assert box
    at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0] + x, at[1] + y, steps=4)
    page.mouse.up()


def _line(page: Page, board: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over the board; places in shares of its sides."""
    box = board.bounding_box()
    assert box
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=5)
    page.mouse.up()


def _draw(window: Locator, text: str = "a hat") -> None:
    window.get_by_label("What should be there").fill(text)
    window.get_by_role("button", name="Draw", exact=True).click()


def test_variations_begin_with_the_picture(
    site: Server, opening: Opening, sources: list[Any]
) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    open_first(page).get_by_role("button", name="Variations").click()
    expect(tiles(page)).to_have_count(5)
    assert isinstance(sources[-1], Variation)
    pictures: Any = history(site)[0]["pictures"]
    assert {one["parent"] for one in pictures} == {hashlib.sha256(_file(site)).hexdigest()}


def test_variations_that_come_at_once_are_not_counted(site: Server, opening: Opening) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    progress = {"done": 96, "total": 100}
    page.route("**/v1/images/variations", lambda _: None)  # never answered
    page.route(
        "**/v1/images/jobs/*",
        lambda route: route.fulfill(json={"status": "drawing", "progress": progress}),
    )
    open_first(page).get_by_role("button", name="Variations").click()
    say(page, "Drawing 4 pictures …")


def test_who_asks_from_far_down_in_the_gallery_sees_the_drawing(
    site: Server, opening: Opening
) -> None:
    for i in range(3):
        site.generate(prompt=f"pear {i}")
    page = opening(site.url)
    page.set_viewport_size({"width": 400, "height": 300})
    tiles(page).last.get_by_role("link").click()
    assert page.evaluate("scrollY") > 0
    page.get_by_role("dialog").get_by_role("button", name="Variations").click()
    expect(page.get_by_role("region", name="Picture")).to_be_in_viewport()
    expect(tiles(page)).to_have_count(7)
    expect(page.get_by_role("region", name="Picture")).to_be_in_viewport()


def test_brush_box_undo_redo_and_invert_make_the_mask(
    site: Server, opening: Opening, sources: list[Any]
) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    window = _begin(page)
    expect(window).to_contain_text("If you paint nothing")
    board = window.get_by_role("application")
    window.get_by_role("radio", name="Box").check(force=True)
    _line(page, board, (0.25, 0.25), (0.75, 0.5))
    expect(window).not_to_contain_text("If you paint nothing")
    window.get_by_role("radio", name="Brush").check(force=True)
    _line(page, board, (0.1, 0.9), (0.9, 0.9))
    window.get_by_role("button", name="Undo").click()
    window.get_by_role("button", name="Redo").click()
    page.keyboard.press("Control+z")
    window.get_by_role("button", name="Invert").click()
    window.get_by_role("button", name="Invert").click()
    _draw(window)
    expect(tiles(page)).to_have_count(2)
    source = sources[-1]
    assert isinstance(source, Edit)
    assert source.mask is not None
    rows, columns = np.nonzero(source.mask == 0)
    assert abs(rows.min() - 64) <= 2
    assert abs(rows.max() - 127) <= 2
    assert abs(columns.min() - 64) <= 2
    assert abs(columns.max() - 191) <= 2
    edited: Any = history(site)[0]
    assert edited["kind"] == "edit"
    assert edited["pictures"][0]["parent"] == hashlib.sha256(_file(site)).hexdigest()


def test_eraser_and_sizes(site: Server, opening: Opening, sources: list[Any]) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    window = _begin(page)
    board = window.get_by_role("application")
    window.get_by_label("Brush size").fill("64")
    _line(page, board, (0.05, 0.5), (0.95, 0.5))
    window.get_by_role("radio", name="Eraser").check(force=True)
    window.get_by_label("Brush size").fill("16")
    _line(page, board, (0.5, 0.3), (0.5, 0.7))
    _draw(window)
    expect(tiles(page)).to_have_count(2)
    mask = sources[-1].mask
    assert abs(int((mask[:, 40] == 0).sum()) - 64) <= 3  # as thick as the brush
    assert (mask[:, 128] != 0).all()  # where the eraser went


def test_mask_by_keyboard_alone(site: Server, opening: Opening, sources: list[Any]) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    window = _begin(page)
    window.get_by_role("application").focus()
    for key in ("ArrowLeft", "ArrowUp", " "):
        page.keyboard.press(key)
    window.get_by_label("What should be there").focus()
    page.keyboard.type("a hat")
    page.keyboard.press("Control+Enter")
    expect(tiles(page)).to_have_count(2)
    mask = sources[-1].mask
    assert mask[112, 112] == 0
    assert mask[0, 0] != 0


def test_nothing_painted_draws_all_anew(site: Server, opening: Opening, sources: list[Any]) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    _draw(_begin(page))
    expect(tiles(page)).to_have_count(2)
    assert sources[-1].mask is None


def test_pulled_edges_widen_the_canvas(site: Server, opening: Opening, sources: list[Any]) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    window = _begin(page)
    handle = window.get_by_role("slider", name="Widen on the right")
    _pull(page, handle, 120, 0)
    pulled = int(handle.get_attribute("aria-valuenow") or 0)
    assert pulled > 0
    assert pulled % 16 == 0
    top = window.get_by_role("slider", name="Widen at the top")
    top.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(window).to_contain_text(f"the picture becomes {256 + pulled}×288.")
    _draw(window, "a meadow")
    expect(tiles(page)).to_have_count(2)
    source = sources[-1]
    assert source.pixels.shape == (256 + 32, 256 + pulled, 4)
    assert (source.mask[32:, :256] != 0).all()
    assert (source.mask[:32] == 0).all()
    assert (source.mask[:, 256:] == 0).all()
    edited: Any = history(site)[0]
    assert edited["pictures"][0]["size"] == f"{256 + pulled}x288"
    assert edited["pictures"][0]["parent"] == hashlib.sha256(_file(site)).hexdigest()


def test_widening_is_undone_step_by_step(site: Server, opening: Opening) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    window = _begin(page)
    board = window.get_by_role("application")
    _line(page, board, (0.2, 0.5), (0.8, 0.5))
    right = window.get_by_role("slider", name="Widen on the right")
    _pull(page, right, 120, 0)
    pulled = right.get_attribute("aria-valuenow")
    assert pulled not in (None, "0")
    top = window.get_by_role("slider", name="Widen at the top")
    top.press("ArrowUp")
    top.press("ArrowUp")
    expect(top).to_have_attribute("aria-valuenow", "32")
    window.get_by_role("button", name="Undo").click()  # both presses
    expect(top).to_have_attribute("aria-valuenow", "0")
    expect(right).to_have_attribute("aria-valuenow", str(pulled))
    window.get_by_role("button", name="Undo").click()  # the whole pull
    expect(right).to_have_attribute("aria-valuenow", "0")
    expect(window).not_to_contain_text("If you paint nothing")
    window.get_by_role("button", name="Undo").click()  # the line
    expect(window).to_contain_text("If you paint nothing")
    for _ in range(3):
        window.get_by_role("button", name="Redo").click()
    expect(top).to_have_attribute("aria-valuenow", "32")
    expect(right).to_have_attribute("aria-valuenow", str(pulled))


def test_handles_lie_around_the_picture(site: Server, opening: Opening) -> None:
    site.generate(prompt="a pear")
    window = _begin(opening(site.url))
    board = window.get_by_role("application").bounding_box()
    assert board
    places = {}
    for side in ("on the left", "on the right", "at the top", "at the bottom"):
        box = window.get_by_role("slider", name=f"Widen {side}").bounding_box()
        assert box
        places[side] = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert places["on the left"][0] < board["x"]
    assert places["at the top"][1] < board["y"]
    assert places["on the right"][0] > board["x"] + board["width"]
    assert places["at the bottom"][1] > board["y"] + board["height"]


def test_picture_that_loads_or_cannot_be_loaded_is_told(site: Server, opening: Opening) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    page.goto("about:blank")
    held: list[Route] = []
    page.route("**/pictures/0", lambda route: held.append(route))
    [row] = history(site)
    page.goto(f"{site.url}/#/edit/{row['id']}/0")
    window = page.get_by_role("dialog", name="Change a picture")
    expect(window.get_by_role("status").filter(has_text="Loading …")).to_be_visible()
    expect(window.get_by_role("application")).to_have_count(0)
    wait_until(lambda: page.evaluate("true") and held)
    held.pop().continue_()
    expect(window.get_by_role("application")).to_be_visible()
    page.reload()
    expect(window.get_by_role("status").filter(has_text="Loading …")).to_be_visible()
    wait_until(lambda: page.evaluate("true") and held)
    held.pop().abort()
    expect(window.get_by_role("alert")).to_contain_text("could not be loaded")
    expect(window.get_by_role("button", name="Draw", exact=True)).to_be_disabled()


def test_edits_are_a_tree_that_one_walks_back(site: Server, opening: Opening) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    _draw(_begin(page), "a hat")
    expect(tiles(page)).to_have_count(2)
    _draw(_begin(page), "a scarf")
    expect(tiles(page)).to_have_count(3)
    window = open_first(page)
    family = window.get_by_role("region", name="How it came about")
    expect(family.get_by_role("link")).to_have_count(2)
    family.get_by_role("button", name="Compare with before").click()
    compare = page.get_by_role("dialog", name="Compare")
    expect(compare.get_by_role("img", name="Before: a hat")).to_be_visible()
    page.keyboard.press("Escape")
    family.get_by_role("link").first.click()
    expect(window.get_by_role("heading", name="a pear")).to_be_visible()
    expect(family.get_by_role("link")).to_have_count(1)  # the hat; the scarf is of the hat
    family.get_by_role("link", name="a hat").click()
    expect(family.get_by_role("link")).to_have_count(2)


def test_other_picture_becomes_the_source_of_an_edit(
    site: Server, opening: Opening, sources: list[Any]
) -> None:
    page = opening(site.url)
    data = picture_file(320, 256, mode="RGB", colour="red")
    drop(page, data, "<img src=x onerror=alert(1)>.png")
    window = page.get_by_role("dialog", name="Change a picture")
    expect(window.get_by_role("application")).to_be_visible()
    _draw(window)
    say(page, "Done")
    assert sources[-1].pixels.shape == (256, 320, 4)
    row: Any = history(site)[0]
    assert row["pictures"][0]["parent"] == hashlib.sha256(data).hexdigest()


def test_what_a_model_cannot_do_is_greyed_with_the_reason(
    site: Server, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.generate(prompt="a pear")
    only_small = SizeRule(choices=(Size(256, 256), Size(384, 256)))
    monkeypatch.setitem(
        site.app.state.catalogue.capabilities, "testcard", Capabilities(sizes=only_small)
    )
    page = opening(site.url)
    page.get_by_text("Options", exact=True).click()
    expect(page.get_by_role("radio", name="Transparent")).to_be_disabled()
    expect(page.get_by_text("testcard draws no transparent background.")).to_be_visible()
    expect(page.get_by_role("radio", name="Large")).to_be_disabled()
    expect(page.get_by_role("radio", name="Wide")).to_be_disabled()
    expect(page.get_by_role("radio", name="Landscape")).to_be_enabled()
    expect(page.get_by_text("testcard does not draw every size.").first).to_be_visible()
    window = open_first(page)
    expect(window.get_by_role("button", name="Change", exact=True)).to_be_disabled()
    expect(window.get_by_role("button", name="Variations")).to_be_disabled()
    expect(window.get_by_text("testcard draws from text only")).to_be_visible()


def test_model_without_masks_has_no_brush(
    site: Server, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.generate(prompt="a pear")
    able = Capabilities(edit=True)
    monkeypatch.setitem(site.app.state.catalogue.capabilities, "testcard", able)
    window = _begin(opening(site.url))
    expect(window.get_by_role("radio", name="Brush")).to_be_disabled()
    expect(window.get_by_text("testcard keeps to no mask")).to_be_visible()
