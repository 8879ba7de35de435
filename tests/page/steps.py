"""What people do on the page, found by role and name as a screen reader finds it."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import expect

from tests.server.helpers import HISTORY, Server

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def prompt(page: Page) -> Locator:
    """The one text box that matters."""
    return page.get_by_label("Prompt")


def draw_by_keys(page: Page) -> None:
    """Ctrl+Enter, once there is a prompt and nothing else is drawn."""
    expect(page.get_by_role("button", name="Draw", exact=True).first).to_be_enabled()
    page.keyboard.press("Control+Enter")


def draw(page: Page, text: str = "a red apple") -> None:
    """Type and press "Draw"; does not wait for the picture."""
    expect(page.get_by_role("dialog")).to_have_count(0)  # under a window nobody can type
    prompt(page).fill(text)
    page.get_by_role("button", name="Draw", exact=True).click()


def say(page: Page, text: str) -> None:
    """Wait until the page says `text` where screen readers hear it."""
    expect(page.get_by_role("status").filter(has_text=text).first).to_be_attached()


def drawn(page: Page, text: str = "a red apple", n: int = 1) -> None:
    """Draw, and wait for the end and the gallery."""
    gallery = page.get_by_role("region", name="Gallery")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(gallery.get_by_text("Loading …")).to_have_count(0)
    before = tiles(page).count()
    draw(page, text)
    say(page, "Done" if n == 1 else f"{n} pictures done")
    expect(tiles(page)).to_have_count(before + n)


def tiles(page: Page) -> Locator:
    """The pictures of the gallery."""
    return page.get_by_role("region", name="Gallery").get_by_role("listitem")


def open_first(page: Page) -> Locator:
    """The latest picture, large."""
    tiles(page).first.get_by_role("link").click()
    window = page.get_by_role("dialog", name="Picture")
    expect(window).to_be_visible()
    return window


def option(page: Page, group: str, name: str) -> None:
    """Choose in the fold."""
    fold = page.get_by_text("Options", exact=True)
    if not page.get_by_role("group", name=group).is_visible():
        fold.click()
    page.get_by_role("group", name=group).get_by_role("radio", name=name, exact=True).check(
        force=True  # the words beside it lie over it
    )


def history(server: Server) -> list[dict[str, object]]:
    """What the server keeps, the latest first."""
    rows: list[dict[str, object]] = server.http.get(HISTORY).json()["data"]
    return rows


def picture(data: bytes) -> Image.Image:
    """A downloaded file, decoded."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def drop(page: Page, data: bytes, name: str, kind: str = "image/png") -> None:
    """Let a file fall onto the page."""
    page.evaluate(
        """([data, name, kind]) => {
          const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], name, {type: kind}));
          document.body.dispatchEvent(
            new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }""",
        [base64.b64encode(data).decode(), name, kind],
    )
