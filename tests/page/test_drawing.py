"""Type, watch it form, stop it, keep it; and what is said when something is in the way."""

from __future__ import annotations

from pathlib import Path

import httpx2
from playwright.sync_api import Route, expect

from tests.page.conftest import Opening
from tests.page.steps import (
    draw,
    draw_by_keys,
    drawn,
    history,
    open_first,
    option,
    picture,
    prompt,
    say,
    tiles,
)
from tests.server.helpers import (
    GENERATIONS,
    GatedEngine,
    Server,
    make_settings,
    running,
    wait_until,
)
from tests.support.ports import free_port


def test_a_prompt_becomes_a_picture_in_the_gallery(site: Server, opening: Opening) -> None:
    page = opening(site.url)
    expect(page.get_by_role("button", name="Draw", exact=True)).to_be_disabled()
    drawn(page, "a red apple")
    say(page, "Done")
    expect(tiles(page).first.get_by_role("img", name="a red apple")).to_be_visible()
    [row] = history(site)
    assert (row["prompt"], row["status"]) == ("a red apple", "done")


def test_an_empty_gallery_has_prompts_to_begin_with(site: Server, opening: Opening) -> None:
    page = opening(site.url)
    page.get_by_role("region", name="Gallery").get_by_role("button", name="a cup of tea").click()
    expect(prompt(page)).to_have_value("a cup of tea")
    expect(prompt(page)).to_be_focused()
    draw_by_keys(page)
    say(page, "Done")
    expect(page.get_by_role("button", name="a cup of tea")).to_have_count(0)


def test_the_draw_key_waits_for_the_models(site: Server, opening: Opening) -> None:
    page = opening("about:blank")
    held: list[Route] = []
    page.route("**/v1/models", lambda route: held.append(route))
    page.goto(site.url)
    expect(page.get_by_role("region", name="Gallery")).to_be_visible()  # the script has run
    prompt(page).fill("a red apple")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("button", name="Draw", exact=True)).to_be_disabled()
    assert history(site) == []
    held[0].continue_()
    say(page, "Done")
    [row] = history(site)
    assert row["prompt"] == "a red apple"


def test_picture_that_is_opened_before_the_models_come_can_be_changed_then(
    site: Server, opening: Opening
) -> None:
    site.generate(prompt="a pear")
    page = opening("about:blank")
    held: list[Route] = []
    page.route("**/v1/models", lambda route: held.append(route))
    page.goto(site.url)
    change = open_first(page).get_by_role("button", name="Change", exact=True)
    expect(change).to_be_disabled()
    held[0].continue_()
    expect(change).to_be_enabled()


def test_words_typed_before_the_script_runs_are_kept(site: Server, opening: Opening) -> None:
    page = opening("about:blank")
    held: list[Route] = []
    page.route("**/page.js", lambda route: held.append(route))
    page.goto(site.url)
    expect(prompt(page)).to_be_focused()
    page.keyboard.type("a pear")
    page.keyboard.press("ArrowLeft")
    wait_until(lambda: page.evaluate("true") and held)
    held.pop().continue_()
    expect(page.get_by_role("button", name="Draw", exact=True)).to_be_enabled()
    page.keyboard.type("l")
    expect(prompt(page)).to_have_value("a pealr")


def test_options_reach_the_server(site: Server, opening: Opening) -> None:
    page = opening(site.url)
    for group, name in {
        "Number": "2",
        "Shape": "Landscape",
        "Size": "Small",
        "Quality": "Best",
        "Background": "Transparent",
    }.items():
        option(page, group, name)
    page.get_by_label("Seed").fill("9007199254740993")  # 2^53 + 1: no number of JavaScript
    drawn(page, "two pears", n=2)
    expect(
        page.locator(".sheet.clear")
    ).to_be_visible()  # checkers: it can be seen that it is clear
    [row] = history(site)
    assert row["parameters"] == {
        "n": 2,
        "size": "384x256",
        "quality": "high",
        "background": "transparent",
        "seed": 9007199254740993,
        "best_of": None,
        "retry_below": None,
        "mark": False,
        "refine": False,
        "output_format": "png",
    }
    expect(open_first(page).get_by_text("9007199254740993")).to_be_visible()


def test_previews_show_it_form_and_stop_stops_the_server(
    slow_site: Server, engine: GatedEngine, opening: Opening
) -> None:
    page = opening(slow_site.url)
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    draw(page)
    engine.gate.release(4)  # two steps, two previews
    expect(page.locator("img.preview")).to_be_visible()
    expect(page.get_by_text("Nothing here yet")).to_have_count(0)
    page.get_by_role("button", name="Stop").click()
    say(page, "Stopped")
    wait_until(lambda: history(slow_site)[0]["status"] == "cancelled")
    engine.gate.release(1)  # the engine looks at its next event
    wait_until(lambda: engine.stopped == ["a red apple"])
    expect(page.get_by_role("button", name="Draw", exact=True)).to_be_enabled()


def test_escape_stops_before_the_server_has_answered(
    slow_site: Server, engine: GatedEngine, opening: Opening
) -> None:
    page = opening(slow_site.url)
    draw(page)
    wait_until(lambda: engine.started == ["a red apple"])
    page.keyboard.press("Escape")
    say(page, "Stopped")
    engine.let_all_go()
    wait_until(lambda: history(slow_site)[0]["status"] == "cancelled")


def test_place_in_the_queue_is_told(
    slow_site: Server, engine: GatedEngine, opening: Opening
) -> None:
    first = opening(slow_site.url)
    draw(first, "the first")
    wait_until(lambda: engine.started == ["the first"])
    second = opening(slow_site.url)
    draw(second, "the second")
    say(second, "Number 1 in the queue")
    engine.let_all_go()
    say(second, "Done")
    say(first, "Done")


def test_full_queue_says_when_to_come_back_and_tries_again(
    slow_site: Server, engine: GatedEngine, opening: Opening
) -> None:
    answers: list[httpx2.Response] = []
    threads = []
    for n in range(2):  # one is drawn, one waits
        threads.append(slow_site.begin(answers, {}, prompt=f"other {n}"))
        wait_until(lambda n=n: len(slow_site.service.jobs.under_way) == n + 1)
        wait_until(lambda: engine.started == ["other 0"])
    page = opening(slow_site.url)
    draw(page)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The queue is full")
    expect(alert).to_contain_text("try again in")
    engine.let_all_go()
    for thread in threads:
        thread.join(60)
    alert.get_by_role("button", name="Try again").click()
    say(page, "Done")


def test_refusal_is_shown_in_the_servers_words(site: Server, opening: Opening) -> None:
    page = opening(site.url)
    draw(page, "gore")
    alert = page.get_by_role("alert")
    response = site.http.post(GENERATIONS, json={"prompt": "gore", "model": "testcard"})
    expect(alert).to_contain_text(response.json()["error"]["message"])


def test_engine_that_fails_leaves_a_way_on(
    slow_site: Server, engine: GatedEngine, opening: Opening
) -> None:
    engine.cannot_draw = "a red apple"
    engine.let_all_go()
    page = opening(slow_site.url)
    draw(page)
    expect(page.get_by_role("alert")).to_contain_text("This did not work")
    drawn(page, "a pear")


def test_server_that_dies_is_said_plainly_and_its_return_is_seen(
    tmp_path: Path, opening: Opening
) -> None:
    port = free_port()
    with running(make_settings(tmp_path), port=port) as server:
        page = opening(server.url)
        drawn(page)
    draw(page, "a pear")
    expect(page.get_by_role("alert").filter(has_text="cannot be reached")).to_be_visible()
    expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_visible()
    with running(make_settings(tmp_path), port=port):
        expect(page.get_by_role("alert").filter(has_text="cannot be reached")).to_be_hidden()
        page.get_by_role("button", name="Try again").click()
        expect(tiles(page)).to_have_count(2)
        page.context.close()  # or the server would wait for its connections


def test_page_that_cannot_begin_says_why_and_begins_later(site: Server, opening: Opening) -> None:
    page = opening("about:blank")
    refusal = {"error": {"message": "The database is away.", "code": "database_error"}}
    page.route("**/v1/models", lambda route: route.fulfill(status=503, json=refusal))
    page.goto(site.url)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The database is away.")
    page.unroute("**/v1/models")
    alert.get_by_role("button", name="Try again").click()
    drawn(page)


def test_server_without_a_history_still_draws_and_warns(tmp_path: Path, opening: Opening) -> None:
    with running(make_settings(tmp_path, history="off")) as server:
        page = opening(server.url)
        say_plainly = "This server keeps no history"
        expect(page.get_by_text(say_plainly)).to_be_visible()
        drawn(page)
        window = open_first(page)
        with page.expect_download() as download:
            window.get_by_role("button", name="Download PNG").click()
        path = download.value.path()
        assert picture(path.read_bytes()).size == (512, 512)


def test_keyboard_alone_from_prompt_to_saved_file(site: Server, opening: Opening) -> None:
    page = opening(site.url)
    expect(prompt(page)).to_be_focused()
    page.keyboard.type("a blue bird")
    draw_by_keys(page)
    say(page, "Done")
    expect(tiles(page)).to_have_count(1)
    for _ in range(40):  # to the picture of the stage
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.sheet a')"):
            break
    page.keyboard.press("Enter")
    button = page.get_by_role("dialog").get_by_role("button", name="Download PNG")
    expect(button).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if button.evaluate("button => button === document.activeElement"):
            break
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.startswith("a-blue-bird-")
    assert picture(download.value.path().read_bytes()).info["model"] == "testcard"
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_is_drawn_in_one_tab_is_seen_in_the_other(site: Server, opening: Opening) -> None:
    one = opening(site.url)
    other = one.context.new_page()
    other.goto(site.url)
    expect(other.get_by_text("Nothing here yet")).to_be_visible()
    drawn(one)
    expect(tiles(other)).to_have_count(1)
    tiles(other).first.hover()
    tiles(other).first.get_by_role("button", name="Star").click()
    expect(tiles(one).first.get_by_role("button", name="Remove star")).to_be_attached()


def test_limits_that_are_near_are_told(tmp_path: Path, opening: Opening) -> None:
    from limner.storage.db.keys import KeyStore, Limits

    with running(make_settings(tmp_path)) as server:
        store = KeyStore(server.service.database)
        key = store.create("anna", limits=Limits(pictures_per_minute=5))
        server.service.keys.read()
        page = opening(server.url)
        page.get_by_label("Key", exact=True).fill(key)
        page.get_by_role("button", name="Enter").click()
        for n in range(4):
            drawn(page, f"apple {n}")
        say(page, "1 of 5 pictures left in this minute")


def test_two_people_draw_at_once(site: Server, opening: Opening) -> None:
    pages = [opening(site.url) for _ in range(2)]
    for n, page in enumerate(pages):
        draw(page, f"person {n}")
    for page in pages:
        say(page, "Done")
    assert {row["prompt"] for row in history(site)} == {"person 0", "person 1"}
