"""`limner train` and `limner export`: stop and go on, from shapes to a picture, clear refusals."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from limner.cli import main
from limner.imaging import codec as px
from limner.storage.checkpoints import weights
from limner.training.weights import checkpoint
from limner.training.weights.init_from_weights import begin_run
from tests.cli.conftest import Run
from tests.support import tiny
from tests.training.test_loop import assert_same

pytestmark = pytest.mark.timeout(900)  # the machine may be busy with a training run

SHAPES = ("--preset", "tiny", "--data", "shapes")


def run_folder(home: Path, name: str = "mine") -> Path:
    return home / "training" / name


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "limner-home"  # where LIMNER_HOME points in every test


# --- refusals ---


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert "hint: " in printed.err
    return code, printed.err


def test_unknown_preset(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = refused(capsys, "train", "all", "--preset", "huge", "--data", "shapes")
    assert code == 2
    assert "error: Preset 'huge' is not known" in said
    assert "nano, nano-96" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["begin", "mine", "--stage", "upscaler", "--layouts"], "--layouts has no effect"),
        (["begin", "mine", "--stage", "planner", "--px", "96"], "--px has no effect"),
        (["export", "mine", "-o", "out", "--mix-share", "0.3"], "--mix-share has no effect"),
    ],
)
def test_option_without_effect_is_refused(
    capsys: pytest.CaptureFixture[str], line: list[str], said: str
) -> None:
    code, text = refused(capsys, *line)
    assert code == 2
    assert said in text


def test_option_without_effect_on_a_stage_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    line = ("train", "text-tokenizer", *SHAPES, "--rate", "0.5", "--device", "cpu")
    assert main(line) == 0
    said = capsys.readouterr().err
    for flag in ("--rate", "--device"):
        assert f"note: {flag} has no effect on the text tokenizer" in said
    assert main(("train", "upscaler", *SHAPES, "--depth", "2")) == 3
    assert "note: --depth has no effect on the upscaler" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "x" * 200])
def test_name_that_is_no_name_of_a_run(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, said = refused(capsys, "train", "upscaler", *SHAPES, "--name", name)
    assert code == 2
    assert f"error: {name!r} cannot be the name of a run" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device here")
@pytest.mark.parametrize("device", ["cuda", "abacus"])
def test_device_that_is_not_there(capsys: pytest.CaptureFixture[str], device: str) -> None:
    code, said = refused(capsys, "train", "image-tokenizer", *SHAPES, "--device", device)
    assert code == 2
    assert f"error: Device '{device}' cannot be used" in said


@pytest.mark.parametrize("stage", ["generator", "upscaler"])
def test_missing_earlier_stage(capsys: pytest.CaptureFixture[str], stage: str) -> None:
    code, said = refused(capsys, "train", stage, *SHAPES)
    assert code == 3
    assert "hint: train it first: limner train " in said


def test_no_such_folder_of_pictures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = str(tmp_path / "nowhere")
    code, said = refused(capsys, "train", "all", "--preset", "tiny", "--data", data)
    assert code == 5
    assert data in said


def test_broken_picture_is_named_and_nothing_is_begun(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, home: Path
) -> None:
    users_pictures(tmp_path / "mine")
    (tmp_path / "mine" / "p2.png").write_bytes(b"GIF89a and no more")
    data = str(tmp_path / "mine")
    code, said = refused(capsys, "train", "all", "--preset", "tiny", "--data", data)
    assert code == 5
    assert "p2.png" in said
    assert not run_folder(home).exists()


def test_home_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    given = ("--home", str(tmp_path / "file"), "--steps", "1")
    code, said = refused(capsys, "train", "image-tokenizer", *SHAPES, *given)
    assert code == 4
    assert "Cannot write" in said


def test_export_adds_boxes_and_says_flat_art(
    home: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The graphs take a minute; the slow test of the whole way has them.
    monkeypatch.setattr("limner.engines.transformer.export.folder.graphs", lambda bundle: {})
    begin_run(tiny_weights, home / "training" / "mine")
    output = tmp_path / "weights"
    assert main(["export", "mine", "-o", str(output), "--layouts", "--flat-art"]) == 0
    config = weights.read(output).config
    assert config["art"] == "flat"
    assert config["model"]["transformer"]["layouts"] is True


def test_export_averages_with_other_weights(
    home: Path,
    tiny_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("limner.engines.transformer.export.folder.graphs", lambda bundle: {})
    begin_run(tiny_weights, home / "training" / "mine")
    output = tmp_path / "weights"
    line = ["export", "mine", "-o", str(output), "--mix"]
    assert main([*line, str(tiny_weights), "--mix-share", "1"]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    code, said = refused(capsys, *line, "nano")
    assert code == 2
    assert "did not begin from these weights" in said


def test_run_that_is_not_there_or_not_finished_cannot_be_exported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output = tmp_path / "weights"
    code, said = refused(capsys, "export", "mine", "-o", str(output))
    assert code == 3
    assert "has no text-tokenizer yet" in said
    assert not output.exists()


# --- in this process: a stage or two, and drawing with weights of one's own ---


def users_pictures(folder: Path) -> None:
    folder.mkdir()
    for i in range(6):
        Image.new("RGB", (20 + i, 30), (40 * i, 90, 200)).save(folder / f"p{i}.png")
        (folder / f"p{i}.txt").write_text(f"a tall card, number {i}\n")


def test_users_pictures_train_and_the_run_is_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, home: Path
) -> None:
    users_pictures(tmp_path / "cards")
    given = ("--preset", "tiny", "--data", str(tmp_path / "cards"), "--steps", "2", "--name", "c")
    for stage in ("text-tokenizer", "image-tokenizer"):
        assert main(["train", stage, *given]) == 0
        printed = capsys.readouterr()
        assert printed.out == f"{run_folder(home, 'c')}\n"
        assert f"training the {stage}\n" in printed.err
    state = checkpoint.load(run_folder(home, "c") / "image-tokenizer" / "checkpoint")
    assert state is not None
    assert state["step"] == 2


def test_other_preset_on_the_same_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "image-tokenizer", *SHAPES, "--steps", "1"]) == 0
    capsys.readouterr()
    given = ("--preset", "nano", "--data", "shapes", "--steps", "1")
    code, said = refused(capsys, "train", "image-tokenizer", *given)
    assert code == 3
    assert "is of a model of another shape" in said


def test_draw_with_exported_weights(run: Run, folder: Path, tiny_weights: Path) -> None:
    given = ("draw", "a red apple", "--seed", "5", "--size", "256x256", "-o")
    for name in ("a.png", "b.png"):
        done = run(*given, name, LIMNER_WEIGHTS=str(tiny_weights))
        assert (done.returncode, done.stdout) == (0, f"{name}\n")
    one, other = ((folder / name).read_bytes() for name in ("a.png", "b.png"))
    assert one == other
    assert px.decode(one).shape == (256, 256, 4)
    assert px.read_text(one)["model"] == tiny.NAME


def test_draw_with_damaged_weights_leaves_no_file(
    run: Run, folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in tiny_weights.iterdir():
        data = bytearray(path.read_bytes())
        if path.name == "pixels.onnx":
            data[len(data) // 2] ^= 1
        (broken / path.name).write_bytes(data)
    done = run("draw", "a red apple", "-o", "a.png", LIMNER_WEIGHTS=str(broken))
    assert done.returncode == 3
    assert "pixels.onnx is damaged" in done.stderr
    assert "hint: " in done.stderr
    assert list(folder.iterdir()) == []


# --- as a process ---


def train(name: str, home: Path, steps: int) -> subprocess.Popen[str]:
    words = ["train", "image-tokenizer", *SHAPES, "--steps", str(steps), "--name", name]
    words += ["--precision", "float32"]  # else each process measures, and two may differ
    return subprocess.Popen(
        [sys.executable, "-m", "limner", *words, "--threads", "1", "--home", str(home)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ,
    )


@pytest.mark.slow  # test_loop.py does the same in its own process
def test_terminated_and_run_again_is_uninterrupted(command: list[str], tmp_path: Path) -> None:
    whole = train("whole", tmp_path, steps=60)
    parts = train("parts", tmp_path, steps=60)
    log = run_folder(tmp_path, "parts") / "image-tokenizer" / "log.jsonl"
    while not (log.exists() and log.read_text()) and parts.poll() is None:
        time.sleep(0.005)
    parts.send_signal(signal.SIGTERM)
    said = parts.communicate(timeout=800)[1]
    assert parts.returncode == 130
    assert "run the same command to go on" in said
    stopped = checkpoint.load(log.parent / "checkpoint")
    assert stopped is not None
    assert 20 <= stopped["step"] < 60
    again = train("parts", tmp_path, steps=60)
    for process in (whole, again):
        process.communicate(timeout=800)
        assert process.returncode == 0
    one, other = (
        checkpoint.load(run_folder(tmp_path, name) / "image-tokenizer" / "checkpoint")
        for name in ("whole", "parts")
    )
    assert_same(one, other)


@pytest.mark.slow
def test_trains_in_a_terminal(tmp_path: Path) -> None:
    terminal, its_side = pty.openpty()
    words = ["train", "image-tokenizer", *SHAPES, "--steps", "3", "--home", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "limner", *words, "--threads", "1"],
        stdin=its_side,
        stdout=its_side,
        stderr=its_side,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(its_side)
    said = b""
    with contextlib.suppress(OSError), open(terminal, "rb", buffering=0) as screen:
        while part := screen.read(4096):  # raises when the process has ended
            said += part
    assert process.wait() == 0, said
    assert b"3/3" in said


@pytest.mark.slow
def test_the_whole_way_from_shapes_to_a_picture(command: list[str], folder: Path) -> None:
    def ok(*words: str, **environ: str) -> str:
        done = subprocess.run(
            [*command, *words],
            cwd=folder,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    trained = ok("train", "all", *SHAPES, "--steps", "20", "--name", "toy")
    assert Path(trained).is_dir()
    assert ok("export", "toy", "--preset", "tiny", "-o", "weights") == "weights"
    for quality in ("low", "high"):
        name = f"{quality}.png"
        ok("draw", "a red star", "--quality", quality, "-o", name, LIMNER_WEIGHTS="weights")
        data = (folder / name).read_bytes()
        assert px.decode(data).shape == (1024, 1024, 4)
        assert px.read_text(data)["model"] == "toy"
