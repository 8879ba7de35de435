"""`limner evaluate` up to the judge, which needs downloads: what it says and what it asks for."""

from pathlib import Path

import numpy as np
import pytest

from limner.evaluation.ask_studio import drawer
from limner.settings import load
from limner.studio import Studio
from tests.cli.conftest import Run


def test_help_says_what_it_needs(run: Run) -> None:
    result = run("evaluate", "--help")
    assert result.returncode == 0
    assert "limner data build" in result.stdout
    assert "--best-of" in result.stdout


def test_an_unknown_split_is_refused_before_anything_is_trained(run: Run) -> None:
    result = run("evaluate", "--engine", "testcard", "--splits", "in_distribution,S9")
    assert result.returncode == 5
    assert "'S9'" in result.stderr
    assert result.stdout == ""


def test_an_unknown_engine_is_refused_before_anything_is_trained(run: Run) -> None:
    result = run("evaluate", "--engine", "telepathy")
    assert result.returncode == 6
    assert "testcard" in result.stderr


def test_an_unknown_part_is_refused_before_anything_is_drawn(run: Run) -> None:
    result = run("evaluate", "--engine", "testcard", "--only", "compositions,taste")
    assert result.returncode == 5
    assert "'taste'" in result.stderr
    assert result.stdout == ""
    result = run("evaluate", "--engine", "testcard", "--purpose", "please")
    assert result.returncode == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--only", "masks", "--splits", "paraphrase"], "--splits has no effect beside --only"),
        (["--only", "masks", "--best-of", "4"], "--best-of has no effect without a split"),
        (["--only", "masks", "--languages", "en"], "--languages has no effect"),
        (["--parts", "edits", "--purpose", "choose"], "--purpose has no effect"),
        (["--splits", "", "--sheet", "page.png"], "--sheet has no effect without a split"),
    ],
)
def test_an_option_without_effect_is_refused(run: Run, line: list[str], said: str) -> None:
    result = run("evaluate", "--engine", "testcard", *line)
    assert result.returncode == 2
    assert said in result.stderr


def test_what_could_not_be_drawn_or_written_is_refused_at_once(run: Run) -> None:
    result = run("evaluate", "--engine", "testcard", "--json", "nowhere/figures.json")
    assert result.returncode == 4
    assert "nowhere" in result.stderr
    result = run("evaluate", "--engine", "testcard", "--quality", "superb")
    assert result.returncode == 2
    assert "'superb'" in result.stderr


def test_the_engine_draws_every_prompt_with_its_seed() -> None:
    draw = drawer(Studio(load({"engine": "testcard"}, environ={}, folder=Path("/"))), "medium")
    pictures, scores = draw(["a cat", "a cat", "a dog"], [1, 2, 1])
    assert pictures.shape == (3, 256, 256, 4)
    assert scores is None  # the test card has no opinion of itself
    assert not np.array_equal(pictures[0], pictures[1])
    again, _ = draw(["a cat"], [1])
    assert np.array_equal(again[0], pictures[0])
