"""What was drawn is found again, kept, deleted, taken along and drawn once more."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.page.conftest import Opening
from tests.page.steps import history, open_first, prompt, say, tiles
from tests.server.helpers import HISTORY, Server, make_settings, running, wait_until


def _toast(page: Page, text: str) -> None:
    expect(page.get_by_text(text).last).to_be_visible()


def test_search_finds_prompts_dates_models_and_stars(site: Server, opening: Opening) -> None:
    for text in ("a red apple", "a green pear", "100% wool", "一只红色的狐狸"):
        site.generate(prompt=text)
    page = opening(site.url)
    expect(tiles(page)).to_have_count(4)
    box = page.get_by_role("searchbox", name="Search the gallery")
    for words, found in (
        ("RED apple", ["a red apple"]),
        ("狐狸", ["一只红色的狐狸"]),
        ("0%", ["100% wool"]),
        ("a", ["a green pear", "a red apple"]),
        ("%", ["100% wool"]),
        ("zebra", []),
    ):
        box.fill(words)
        expect(tiles(page)).to_have_count(len(found))
        for text in found:
            expect(tiles(page).get_by_role("img", name=text)).to_have_count(1)
    expect(page.get_by_text("No picture fits this search.")).to_be_visible()
    box.fill("")
    expect(tiles(page)).to_have_count(4)
    tiles(page).last.hover()
    tiles(page).last.get_by_role("button", name="Star").click()
    wait_until(lambda: history(site)[-1]["pictures"][0]["starred"])  # type: ignore[index]
    page.get_by_role("checkbox", name="Starred").check()
    expect(tiles(page)).to_have_count(1)
    page.get_by_role("checkbox", name="Starred").uncheck()
    page.get_by_text("More filters").click()
    page.get_by_label("To", exact=True).fill("2020-01-01")
    expect(tiles(page)).to_have_count(0)
    page.get_by_label("To", exact=True).fill("")
    page.get_by_label("From", exact=True).fill("2020-01-01")
    expect(tiles(page)).to_have_count(4)


def test_star_is_kept_by_the_server(site: Server, opening: Opening) -> None:
    site.generate(prompt="kept")
    site.generate(prompt="not kept")
    page = opening(site.url)
    kept = tiles(page).nth(1)
    kept.hover()
    kept.get_by_role("button", name="Star").click()
    wait_until(lambda: history(site)[1]["pictures"][0]["starred"])  # type: ignore[index]
    page.reload()
    tiles(page).nth(1).get_by_role("button", name="Remove star").click()
    wait_until(lambda: not history(site)[1]["pictures"][0]["starred"])  # type: ignore[index]


def test_deletion_can_be_undone_and_then_is_real(site: Server, opening: Opening) -> None:
    site.generate(prompt="a pear", n=2)
    page = opening(site.url, is_own=True)
    page.clock.install()
    expect(tiles(page)).to_have_count(2)
    open_first(page).get_by_role("button", name="Delete").click()
    expect(tiles(page)).to_have_count(1)
    page.get_by_role("dialog").get_by_role("button", name="Undo").click()
    expect(tiles(page)).to_have_count(2)
    page.clock.fast_forward(11_000)
    assert len(history(site)[0]["pictures"]) == 2  # type: ignore[arg-type]
    page.keyboard.press("Escape")
    open_first(page).get_by_role("button", name="Delete").click()
    page.clock.fast_forward(11_000)
    wait_until(lambda: len(history(site)[0]["pictures"]) == 1)  # type: ignore[arg-type]
    wait_until(lambda: len(site.stored) == 1)  # its file goes after its row


def test_deletion_holds_when_the_page_is_left(site: Server, opening: Opening) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    open_first(page).get_by_role("button", name="Delete").click()
    expect(tiles(page)).to_have_count(0)
    page.goto("about:blank")
    wait_until(lambda: history(site) == [])


def test_again_other_seed_and_recall(site: Server, opening: Opening) -> None:
    site.generate(prompt="a pear", model="testcard", seed=7, quality="high", size="384x256")
    page = opening(site.url)
    open_first(page).get_by_role("button", name="Again").click()
    expect(tiles(page)).to_have_count(2)
    again, first = history(site)
    assert again["parameters"] == first["parameters"]
    hashes = [row["pictures"][0]["sha256"] for row in (again, first)]  # type: ignore[index]
    assert hashes[0] == hashes[1]
    open_first(page).get_by_role("button", name="Other seed").click()
    expect(tiles(page)).to_have_count(3)
    other = history(site)[0]["parameters"]
    assert isinstance(other, dict)
    assert other["seed"] != 7
    assert other["size"] == "384x256"
    open_first(page).get_by_role("button", name="Use all settings").click()
    expect(prompt(page)).to_have_value("a pear")
    expect(page.get_by_text("384×256").first).to_be_visible()


def test_copied_calls_draw_the_same_picture(site: Server, opening: Opening, tmp_path: Path) -> None:
    hostile = "it's \"a\" $HOME `pear` \\ \n'); import os"
    site.generate(prompt=hostile, model="testcard", seed=7)
    page = opening(site.url, permissions=["clipboard-read", "clipboard-write"])
    window = open_first(page)
    window.get_by_role("button", name="Copy as curl").click()
    _toast(page, "Copied.")
    words = shlex.split(page.evaluate("navigator.clipboard.readText()").replace("\\\n", " "))
    assert words[:2] == ["curl", f"{site.url}/v1/images/generations"]
    body = json.loads(words[words.index("-d") + 1])
    assert (body["prompt"], body["seed"]) == (hostile, 7)
    window.get_by_role("button", name="Copy as Python").click()
    text = "navigator.clipboard.readText()"
    wait_until(lambda: page.evaluate(text).startswith("from openai"))
    program = page.evaluate(text)
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{site.url}/v1/images/files/")
    hashes = [row["pictures"][0]["sha256"] for row in history(site)]  # type: ignore[index]
    assert len(hashes) == 2
    assert len(set(hashes)) == 1
    window.get_by_role("button", name="Copy picture").click()
    kinds = "navigator.clipboard.read().then(([item]) => item.types)"
    wait_until(lambda: page.evaluate(kinds) == ["image/png"])


def test_arrows_walk_and_the_address_names_the_picture(site: Server, opening: Opening) -> None:
    for text in ("first", "second", "third"):
        site.generate(prompt=text)
    page = opening(site.url)
    window = open_first(page)
    expect(window.get_by_role("heading", name="third")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(window.get_by_role("heading", name="second")).to_be_visible()
    other = opening(page.url)
    expect(other.get_by_role("heading", name="second")).to_be_visible()
    page.keyboard.press("Escape")
    tiles(page).first.get_by_role("link").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="second")).to_be_visible()


def test_undo_shows_the_picture_again(site: Server, opening: Opening) -> None:
    for text in ("first", "second"):
        site.generate(prompt=text)
    page = opening(site.url)
    window = open_first(page)
    window.get_by_role("button", name="Delete").click()
    expect(window.get_by_role("heading", name="first")).to_be_visible()
    window.get_by_role("button", name="Undo").click()
    expect(window.get_by_role("heading", name="second")).to_be_visible()


def test_compare_two(site: Server, opening: Opening) -> None:
    for text in ("first", "second"):
        site.generate(prompt=text)
    page = opening(site.url, viewport={"width": 1280, "height": 400})
    open_first(page).get_by_role("button", name="Compare with").click()
    say(page, "Choose the picture to compare with.")
    expect(tiles(page).first).to_have_attribute("aria-current", "true")
    expect(tiles(page).last).to_be_in_viewport()
    tiles(page).first.get_by_role("link").click()  # itself: no choice
    expect(page.get_by_text("Choose the picture to compare with.")).to_be_visible()
    tiles(page).last.get_by_role("link").click()
    window = page.get_by_role("dialog", name="Compare")
    divider = window.get_by_role("slider", name="Divider")
    divider.fill("25")
    # Neither shows through transparent parts of the other.
    before = window.get_by_role("img", name="Before: first")
    expect(before.locator("..")).to_have_css("clip-path", "inset(0px 75% 0px 0px)")
    after = window.get_by_role("img", name="After: second")
    expect(after.locator("..")).to_have_css("clip-path", "inset(0px 0px 0px 25%)")
    page.keyboard.press("Escape")
    expect(tiles(page).first).to_have_attribute("aria-current", "false")


def test_two_of_different_sizes_are_compared_whole_and_equally_high(
    site: Server, opening: Opening
) -> None:
    site.generate(prompt="small", size="256x256")
    site.generate(prompt="wide", size="768x384", model="testcard")
    page = opening(site.url)
    open_first(page).get_by_role("button", name="Compare with").click()
    tiles(page).last.get_by_role("link").click()
    window = page.get_by_role("dialog", name="Compare")
    expect(window).to_contain_text("Before · 256×256")
    expect(window).to_contain_text("After · 768×384")
    small, wide = (
        window.get_by_role("img", name=name).bounding_box()
        for name in ("Before: small", "After: wide")
    )
    assert small
    assert wide
    assert abs(small["height"] - wide["height"]) < 1
    assert abs(small["width"] - small["height"]) < 1
    assert abs(wide["width"] - 2 * wide["height"]) < 1
    assert abs(small["x"] + small["width"] / 2 - wide["x"] - wide["width"] / 2) < 1


def test_filters_open_without_moving_anything(site: Server, opening: Opening) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    expect(tiles(page)).to_have_count(1)
    box = page.get_by_role("searchbox", name="Search the gallery")
    places = box.bounding_box(), tiles(page).first.bounding_box()
    page.get_by_text("More filters").click()
    expect(page.get_by_label("From", exact=True)).to_be_visible()
    assert (box.bounding_box(), tiles(page).first.bounding_box()) == places
    page.keyboard.press("Escape")
    expect(page.get_by_label("From", exact=True)).to_be_hidden()
    page.get_by_text("More filters").click()
    page.get_by_role("heading", name="Gallery").click()  # anywhere else
    expect(page.get_by_label("From", exact=True)).to_be_hidden()


def test_500_pictures_load_as_one_scrolls(tmp_path: Path, opening: Opening) -> None:
    with running(make_settings(tmp_path)) as server:
        fill(server, 500)
        _scroll_to_the_end(opening(server.url))


def _scroll_to_the_end(page: Page) -> None:
    expect(tiles(page).first).to_be_visible()
    assert tiles(page).count() <= 120  # what is seen, and what comes next
    end_s = time.monotonic() + 120
    while tiles(page).count() < 500 and time.monotonic() < end_s:
        page.mouse.wheel(0, 4000)
        page.wait_for_timeout(50)
    expect(tiles(page)).to_have_count(500)
    assert (
        len({link.get_attribute("href") for link in tiles(page).get_by_role("link").all()}) == 500
    )


def fill(server: Server, n: int) -> None:
    """Put `n` requests into the history, all with the file of one picture."""
    server.generate(prompt="picture", size="64x64", model="testcard")
    database = server.service.database
    [request] = database.read("SELECT * FROM requests")
    [row] = database.read("SELECT * FROM pictures")
    folder = server.service.settings.home / "history"
    data = (folder / row["file"]).read_bytes()
    with database.transaction() as run:
        for number in range(1, n):
            file = server.service.links.names.make("png")
            (folder / file).write_bytes(data)
            id = f"req_{number:032x}"
            values = request | {"id": id, "created_s": request["created_s"] - number}
            marks = ", ".join("?" * len(values))
            names = ", ".join(values)
            run(f"INSERT INTO requests ({names}) VALUES ({marks})", list(values.values()))
            values = row | {"request_id": id, "file": file}
            marks, names = ", ".join("?" * len(values)), ", ".join(values)
            run(f"INSERT INTO pictures ({names}) VALUES ({marks})", list(values.values()))


def test_pictures_of_others_are_not_seen(tmp_path: Path, opening: Opening) -> None:
    with running(make_settings(tmp_path, api_keys="sk-one-of-many, sk-two-of-many")) as server:
        one = {"authorization": "Bearer sk-one-of-many"}
        server.ask(one)
        [row] = server.http.get(HISTORY, headers=one).json()["data"]
        page = opening(f"{server.url}/#/picture/{row['id']}/0")
        page.get_by_label("Key", exact=True).fill("sk-two-of-many")
        page.get_by_role("button", name="Enter").click()
        expect(page.get_by_text("Nothing here yet")).to_be_attached()
        assert page.locator(".tile").count() == 0


def test_what_the_model_sees_is_said_and_becomes_the_alternative_text(
    site: Server, opening: Opening
) -> None:
    site.generate(prompt="a red apple")
    [row] = history(site)
    data = site.http.get(f"{HISTORY}/{row['id']}/pictures/0").content
    asked = {"asked": "a red apple"}
    found = site.http.post("/v1/images/look", files={"image": data}, data=asked).json()
    page = opening(site.url)
    window = open_first(page)
    window.get_by_role("button", name="What does the model see?").click()
    said = window.get_by_role("status").filter(has_text="What the model thinks it drew")
    expect(said).to_contain_text(found["alt"])
    expect(said).to_contain_text("It fits" if found["good_enough"] else "It may not fit")
    expect(said).to_contain_text(found["seen"][0]["label"])
    expect(window.get_by_role("img", name=found["alt"], exact=True)).to_be_visible()


def test_look_that_is_refused_says_why(site: Server, opening: Opening) -> None:
    site.generate(prompt="a red apple")
    page = opening(site.url)
    refusal = {"error": {"message": "The weights are away.", "code": "weights_missing"}}
    page.route("**/v1/images/look", lambda route: route.fulfill(status=503, json=refusal))
    window = open_first(page)
    window.get_by_role("button", name="What does the model see?").click()
    expect(window.get_by_role("alert")).to_contain_text("The weights are away.")
    expect(window.get_by_role("button", name="What does the model see?")).to_be_enabled()
