import numpy as np
import pytest

from limner.data.emoji.library import Library
from limner.data.sources import shapes
from limner.data.sources.base import SceneSource, captions_from_text, text_from_captions


def test_the_same_number_gives_the_same_sample(library: Library) -> None:
    first, again = SceneSource(library, 10, seed=4), SceneSource(library, 99, seed=4)
    other = SceneSource(library, 10, seed=5)
    for index in (7, 2):
        a, b = first.get(index, 32), again.get(index, 32)
        assert a.key == b.key
        assert a.captions == b.captions
        np.testing.assert_array_equal(a.picture, b.picture)
        assert other.get(index, 32).key != a.key
    assert len(first) == 10


def test_the_same_scene_at_two_sizes(library: Library) -> None:
    source = SceneSource(library, 10)
    small, large = source.get(3, 32), source.get(3, 64)
    assert small.spec == large.spec
    means = large.picture.reshape(32, 2, 32, 2, 4).mean((1, 3))
    assert np.abs(means - small.picture).mean() < 12


def test_numbers_beyond_the_end_are_index_errors(library: Library) -> None:
    for index in (-1, 10):
        with pytest.raises(IndexError):
            SceneSource(library, 10).get(index, 32)


def test_caption_files_round_trip() -> None:
    captions = {"en": ("a cat", "one cat"), "zh": ("一只猫",)}
    assert captions_from_text(text_from_captions(captions)) == captions
    assert captions_from_text("\ufeffa cat\r\n\r\n") == {"en": ("a cat",)}
    assert captions_from_text(" \n") == {}


def test_shapes_are_drawn_in_their_colours() -> None:
    source = shapes.source(20)
    said = [source.get(index, 32) for index in range(20)]
    assert all(sample.picture.any() and sample.captions["zh"] for sample in said)
    library = source.library
    wrong = [
        entry.drawing.id
        for entry in library.entries
        if entry.tint.natural != entry.drawing.name.partition("-")[0]
    ]
    assert wrong == []
    assert len(library) == 64
