"""`limner edit` and `limner vary`: as `limner draw`, beginning with a picture."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import limner
from limner.imaging import codec as px
from tests.cli.conftest import Run
from tests.support.hostile import animation, bomb

CARD = ("--engine", "testcard")


@pytest.fixture
def cat(folder: Path) -> Path:
    """A picture of 96x64 in the folder, opaque."""
    path = folder / "My Cat.png"
    Image.new("RGB", (96, 64), (200, 120, 40)).save(path)
    return path


def save(path: Path, width: int, height: int, clear: int = 0, **how: Any) -> None:
    """A mask that is clear in its first `clear` columns."""
    image = Image.new("RGBA", (width, height), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, clear, height))
    image.save(path, **how)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".txt")


def test_edit_writes_a_picture_of_the_sources_size(run: Run, folder: Path, cat: Path) -> None:
    save(folder / "mask.png", 96, 64, clear=20)
    done = run("edit", cat.name, "a hat", "--mask", "mask.png", "--seed", "7", "-o", "a.png", *CARD)
    assert (done.returncode, done.stdout) == (0, "a.png\n")
    assert re.fullmatch(r"drew 1 picture in [\d.]+ s with seed 7\n", done.stderr)
    data = (folder / "a.png").read_bytes()
    mask = folder / "mask.png"
    [expected] = limner.edit(cat, "a hat", mask=mask, seed=7, engine="testcard")
    assert np.array_equal(px.decode(data), expected.pixels)
    assert expected.pixels.shape == (64, 96, 4)
    assert px.read_text(data) == expected.text()


def test_vary_and_the_names_of_new_files(run: Run, folder: Path, cat: Path) -> None:
    arguments = ("-n", "2", "--size", "256x256", "--seed", "7", *CARD)
    done = run("vary", cat.name, *arguments)
    assert done.stdout == "my-cat-variation-7-1.png\nmy-cat-variation-7-2.png\n"
    pictures = limner.vary(cat, n=2, size="256x256", seed=7, engine="testcard")
    for name, expected in zip(done.stdout.split(), pictures, strict=True):
        assert np.array_equal(px.decode((folder / name).read_bytes()), expected.pixels)
    assert run("edit", cat.name, "A hat!", "--seed", "7", *CARD).stdout == "a-hat-7.png\n"


def test_the_model_edits_and_varies(run: Run, folder: Path, cat: Path) -> None:
    save(folder / "mask.png", 96, 64, clear=20)
    how = ("--quality", "low", "--seed", "3", "-o", "a.png")
    done = run("edit", cat.name, "a blue star", "--mask", "mask.png", *how)
    assert done.returncode == 0, done.stderr
    result = px.decode((folder / "a.png").read_bytes())
    source = px.decode(cat.read_bytes())
    assert np.array_equal(result[:, 20:], source[:, 20:])
    assert not np.array_equal(result[:, :20], source[:, :20])
    assert run("vary", cat.name, *how, "--size", "128x128").stdout == "a.png\n"
    assert px.decode((folder / "a.png").read_bytes()).shape == (128, 128, 4)


def test_a_picture_may_be_written_over_itself(run: Run, folder: Path, cat: Path) -> None:
    before = cat.read_bytes()
    assert run("edit", cat.name, "a hat", "-o", cat.name, *CARD).returncode == 0
    assert cat.read_bytes() != before
    assert names(folder) == [cat.name]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["edit", "none.png", "a hat"], 5, "error: Cannot read none.png: no such file"),
        (["vary", "none.png"], 5, "error: Cannot read none.png: no such file"),
        (["vary", "."], 5, "error: Cannot read .: is a directory"),
        (["edit", "text.txt", "a hat"], 5, "text.txt: The picture is damaged, or none that is"),
        (["edit", "cut.txt", "a hat"], 5, "cut.txt: The picture is damaged"),
        (["edit", "bomb.txt", "a hat"], 5, "bomb.txt: The picture is too large"),
        (["vary", "moves.txt"], 5, "moves.txt: The picture is animated: it has 2 frames"),
        (["edit", "cat.txt", "a hat", "--mask", "none.png"], 5, "Cannot read none.png"),
        (["edit", "cat.txt", "a hat", "--mask", "wide.txt"], 2, "The mask is 50x64 pixels and"),
        (["edit", "cat.txt", "a hat", "--mask", "cat.txt"], 2, "nowhere fully transparent"),
        (["edit", "cat.txt", "a hat", "--mask", "solid.txt"], 2, "there is nothing to draw"),
        (["edit", "cat.txt", " "], 2, "error: Prompt is empty"),
        (["edit", "cat.txt"], 2, "error: Missing argument 'PROMPT'"),
        (["edit", "cat.txt", "a hat", "--size", "100x100"], 2, "error: Size 100x100 is not drawn"),
        (["vary", "cat.txt", "--size", "96x64x"], 2, "is not of the form WIDTHxHEIGHT"),
        (["vary", "cat.txt", "-n", "11"], 2, "error: n is 11"),
    ],
)
def test_refusal_is_two_lines_an_exit_code_and_no_file(
    run: Run, folder: Path, arguments: list[str], exit_code: int, words: str
) -> None:
    solid = Image.new("RGB", (96, 64), (200, 120, 40))
    solid.save(folder / "cat.txt", "PNG")
    (folder / "cut.txt").write_bytes((folder / "cat.txt").read_bytes()[:90])
    (folder / "text.txt").write_text("hello")
    (folder / "bomb.txt").write_bytes(bomb(20_000))
    save(folder / "wide.txt", 50, 64, clear=20, format="PNG")
    save(folder / "solid.txt", 96, 64, format="PNG")
    (folder / "moves.txt").write_bytes(animation())
    done = run(*arguments, *CARD)
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert names(folder) == []
