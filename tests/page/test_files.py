"""The files of the page: formats that are drawn and downloaded, their labels, and files dropped."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from limner.engines.base import Capabilities
from limner.imaging.provenance import label
from limner.imaging.provenance.check import check
from tests.page.conftest import Opening
from tests.page.steps import (
    draw,
    drawn,
    drop,
    history,
    open_first,
    option,
    picture,
    prompt,
    say,
    tiles,
)
from tests.server.helpers import Server, make_settings, picture_file, running, wait_until
from tests.support import exiftool

WORDS = 'a "pear" 梨 {x} \\ <b>&amp; / ../../'


def _save(page: Page, window: Locator, format: str) -> tuple[str, bytes]:
    """The name and the content of the file that a click saves."""
    with page.expect_download() as download:
        window.get_by_role("button", name=f"Download {format}").click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def _fold(page: Page) -> None:
    page.get_by_text("Options", exact=True).click()


@pytest.mark.parametrize("format", ["WebP", "JPEG", "SVG", "GIF"])
def test_picture_is_drawn_as_the_chosen_file(site: Server, opening: Opening, format: str) -> None:
    page = opening(site.url)
    option(page, "File", format)
    drawn(page, "a red apple")
    say(page, "Done")
    row: Any = history(site)[0]
    assert row["parameters"]["output_format"] == row["pictures"][0]["format"] == format.lower()
    name, data = _save(page, open_first(page), format)
    if format == "SVG":
        assert name.endswith(".svg")
        assert data.startswith(b"<svg")
        assert b"<script" not in data
    else:
        assert picture(data).format == format.upper()
        assert (getattr(picture(data), "n_frames", 1) > 1) == (format == "GIF")


def test_files_that_do_not_fit_the_other_options_are_greyed(
    site: Server, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opening(site.url)
    _fold(page)
    files = page.get_by_role("group", name="File")
    option(page, "Number", "2")
    expect(files.get_by_role("radio", name="SVG")).to_be_disabled()
    expect(page.get_by_text("SVG is drawn one picture at a time.")).to_be_visible()
    option(page, "Number", "1")
    option(page, "File", "SVG")
    expect(page.get_by_role("radio", name="2", exact=True)).to_be_disabled()
    option(page, "File", "GIF")
    expect(page.get_by_role("radio", name="2", exact=True)).to_be_enabled()
    option(page, "Shape", "Wide")
    expect(page.get_by_role("radio", name="Large")).to_be_disabled()
    expect(page.get_by_text("A GIF has at most 2,000,000 pixels")).to_be_visible()
    option(page, "File", "JPEG")
    expect(page.get_by_role("radio", name="Transparent")).to_be_disabled()
    expect(page.get_by_text("JPEG has no transparent background.")).to_be_visible()
    monkeypatch.setitem(site.app.state.catalogue.capabilities, "testcard", Capabilities())
    page.reload()
    _fold(page)
    for format in ("SVG", "GIF"):
        expect(files.get_by_role("radio", name=format)).to_be_disabled()
    expect(page.get_by_text("testcard draws no flat art")).to_be_visible()


def test_gif_under_a_mask_is_refused_before_it_is_asked_for(site: Server, opening: Opening) -> None:
    site.generate(prompt="a pear")
    page = opening(site.url)
    option(page, "File", "GIF")
    open_first(page).get_by_role("button", name="Change", exact=True).click()
    window = page.get_by_role("dialog", name="Change a picture")
    window.get_by_label("What should be there").fill("a hat")
    button = window.get_by_role("button", name="Draw", exact=True)
    expect(button).to_be_enabled()
    window.get_by_role("application").focus()
    page.keyboard.press(" ")
    expect(button).to_be_disabled()
    expect(window.get_by_text("A GIF cannot be drawn under a mask")).to_be_visible()
    window.get_by_role("button", name="Undo").click()
    button.click()
    expect(tiles(page)).to_have_count(2)
    row: Any = history(site)[0]
    assert (row["kind"], row["pictures"][0]["format"]) == ("edit", "gif")


def test_svg_is_copied_changed_and_varied_as_pixels(site: Server, opening: Opening) -> None:
    site.generate(prompt="a pear", output_format="svg", response_format="b64_json")
    page = opening(site.url, permissions=["clipboard-read", "clipboard-write"])
    window = open_first(page)
    window.get_by_role("button", name="Copy picture").click()
    kinds = "navigator.clipboard.read().then(([item]) => item.types)"
    wait_until(lambda: page.evaluate(kinds) == ["image/png"])
    window.get_by_role("button", name="Variations").click()
    expect(tiles(page)).to_have_count(5)


def test_mark_is_drawn_into_the_picture(site: Server, opening: Opening) -> None:
    page = opening(site.url)
    _fold(page)
    page.get_by_role("checkbox", name="Draw an “AI” mark into the picture").check()
    drawn(page)
    row: Any = history(site)[0]
    assert row["parameters"]["mark"] is True
    window = open_first(page)
    expect(window.get_by_text("Drawn by AI")).to_have_count(0)  # a test card is not
    window.get_by_role("button", name="Other seed").click()
    expect(tiles(page)).to_have_count(2)
    again: Any = history(site)[0]
    assert again["parameters"]["mark"] is True


@pytest.mark.parametrize("level", ["off", "label", "full"])
def test_downloads_carry_the_label_and_bring_their_settings_back(
    tmp_path: Path, opening: Opening, level: str
) -> None:
    body = {"prompt": WORDS, "model": "testcard", "seed": 2**60 + 1, "size": "384x256"}
    with running(make_settings(tmp_path, label=level)) as server:
        server.generate(**body, quality="high").raise_for_status()
        page = opening(server.url)
        window = open_first(page)
        saved = [_save(page, window, format) for format in ("PNG", "WebP", "SVG")]
        page.keyboard.press("Escape")
        _fold(page)
        for name, data in saved:
            suffix = name.rpartition(".")[2]
            assert name == f"a-pear-梨-x-b-amp-{2**60 + 1}.{suffix}"
            if suffix != "svg":
                assert (picture(data).format, picture(data).size) == (suffix.upper(), (384, 256))
            file = tmp_path / f"saved.{suffix}"
            file.write_bytes(data)
            _check_label(file, level)
            _check_recall(page, data, suffix, level)


def _check_label(file: Path, level: str) -> None:
    found, report = exiftool.xmp(file), check(file.read_bytes())
    if level == "off":
        assert not found
        assert report.label == "absent"
        return
    assert found["XMP-iptcExt:DigitalSourceType"] == label.ALGORITHMIC
    assert report.label == "holds"
    parameters = report.parameters or {}
    assert parameters["seed"] == 2**60 + 1
    assert parameters.get("prompt") == (WORDS if level == "full" else None)


def _check_recall(page: Page, data: bytes, suffix: str, level: str) -> None:
    """Drop a file: its settings are back, or, if it has none, it can be changed."""
    prompt(page).fill("before")
    drop(page, data, f"x.{suffix}", f"image/{'svg+xml' if suffix == 'svg' else suffix}")
    if level == "off" and suffix == "svg":
        expect(page.get_by_text("x.svg is not a PNG, JPEG or WebP picture.")).to_be_visible()
    elif level == "off":
        window = page.get_by_role("dialog", name="Change a picture")
        expect(window).to_be_visible()
        page.keyboard.press("Escape")
        expect(window).to_have_count(0)
    else:
        expect(prompt(page)).to_have_value(WORDS if level == "full" else "before")
        expect(page.get_by_label("Seed")).to_have_value(str(2**60 + 1))
        for name in ("Landscape", "Best", {"webp": "WebP"}.get(suffix, suffix.upper())):
            expect(page.get_by_role("radio", name=name, exact=True)).to_be_checked()
        page.get_by_role("button", name="Reset options").click()
        expect(page.get_by_label("Seed")).to_have_value("")


def test_what_is_no_picture_is_said(site: Server, opening: Opening) -> None:
    page = opening(site.url)
    for name, kind, data in (
        ("<b>notes</b>.txt", "text/plain", b"hello"),
        ("broken.png", "image/png", b"\x89PNG\r\n\x1a\nbroken"),
    ):
        drop(page, data, name, kind)
        expect(page.get_by_text(f"{name} is not a PNG, JPEG or WebP picture.")).to_be_visible()
    assert page.locator(".toast b").count() == 0


def test_pasted_picture_is_taken(site: Server, opening: Opening) -> None:
    page = opening(site.url)
    page.evaluate(
        """(data) => {
          const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([bytes], "image.png", {type: "image/png"}));
          document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true}));
        }""",
        base64.b64encode(picture_file(256)).decode(),
    )
    expect(page.get_by_role("dialog", name="Change a picture")).to_be_visible()


def test_without_a_history_svg_is_kept_as_long_as_the_page(
    tmp_path: Path, opening: Opening
) -> None:
    with running(make_settings(tmp_path, history="off")) as server:
        page = opening(server.url)
        option(page, "File", "SVG")
        draw(page)
        expect(tiles(page)).to_have_count(1)
        assert _save(page, open_first(page), "SVG")[1].startswith(b"<svg")
