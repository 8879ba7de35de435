"""`limner trace`, and pictures drawn into .svg files."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

import limner
from limner.arrays import Pixels
from limner.imaging import codec as px
from tests.cli.conftest import Run

CARD = ("--engine", "testcard", "--size", "256x256")
SVG = "{http://www.w3.org/2000/svg}"


def _logo() -> Pixels:
    pixels = np.zeros((120, 160, 4), np.uint8)
    pixels[20:100, 20:140] = [200, 30, 30, 255]
    pixels[40:80, 60:100] = [255, 255, 255, 255]
    return pixels


def test_a_flat_picture_becomes_an_svg_file(run: Run, folder: Path) -> None:
    (folder / "logo.png").write_bytes(px.encode(_logo()))
    done = run("trace", "logo.png")
    assert (done.returncode, done.stdout) == (0, "logo.svg\n")
    assert "notice" not in done.stderr
    assert "paths" in done.stderr
    root = ET.fromstring((folder / "logo.svg").read_bytes())
    assert (root.get("width"), root.get("height")) == ("160", "120")
    # What is there is not overwritten unless it is named.
    assert run("trace", "logo.png").stdout == "logo_2.svg\n"
    assert run("trace", "logo.png", "-o", "logo.svg").stdout == "logo.svg\n"
    assert (folder / "logo.svg").read_bytes() == (folder / "logo_2.svg").read_bytes()


def test_what_is_lost_of_a_photograph_is_said(run: Run, folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 4)).astype(np.uint8)
    noise[..., 3] = 255
    (folder / "photo.png").write_bytes(px.encode(noise))
    done = run("trace", "photo.png", "--complexity", "low")
    assert done.returncode == 0
    assert "notice: " in done.stderr
    assert "photograph" in done.stderr


def test_wrong_files_and_names_are_refused(run: Run, folder: Path) -> None:
    (folder / "text.png").write_bytes(b"no picture")
    (folder / "logo.png").write_bytes(px.encode(_logo()))
    assert run("trace", "text.png").returncode == 5
    assert run("trace", "missing.png").returncode == 5
    done = run("trace", "logo.png", "-o", "logo.png")
    assert done.returncode == 4
    assert "name an .svg file" in done.stderr
    assert run("trace", "logo.png", "--complexity", "huge").returncode != 0
    assert [path.name for path in folder.glob("*.svg")] == []


def test_draw_writes_svg_by_the_ending(run: Run, folder: Path) -> None:
    prompt = "a <red> fox & co"
    done = run("draw", prompt, "--seed", "7", "-o", "fox.svg", *CARD)
    assert (done.returncode, done.stdout) == (0, "fox.svg\n")
    data = (folder / "fox.svg").read_bytes()
    assert ET.fromstring(data).findtext(f"{SVG}desc") == prompt
    [picture] = limner.generate(prompt, seed=7, size="256x256", engine="testcard")
    assert picture.svg().encode() == data
    assert picture.save(folder / "again.svg").read_bytes() == data
