"""The drawn shapes as a training set, rendered once for all tests of a folder."""

from dataclasses import replace

import pytest

from limner.data.sources import shapes
from limner.training.datasets import LibrarySet, SetConfig
from limner.training.presets import TINY, Preset

SMALL_SET = SetConfig(n_scenes=24, n_captions=60, n_held_out=6)


@pytest.fixture(scope="session")
def shapes_set() -> LibrarySet:
    return LibrarySet(shapes.library(), SMALL_SET)


@pytest.fixture(scope="session")
def tiny() -> Preset:
    return replace(TINY, set=SMALL_SET)


@pytest.fixture
def unplotted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plotting the log takes longer than a few steps of training."""
    monkeypatch.setattr("limner.training.loop.plot_log", lambda log, output: None)
