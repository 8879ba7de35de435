"""How far a training run is, on a terminal and in a file."""

import pytest

from limner.training.display import StepDisplay


def test_a_terminal_shows_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with StepDisplay(4, 12) as display:
        display.step(5)
        display.note("loss 2.5000")
        display.step(6)
    said = capsys.readouterr().err
    assert "6/12" in said
    assert "loss 2.5000" in said


def test_a_file_gets_the_first_step_as_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    with StepDisplay(4, 12) as display:
        display.step(5)
        display.step(6)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1, said
    assert said[0].startswith("step 5 of 12, ")
    assert said[0].endswith(" left")
