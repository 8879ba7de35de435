"""`limner sheet`: pages of fixed cases, all of them on it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.cli.drawing.sheet_pages import (
    CASES,
    PROMPTS,
    by_code,
    hatched,
)
from limner.errors import DataError
from tests.cli.conftest import Run


def test_there_are_128_different_prompts_of_every_kind() -> None:
    prompts = [row["prompt"] for row in json.loads(PROMPTS.read_text(encoding="utf-8"))]
    assert len(prompts) == len(set(prompts)) == 128
    assert sum(prompt.isascii() for prompt in prompts) >= 60
    assert sum(any("\u3400" <= letter <= "\u9fff" for letter in p) for p in prompts) >= 40
    for needed in ("🍎", "（", "！", "background", "风格", "next to", "three"):
        assert any(needed in prompt for prompt in prompts), needed
    assert max(map(len, prompts)) > 200


def test_what_is_changed_was_drawn_here() -> None:
    table = json.loads(CASES.read_text(encoding="utf-8"))
    for case in [*table["edits"], *table["variations"]]:
        assert ("source" in case) != ("code" in case)
        if "code" in case:
            assert by_code(case["code"]).shape == (256, 256, 4)
        left, top, right, bottom = case.get("mask", (0, 0, 1, 1))
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
    with pytest.raises(DataError, match="'photograph'"):
        by_code("photograph")


@pytest.mark.parametrize(
    ("page", "columns", "tile_px", "rows"),
    [
        ("prompts", 16, 150, 8),
        ("edits", 6, 256, 6),
        ("variations", 8, 192, 6),
        ("previews", 8, 192, 6),
        ("details", 8, 256, 4),
        ("svg", 8, 256, 4),
    ],
)
def test_a_page_has_a_tile_for_everything(
    run: Run, folder: Path, page: str, columns: int, tile_px: int, rows: int
) -> None:
    result = run("sheet", page, "--engine", "testcard")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{page}.png\n"
    with Image.open(folder / f"{page}.png") as image:
        shown = np.asarray(image.convert("RGB"))
    assert shown.shape[1] == columns * (tile_px + 8)
    for row in np.split(shown, rows):
        for tile in np.split(row, columns, axis=1):
            assert tile.std() > 5, "an empty tile"


def test_art_beside_anything_but_prompts_is_refused(run: Run) -> None:
    result = run("sheet", "edits", "--art", "--engine", "testcard")
    assert result.returncode == 2
    assert "--art" in result.stderr


def test_a_mask_is_shown_where_it_is_and_only_there() -> None:
    picture = np.zeros((32, 32, 4), np.uint8)
    masked = np.zeros((32, 32), bool)
    masked[8:16] = True
    shown = hatched(picture, masked)
    assert (shown[masked][:, 3] == 255).all()
    assert len(np.unique(shown[masked], axis=0)) == 2
    assert not shown[~masked].any()
