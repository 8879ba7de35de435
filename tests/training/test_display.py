"""How far a training run is, on a terminal and in a file."""

import pytest

from limner.training.display import StepDisplay


@pytest.mark.parametrize("is_terminal", [False, True])
def test_steps_and_loss_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_terminal: bool
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", str(int(is_terminal)))
    with StepDisplay(4, 7) as display:
        for step in (5, 6, 7):
            display.step(step, loss=step / 2)
    said = capsys.readouterr().err
    if is_terminal:
        assert "7/7" in said
        assert "loss 3.5000" in said
    else:  # the first step and the last one
        first, last = said.splitlines()
        assert first.startswith("step 5 of 7, loss 2.5000, ")
        assert last.startswith("step 7 of 7, loss 3.5000, ")
