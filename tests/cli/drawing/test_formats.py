"""Formats of drawings on the command line, and pictures on the standard output."""

import io
import os
import pty
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import limner
from limner.imaging import codec as px
from tests.cli.conftest import Run

CARD = ("--engine", "testcard", "--size", "256x256")


def _bytes(command: list[str], folder: Path, *arguments: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, timeout=110)
    return done.returncode, done.stdout, done.stderr


def test_the_standard_output_gets_the_bytes_of_the_file(
    command: list[str], run: Run, folder: Path
) -> None:
    for format in ("png", "svg", "gif"):
        asked = ("draw", "a fox", "--seed", "7", *CARD)
        more = ("--frames", "3") if format == "gif" else ()
        code, data, said = _bytes(command, folder, *asked, *more, "--format", format, "-o", "-")
        assert (code, list(folder.iterdir())) == (0, [])
        assert b"drew 1 picture" in said
        written = run(*asked, *more, "-o", f"fox.{format}").stdout.strip()
        assert (folder / written).read_bytes() == data
        (folder / written).unlink()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["-o", "fox.svg", "--frames", "4"], "--frames has no effect in SVG files"),
        (["-o", "fox.gif", "--complexity", "low"], "--complexity has no effect in GIF files"),
        (["--frame-duration", "90"], "--frame-duration has no effect in PNG files"),
    ],
)
def test_options_of_other_formats_are_refused(
    run: Run, folder: Path, line: list[str], said: str
) -> None:
    done = run("draw", "a fox", *CARD, *line)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert list(folder.iterdir()) == []


def test_trace_writes_to_the_standard_output(command: list[str], folder: Path) -> None:
    logo = np.full((64, 64, 4), 255, np.uint8)
    logo[16:48, 16:48, :3] = [200, 30, 30]
    (folder / "logo.png").write_bytes(px.encode(logo))
    code, data, said = _bytes(command, folder, "trace", "logo.png", "-o", "-")
    assert code == 0
    assert data.startswith(b"<svg ")
    assert b"traced 2 paths" in said
    assert [path.name for path in folder.iterdir()] == ["logo.png"]


def test_what_the_standard_output_cannot_take_is_refused(run: Run, folder: Path) -> None:
    done = run("draw", "a fox", "-n", "2", "-o", "-", *CARD)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Only one picture fits on the standard output, but n is 2" in done.stderr
    done = run("draw", "a fox", "--show", "-o", "-", *CARD)
    assert (done.returncode, done.stdout) == (2, "")
    done = run("draw", "a fox", "-o", "-", "--format", "jpeg", "--background", "transparent", *CARD)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_terminal_gets_no_bytes(command: list[str], folder: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [*command, "draw", "a fox", "-o", "-", *CARD],
            cwd=folder,
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=110,
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert done.returncode == 4
    assert b"is a terminal" in done.stderr


def test_a_reader_that_leaves_is_one_line(command: list[str], folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*command, "draw", "a fox", "-o", "-", *CARD],
            cwd=folder,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=110,
        )
    finally:
        os.close(writing)
    assert done.returncode == 4
    assert b"Cannot write standard output: broken pipe" in done.stderr
    assert b"Traceback" not in done.stderr


def test_format_is_of_names_that_are_not_given(run: Run, folder: Path) -> None:
    done = run("draw", "a fox", "--seed", "7", "--format", "svg", "-n", "2", *CARD)
    assert done.stdout == "a-fox-7-1.svg\na-fox-7-2.svg\n"
    done = run("draw", "a fox", "--format", "svg", "-o", "fox.png", *CARD)
    assert done.returncode == 2
    assert "fox.png is the name of another format than svg" in done.stderr
    assert run("draw", "a fox", "--format", "tiff", *CARD).returncode == 2


def test_frames_and_complexity(run: Run, folder: Path) -> None:
    more = ("--frames", "4", "--frame-duration", "80")
    assert run("draw", "a fox", "--seed", "7", "-o", "fox.gif", *more, *CARD).returncode == 0
    [picture] = limner.generate("a fox", seed=7, size="256x256", engine="testcard")
    data = (folder / "fox.gif").read_bytes()
    assert data == picture.gif(4, 80)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.n_frames, image.info["duration"]) == (4, 80)  # type: ignore[attr-defined]
    done = run("draw", "a fox", "--frames", "17", "-o", "b.gif", *CARD)
    assert done.returncode == 2
    assert "frame_count is 17; it must be between 2 and 16" in done.stderr
    run("draw", "a fox", "--seed", "7", "--complexity", "low", "-o", "fox.svg", *CARD)
    assert (folder / "fox.svg").read_text() == picture.svg("low")
    assert picture.save(folder / "again.gif").read_bytes() == picture.gif()


def test_an_edit_that_keeps_a_photograph_is_no_svg(run: Run, folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 4)).astype(np.uint8)
    noise[..., 3] = 255
    noise[:48, :48, 3] = 0
    (folder / "photo.png").write_bytes(px.encode(noise))
    for name in ("hat.svg", "hat.gif"):
        done = run("edit", "photo.png", "a hat", "-o", name, "--engine", "testcard")
        assert done.returncode == 2
        assert "as in a photograph" in done.stderr
        assert not (folder / name).exists()
