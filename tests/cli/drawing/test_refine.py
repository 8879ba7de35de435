"""`limner draw --refine` and `limner edit --where`: what is said, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from limner.imaging import codec as px
from tests.cli.conftest import Run

CARD = ("--engine", "testcard", "--size", "256x256")


def test_refining_says_what_was_tried_and_repeats(run: Run, folder: Path) -> None:
    """A test card shows no bicycle, so it is drawn three times."""
    files = []
    for name in ("a.png", "b.png"):
        done = run("draw", "a bicycle", "--seed", "7", "--refine", "-o", name, *CARD)
        assert (done.returncode, done.stdout) == (0, f"{name}\n")
        assert "note: Picture 1 was refined: 1. seed 7 (not seen: a bicycle" in done.stderr
        assert "was kept" in done.stderr
        files.append((folder / name).read_bytes())
    assert files[0] == files[1]
    assert len(json.loads(px.read_text(files[0])["refined"])["tries"]) == 3


def test_edit_by_words_says_what_is_seen(run: Run, folder: Path) -> None:
    Image.new("RGBA", (96, 64)).save(folder / "clear.png")
    edit = ("edit", "clear.png", "a hat", "--where", "the apple")
    done = run(*edit, "-o", "a.png", *CARD)
    assert done.returncode == 2
    assert "'the apple' was not found" in done.stderr
    done = run(*edit, "--mask", "clear.png", *CARD)
    assert done.returncode == 2
    assert "give one of them" in done.stderr
    done = run("edit", "clear.png", "a hat", "--refine", *CARD)
    assert done.returncode == 2
    assert "Only pictures from text are refined" in done.stderr
