"""`limner draw`: paths on stdout, words on stderr, whole files, and an exit code that tells why."""

import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import limner
from limner.imaging import codec as px
from tests.cli.conftest import Run

CARD = ("--engine", "testcard", "--size", "256x256")
LAST_LINE = re.compile(r"drew (1 picture|\d+ pictures) in \d+\.\d s with seed (\d+)\n")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_picture_in_the_file_asked_for(run_apart: Run, folder: Path) -> None:
    done = run_apart("draw", "a red fox", "--seed", "7", "-o", "fox.png", *CARD)
    assert (done.returncode, done.stdout) == (0, "fox.png\n")
    assert LAST_LINE.fullmatch(done.stderr)
    data = (folder / "fox.png").read_bytes()
    [expected] = limner.generate("a red fox", seed=7, size="256x256", engine="testcard")
    assert np.array_equal(px.decode(data), expected.pixels)
    assert px.read_text(data) == expected.text()
    assert _names(folder) == ["fox.png"]


def test_several_pictures_are_numbered_and_differ(run: Run, folder: Path) -> None:
    done = run("draw", "a red fox", "-n", "3", "-o", "fox.webp", *CARD)
    assert done.stdout == "fox-1.webp\nfox-2.webp\nfox-3.webp\n"
    files = [(folder / name).read_bytes() for name in done.stdout.split()]
    assert len(set(files)) == 3
    assert [px.read_text(file)["index"] for file in files] == ["0", "1", "2"]
    seed = LAST_LINE.fullmatch(done.stderr)[2]  # type: ignore[index]
    assert {px.read_text(file)["seed"] for file in files} == {seed}


def test_seed_on_the_last_line_draws_the_same_again(run: Run, folder: Path) -> None:
    first = run("draw", "a red fox", "-o", "a.png", *CARD)
    seed = LAST_LINE.fullmatch(first.stderr)[2]  # type: ignore[index]
    run("draw", "a red fox", "-o", "b.png", "--seed", seed, *CARD)
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()


def test_without_a_name_the_prompt_names_it_and_nothing_is_overwritten(
    run: Run, folder: Path
) -> None:
    (folder / "a-red-fox-7.png").write_bytes(b"mine")
    names = [run("draw", "A red fox!", "--seed", "7", *CARD).stdout for _ in range(2)]
    assert names == ["a-red-fox-7_2.png\n", "a-red-fox-7_3.png\n"]
    assert (folder / "a-red-fox-7.png").read_bytes() == b"mine"


def test_named_file_is_overwritten(run: Run, folder: Path) -> None:
    (folder / "fox.jpg").write_bytes(b"old")
    run("draw", "a red fox", "-o", "fox.jpg", *CARD)
    assert (folder / "fox.jpg").read_bytes().startswith(b"\xff\xd8")


def test_folder_may_be_named(run: Run, folder: Path) -> None:
    (folder / "out").mkdir()
    done = run("draw", "雪の狐", "-n", "2", "--seed", "1", "-o", "out/", *CARD)
    assert done.stdout == "out/雪の狐-1-1.png\nout/雪の狐-1-2.png\n"
    assert _names(folder / "out") == ["雪の狐-1-1.png", "雪の狐-1-2.png"]


def test_transparent_background_reaches_the_file(run: Run, folder: Path) -> None:
    run("draw", "a fox", "--background", "transparent", "-o", "a.png", *CARD)
    assert px.decode((folder / "a.png").read_bytes())[0, 0, 3] == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (
            ["draw", " "],
            2,
            'error: Prompt is empty\n\nhint: say what to draw, such as "a red apple"',
        ),
        (["draw", "fox", "-n", "11"], 2, "error: n is 11; it must be between 1 and 10"),
        (["draw", "fox", "-n", "x"], 2, "error: Invalid value for '-n'"),
        (
            ["draw", "fox", "--size", "300x300"],
            2,
            "error: Size 300x300 is not drawn\n\nhint: sizes",
        ),
        (["draw", "fox", "--quality", "best"], 2, "error: quality is 'best'"),
        (["draw", "fox", "--seed", "-1"], 2, "error: seed is -1"),
        (["draw", "fox", "--background", "red"], 2, "error: background is 'red'"),
        (["draw"], 2, "error: Missing argument 'PROMPT'\n\nhint: limner draw --help"),
        (["draw", "fox", "--sise", "1"], 2, "error: No such option '--sise'"),
        (["paint"], 2, "error: No such command 'paint'"),
        (
            ["draw", "fox", "--engine", "oil"],
            6,
            "error: Engine 'oil' is not known\n\nhint: engines",
        ),
        (["draw", "fox", "-o", "fox.bmp"], 4, "error: Cannot tell the format of fox.bmp"),
        (["draw", "fox", "-o", "no/fox.png"], 4, "hint: make the folder first: mkdir -p no"),
        (["draw", "fox", "-o", "no/"], 4, "error: There is no folder no"),
        (
            ["draw", "fox", "-o", "fox.jpg", "--background", "transparent"],
            2,
            "cannot be transparent",
        ),
    ],
)
def test_refusal_is_two_lines_and_an_exit_code(
    run: Run, folder: Path, arguments: list[str], exit_code: int, words: str
) -> None:
    done = run(*arguments)
    assert done.returncode == exit_code
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert _names(folder) == []


def test_prompt_that_is_not_utf8_is_refused(command: list[str], folder: Path) -> None:
    done = subprocess.run([*command, "draw", b"fox \xff"], cwd=folder, capture_output=True)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: Prompt holds U+DCFF")


@pytest.mark.parametrize("place", ["/proc/fox.png", "file/fox.png"])
def test_output_is_checked_before_anything_is_drawn(run: Run, folder: Path, place: str) -> None:
    (folder / "file").write_bytes(b"")
    done = run("draw", "fox", "-o", place, "--engine", "unknown")
    assert done.returncode == 4  # not 6, which loading the engine would have given
    assert done.stderr.startswith(f"error: Cannot write {place}: ")


def test_one_bad_place_among_several_is_found_before_drawing(run: Run, folder: Path) -> None:
    (folder / "fox-3.png").mkdir()
    done = run("draw", "fox", "-n", "3", "-o", "fox.png", *CARD)
    assert done.returncode == 4
    assert "fox-3.png: it is a folder" in done.stderr
    assert _names(folder) == ["fox-3.png"]


def test_full_disk_leaves_no_part_of_a_file(run_apart: Run, folder: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = run_apart("draw", "fox", "-o", "fox.png", *CARD, preexec_fn=limit)
    assert done.returncode == 4
    assert "error: Cannot write fox.png: file too large\n\nhint: free some space" in done.stderr
    assert done.stdout == ""
    assert _names(folder) == []


def test_device_as_output(run: Run) -> None:
    assert run("draw", "fox", "-n", "2", "-o", "/dev/null", *CARD).returncode == 0
    done = run("draw", "fox", "-o", "/dev/full", *CARD)
    assert done.returncode == 4
    assert "Cannot write /dev/full: no space left on device" in done.stderr


# Its engine waits before the last of ten pictures, or a busy test would interrupt nothing.
_NINE = """
import sys, time
from limner.cli import main
from limner.engines.testcard import CardEngine
draw = CardEngine.draw
def nine(self, *about):
    for one, event in draw(self, *about):
        if one.index == 9:
            time.sleep(100)
        yield one, event
CardEngine.draw = nine
sys.exit(main())
"""


def test_ctrl_c_stops_with_130_and_whole_files_only(command: list[str], folder: Path) -> None:
    arguments = ["draw", "fox", "-n", "10", "--engine", "testcard", "-o", "fox.png"]
    with subprocess.Popen(
        [command[0], "-c", _NINE, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"fox-1.png\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=110)
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    names = _names(folder)
    assert "fox-1.png" in names
    assert "fox-10.png" not in names
    assert all(name.startswith("fox-") for name in names)
    for name in names:
        px.decode((folder / name).read_bytes())


def test_reader_that_goes_away_is_no_traceback(command: list[str], folder: Path) -> None:
    line = '"$@" | true; echo "${PIPESTATUS[0]}"'
    arguments = [*command, "draw", "fox", "-n", "3", *CARD]
    done = subprocess.run(
        ["bash", "-c", line, "bash", *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.stdout == "1\n"
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def _on_terminal(
    command: list[str], arguments: list[str], folder: Path, **environ: str
) -> tuple[str, str]:
    """Run with stderr on a terminal; returns what came to stdout and to the terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, **environ},
    )
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 110
    while time.monotonic() < deadline:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other side has closed its terminal
            break
    os.close(ours)
    assert process.stdout is not None
    stdout = process.stdout.read().decode()
    process.stdout.close()
    assert process.wait(110) == 0
    return stdout, shown.decode()


COLOUR = re.compile(r"\x1b\[(\d+;)*[34][0-8]")


def test_terminal_gets_a_progress_bar_and_stdout_only_paths(
    command: list[str], folder: Path
) -> None:
    stdout, shown = _on_terminal(command, ["draw", "fox", "-n", "2", "-o", "a.png", *CARD], folder)
    assert stdout == "a-1.png\na-2.png\n"
    assert "━" in shown
    assert "100%" in shown
    assert COLOUR.search(shown)
    assert re.search(r"drew 2 pictures in [\d.]+ s with seed \d+\r\n$", shown)


def test_no_color_is_obeyed(command: list[str], folder: Path) -> None:
    arguments = ["draw", "fox", "-o", "a.png", "--show", "--seed", "3", *CARD]
    _, shown = _on_terminal(command, arguments, folder, NO_COLOR="1")
    assert "━" in shown
    assert "▒▒▒" in shown
    assert "▀" not in shown
    assert not COLOUR.search(shown)


def test_show_prints_the_picture_to_the_terminal_and_not_to_stdout(
    command: list[str], folder: Path
) -> None:
    stdout, shown = _on_terminal(command, ["draw", "fox", "-o", "a.png", "--show", *CARD], folder)
    assert stdout == "a.png\n"
    assert shown.count("▀") > 64 * 20


def test_installed_command_is_the_same_one(folder: Path) -> None:
    installed = Path(sys.executable).parent / "limner"
    if not installed.exists():
        pytest.skip("limner is not installed beside this Python; `make test` installs it")
    done = subprocess.run([installed, "--version"], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"limner {limner.__version__}\n")
