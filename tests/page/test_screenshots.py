"""Every view can be shown; `python -m tests.page.screenshots` writes them for the documents."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from tests.page.screenshots import IMAGES, shoot
from tests.server.helpers import Server


def test_every_view_is_shown(browser: Browser, able_site: Server, tmp_path: Path) -> None:
    made = shoot(able_site, browser, tmp_path, model="testcard")
    assert len(made) == 12
    for path in made:
        with Image.open(path) as image:
            colours = image.convert("RGB").getcolors(2**24)
            assert colours
            assert len(colours) > 200, f"{path.name} is nearly blank"
        documented = IMAGES / path.name
        assert documented.exists(), f"{path.name} is not in docs/images"
        assert documented.stat().st_size < 150_000
