from pathlib import Path

import pytest

from limner.data.emoji import art
from limner.data.emoji.library import Library
from limner.data.sources import shapes
from limner.training import datasets
from limner.training.presets import Preset


def test_only_a_run_that_asks_has_the_further_artists(
    tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, ...]] = []

    def library(data: Path, artists: tuple[str, ...] = art.ARTISTS) -> Library:
        opened.append(artists)
        return shapes.library()

    monkeypatch.setattr(Library, "open", library)
    for name in ("art", "more-art"):
        datasets.open_set(name, tmp_path, tiny.set)
    assert opened == [art.ARTISTS, art.ALL_ARTISTS]
    assert set(opened[0]) == {
        *("noto", "twemoji", "fluent-emoji", "fluent-emoji-flat", "streamline-emojis"),
        *("flat-color-icons", "emojione", "fxemoji", "noto-v1"),
    }
