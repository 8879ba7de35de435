"""The small commands, and what holds for all of them."""

from pathlib import Path

import pytest

import limner
from limner import settings
from limner.cli import main
from limner.storage.checkpoints import weights
from tests.cli.conftest import Run


def test_settings_shows_value_and_origin_of_each(run: Run, folder: Path) -> None:
    (folder / "limner.toml").write_text("threads = 2\n")
    done = run("settings", LIMNER_ENGINE="testcard")
    rows = {line.split()[0]: line.split()[1:3] for line in done.stdout.splitlines()}
    assert rows.keys() == settings.fields().keys()
    assert rows["engine"] == ["testcard", "LIMNER_ENGINE"]
    assert rows["threads"] == ["2", "limner.toml"]
    assert rows["weights"] == ["nano", "default"]
    assert done.stderr == ""


def test_settings_points_at_variables_nobody_reads(run: Run) -> None:
    done = run("settings", LIMNER_THREDS="2")
    assert done.returncode == 0
    assert done.stderr == "note: LIMNER_THREDS is set, but no setting has that name\n"


def test_wrong_setting_stops_drawing_with_where_it_stands(run: Run, folder: Path) -> None:
    (folder / "limner.toml").write_text('threads = "many"\n')
    done = run("draw", "fox", "--engine", "testcard")
    assert done.returncode == 2
    assert done.stderr == (
        "error: Setting threads has the value 'many' (limner.toml); "
        "it must be a whole number from 0 to 1024\n"
    )


def test_engine_of_the_settings_draws(run: Run, folder: Path) -> None:
    done = run("draw", "fox", "--size", "256x256", "-o", "a.png", LIMNER_ENGINE="testcard")
    assert done.returncode == 0
    assert b"testcard" in (folder / "a.png").read_bytes()


def test_models_lists_engines_and_weights_and_finds_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    for name in ("good", "nano"):
        weights.write(tmp_path / name, {"kind": "test"}, contents={"part.bin": bytes(2_500_000)})
    assert main(["models"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["engine", "transformer", "*"] in [line[:3] for line in lines]
    assert "testcard" in [line[1] for line in lines]
    assert ["weights", "good", "2.5", "MB", "undamaged"] in lines
    assert ["weights", "nano", "*", "2.5", "MB", "undamaged"] in lines

    (tmp_path / "nano" / "part.bin").write_bytes(b"\1" * 2_500_000)
    assert main(["models"]) == 3
    printed = capsys.readouterr()
    assert "damaged" in printed.out.splitlines()[-1].split()
    assert printed.err.startswith(f"error: Checkpoint file {tmp_path}/nano/part.bin is damaged")


def test_models_of_what_ships_are_whole(run: Run) -> None:
    done = run("models")
    assert done.returncode == 0, done.stderr
    listed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("weights")]
    assert listed == weights.shipped()


def test_version_and_help(run: Run) -> None:
    assert run("--version").stdout == f"limner {limner.__version__}\n"
    shown = run("--help")
    assert shown.returncode == 0
    for name in ("draw", "models", "settings"):
        assert name in shown.stdout
    alone = run()
    assert (alone.returncode, alone.stdout) == (2, "")
    assert alone.stderr == shown.stdout


def test_help_names_every_choice(run: Run) -> None:
    shown = run("draw", "-h")
    assert shown.returncode == 0, shown.stderr
    for word in ("256x256", "low|medium|high", "auto|transparent|opaque", ".webp", "--show"):
        assert word in shown.stdout
