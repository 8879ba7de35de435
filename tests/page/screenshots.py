"""Screenshots of every view with pictures of the model: python -m tests.page.screenshots

Writes them into docs/images/ as WebP. `tests/page/test_screenshots.py` makes the same with test
cards, so that a view that cannot be shown is noticed.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.page.steps import draw, open_first, tiles
from tests.page.test_access import write_run
from tests.server.helpers import Server, make_settings, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROMPTS = (
    "a red apple",
    "a sleeping cat",
    "a blue bird",
    "a cup of tea",
    "一只红色的狐狸",
    "a lighthouse",
    "a sunflower",
    "a bicycle",
    "a slice of pizza",
    "a green frog",
    "a hot air balloon",
    "a penguin",
)
THINGS = {  # left, top, right and bottom in shares of the sheet
    "a cat": (0.05, 0.35, 0.5, 0.95),
    "a yellow balloon": (0.55, 0.06, 0.95, 0.5),
    "a red apple": (0.6, 0.62, 0.88, 0.92),
}
WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
IMAGES = Path(__file__).parents[2] / "docs" / "images"


def shoot(server: Server, browser: Browser, folder: Path, **body: Any) -> list[Path]:
    """Fill the gallery with `PROMPTS`, draw once more on the page, and show every view."""
    for number, prompt in enumerate(PROMPTS[::-1]):
        answer = server.generate(prompt=prompt, seed=7 + number, size="512x512", **body)
        answer.raise_for_status()
    made = []

    def keep(page: Page, name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.evaluate("scrollTo(0, 0)")
        page.mouse.move(0, 0)
        made.append(_write(page.screenshot(), folder / f"{name}.webp"))

    page = _open(browser, server)
    place(page)
    keep(page, "page-place")
    page.get_by_role("button", name="Clear").click()
    page.keyboard.press("Escape")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Seed").fill("11")
    draw(page, "a red fox")
    expect(tiles(page)).to_have_count(len(PROMPTS) + 1, timeout=180_000)
    keep(page, "page-options")
    page.get_by_text("Options", exact=True).click()
    keep(page, "page")
    window = open_first(page)
    keep(page, "page-picture")
    window.get_by_role("button", name="What does the model see?").click()
    found = window.get_by_role("heading", name="What the model thinks it drew")
    expect(found).to_be_visible(timeout=60_000)
    found.scroll_into_view_if_needed()
    keep(page, "page-look")
    window.get_by_role("button", name="Change", exact=True).click()
    board = page.get_by_role("application")
    expect(board).to_be_visible()
    box = board.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    for x, y in ((0.45, 0.14), (0.6, 0.13), (0.72, 0.2), (0.55, 0.24), (0.4, 0.26)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=6)
    page.mouse.up()
    window = page.get_by_role("dialog", name="Change a picture")
    window.get_by_label("What should be there").fill("a red fox with a yellow hat")
    keep(page, "page-change")
    window.get_by_role("button", name="Draw", exact=True).click()
    expect(tiles(page)).to_have_count(len(PROMPTS) + 2, timeout=180_000)
    open_first(page).get_by_role("button", name="Compare with before").click(timeout=60_000)
    keep(page, "page-compare")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    write_run(server.service.settings.home, (IMAGES.parent / "contact-sheet.png").read_bytes())
    page.get_by_role("link", name="Admin").click()
    expect(page.get_by_text("nano-2 · generator")).to_be_visible()
    keep(page, "page-admin")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Help").click()
    keep(page, "page-help")
    for name, options in (
        ("page-dark", {"color_scheme": "dark"}),
        ("page-phone", {"viewport": PHONE, "locale": "zh-CN"}),
    ):
        other = _open(browser, server, **options)
        expect(other.locator(".tile").first).to_be_visible()
        keep(other, name)
    with (
        tempfile.TemporaryDirectory() as home,
        running(make_settings(Path(home), api_keys="sk-of-the-screenshots")) as locked,
    ):
        other = _open(browser, locked)
        expect(other.get_by_role("dialog")).to_be_visible()
        keep(other, "page-key")
        other.context.close()
    return made


def place(page: Page) -> None:
    """Open the sheet and put three things on it."""
    page.get_by_role("link", name="Place things").click()
    sheet = page.locator(".placing").bounding_box()
    assert sheet
    for words, (left, top, right, bottom) in THINGS.items():
        places = ((left, top), (right, bottom))
        (x0, y0), (x1, y1) = (
            (sheet["x"] + x * sheet["width"], sheet["y"] + y * sheet["height"]) for x, y in places
        )
        page.mouse.move(x0, y0)
        page.mouse.down()
        page.mouse.move(x1, y1, steps=3)
        page.mouse.up()
        page.keyboard.type(words)


def _open(browser: Browser, server: Server, **options: Any) -> Page:
    values: dict[str, Any] = {
        "viewport": WIDE,
        "locale": "en-GB",
        "color_scheme": "light",
        "reduced_motion": "reduce",
    }
    page = browser.new_context(**(values | options)).new_page()
    page.goto(server.url)
    return page


def _write(data: bytes, path: Path) -> Path:
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB").save(path, "WEBP", quality=72, method=6)
    return path


def main() -> int:
    """Draw with the model, and write into docs/images/."""
    with (
        tempfile.TemporaryDirectory() as home,
        running(make_settings(Path(home), engine="onnx")) as server,
        sync_playwright() as playwright,
    ):
        server.http.timeout = 300
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for path in shoot(server, browser, IMAGES, model="nano"):
            print(f"{path.name} {path.stat().st_size / 1e3:.0f} kB")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
