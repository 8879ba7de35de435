"""The scripts in runs/ work: each is run for twenty steps on shapes, without a network."""

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from limner.engines.base import Picture
from limner.engines.transformer.backend import has_restorer
from limner.engines.transformer.backends.onnx_runtime import OnnxBackend
from limner.request import ImageRequest, Size

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "runs").glob("[!_]*.sh"))
MIB = 2**20


def _bash(script: Path, *arguments: Path, **variables: str) -> str:
    """Run a script as in a dry run; its output. No proxy and no index lets pip reach anything."""
    environ = os.environ | {
        "PYTHON": sys.executable,
        "PRESET": "tiny",
        "FINER": "tiny-48",
        "PX": "48",
        "DATA": "shapes",
        "STEPS": "20",
        "NAME": "dry",
        "DEVICE": "cpu",
        "WHEELS": "",
        "PIP_NO_INDEX": "1",
        **variables,
    }
    done = subprocess.run(
        ["bash", str(script), *map(str, arguments)], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_run_opens_with_its_command_hardware_time_and_figures(script: Path) -> None:
    head = script.read_text(encoding="utf-8").partition("\nset -e")[0]
    assert re.search(rf"^#   .*\b{script.name}\b", head, re.MULTILINE)
    assert re.search(r"^# Hardware +\S", head, re.MULTILINE)
    assert re.search(r"^# Time +\S", head, re.MULTILINE)
    assert re.search(r"^# (Figures|Result) +\S", head, re.MULTILINE)


@pytest.mark.parametrize("script", sorted((ROOT / "runs").glob("*.sh")), ids=lambda p: p.name)
def test_the_shell_can_read_it(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


def _drawn(weights: Path) -> Picture:
    from limner.engines.transformer.engine import TransformerEngine

    request = ImageRequest("a red circle", size=Size(256, 256), quality="low", seed=1)
    [picture] = [
        e for e in TransformerEngine.load(weights).generate(request) if isinstance(e, Picture)
    ]
    return picture


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nano_is_made_by_one_script(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    output = _bash(ROOT / "runs" / "cpu_nano.sh", OUT=str(weights))
    assert output.splitlines()[-1] == str(weights)
    assert _drawn(weights).pixels.shape == (256, 256, 4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_goes_on_from_weights_that_ship_at_more_pixels(
    tiny_weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "weights"
    _bash(ROOT / "runs" / "cpu_nano.sh", OUT=str(out), FROM=str(tiny_weights), NAME="again")
    assert _drawn(out).model == "again"
    trained = Path(os.environ["LIMNER_HOME"]) / "training" / "again"
    assert (trained / "generator" / "log.jsonl").exists()
    assert '"looks"' in (trained / "image-tokenizer" / "log.jsonl").read_text(encoding="utf-8")
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["model"]["transformer"]["grid"] == 6


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_layouts_are_learned_from_weights_that_draw(tiny_weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights"
    script = ROOT / "runs" / "cpu_nano_192.sh"
    _bash(script, OUT=str(out), FROM=str(tiny_weights), NAME="boxes", LAYOUTS="tiny-layouts")
    assert json.loads((out / "config.json").read_text(encoding="utf-8"))["name"] == "boxes"
    layouts = OnnxBackend(out, threads=1).layouts
    assert layouts is not None
    assert layouts.shape.side == 4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_styles_are_learned_and_averaged(tiny_weights: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes"  # FROM has boxes, as the weights that ship do
    tiny = {"BOXES": "tiny-layouts", "STYLES": "tiny-layouts", "LAYOUTS": "tiny-layouts"}
    layouts, styles = (ROOT / "runs" / f"cpu_nano_{name}.sh" for name in ("192", "styles"))
    _bash(layouts, OUT=str(boxes), FROM=str(tiny_weights), NAME="b", **tiny)
    out = tmp_path / "weights"
    _bash(styles, OUT=str(out), FROM=str(boxes), NAME="mixed", **tiny)
    assert json.loads((out / "config.json").read_text(encoding="utf-8"))["name"] == "mixed"
    assert OnnxBackend(out, threads=1).layouts is not None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_restorer_is_added_to_weights(tiny_weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights"
    _bash(ROOT / "runs" / "cpu_nano_restorer.sh", OUT=str(out), FROM=str(tiny_weights))
    assert has_restorer(OnnxBackend(out, threads=1))
    assert _drawn(out).pixels.shape == (256, 256, 4)


def _packed(folder: Path) -> Path:
    """What travels to the machine with the GPU."""
    output = _bash(ROOT / "runs" / "h200_pack.sh", folder)
    assert f"{folder}: " in output
    return folder


def _brought_back(out: Path) -> set[str]:
    """Unpack a run's results into LIMNER_HOME/training; the names of what they hold."""
    files = sorted(out.iterdir())
    assert len(files) <= 8
    assert all(0 < file.stat().st_size < 16 * MIB for file in files)
    whole = out.parent / f"{out.name}.tar"
    whole.write_bytes(b"".join(f.read_bytes() for f in sorted(out.glob("dry.tar.*"))))
    with tarfile.open(whole) as archive:
        archive.extractall(Path(os.environ["LIMNER_HOME"]) / "training", filter="data")
        return set(archive.getnames())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_small_is_made_by_three_runs_that_start_from_one_folder(tmp_path: Path) -> None:
    def run(script: str, number: int) -> set[str]:
        folder = _packed(tmp_path / f"folder{number}")
        out = tmp_path / f"out{number}"
        work = str(tmp_path / f"work{number}")
        # It lies apart from the repository, as it would on another machine.
        _bash(folder / script, out, WORK=work, LIMNER_HOME="/nowhere")
        assert "training the" in (out / "log.txt").read_text(encoding="utf-8")
        return _brought_back(out)

    names = run("h200_tokenizer.sh", 1)
    assert "dry/text-tokenizer/text_tokenizer.json" in names
    assert {"dry/image-tokenizer/checkpoint", "dry/upscaler/checkpoint"} < names
    assert "dry/generator/checkpoint" in run("h200_generator.sh", 2)
    assert "dry/generator/log.jsonl" in run("h200_continue.sh", 3)
    home = Path(os.environ["LIMNER_HOME"])
    weights = tmp_path / "weights"
    command = [sys.executable, "-m", "limner", "export", "dry", "--preset", "tiny"]
    subprocess.run([*command, "-o", str(weights), "--home", str(home)], check=True)
    assert _drawn(weights).pixels.shape == (256, 256, 4)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_continued_run_needs_something_to_go_on_from(tmp_path: Path) -> None:
    folder = _packed(tmp_path / "folder")
    command = ["bash", str(folder / "h200_continue.sh"), str(tmp_path / "out")]
    environ = os.environ | {"PYTHON": sys.executable, "WORK": str(tmp_path / "work")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert "run h200_generator.sh first" in done.stdout
