"""What edits and variations are asked for: the same each time, and what it says it is."""

from dataclasses import replace

import numpy as np
import pytest

from limner.data.emoji.library import Library
from limner.data.scenes import render_scene
from limner.evaluation.judge.scenes import describe
from limner.evaluation.questions.edit_prompts import exchanges, other_styles, singles
from tests.training.evaluation import library_of_shapes


@pytest.fixture(scope="module")
def library() -> Library:
    return library_of_shapes()


def test_the_same_seed_asks_the_same_and_few_are_the_first_of_many(library: Library) -> None:
    assert exchanges(library, 12)[:5] == exchanges(library, 5)
    assert exchanges(library, 5, seed=1) != exchanges(library, 5)
    assert singles(library, 12)[:5] == singles(library, 5)


def test_an_exchange_changes_the_picture_under_its_mask_and_nowhere_else(
    library: Library,
) -> None:
    for one in exchanges(library, 12):
        before, after = (render_scene(spec, library, 128) for spec in (one.before, one.after))
        masked = one.mask(128)
        assert not (before == after)[masked].all()
        assert (before == after)[~masked].all()
        assert 0.03 < masked.mean() < 0.35
        assert one.old == describe(one.before, library)
        assert one.new == describe(one.after, library) != one.old


def test_a_new_thing_is_of_the_same_hand_and_unlike_both_old_ones(library: Library) -> None:
    for one in exchanges(library, 12):
        old = [library[item.drawing] for item in one.before.objects]
        new = library[one.after.objects[0].drawing]
        assert new.drawing.artist == old[0].drawing.artist
        assert new.concept.family not in {entry.concept.family for entry in old}
        assert replace(one.after, objects=one.before.objects) == one.before


def test_singles_are_all_different(library: Library) -> None:
    found = singles(library, 30)
    assert len({one.caption for one in found}) == len(found) > 20


def test_other_hands_drew_the_same_thing(library: Library) -> None:
    [one] = singles(library, 1)
    assert other_styles(one.spec, library, ("noto",)) == []
    [index] = other_styles(one.spec, library, ("noto", "emojione"))
    assert library.entries[index].concept.key == one.spec.objects[0].concept
    assert library.entries[index].drawing.artist == "emojione"


def test_a_mask_is_where_its_window_is(library: Library) -> None:
    [one] = exchanges(library, 1)
    masked = replace(one, window=(0.25, 0.5, 0.75, 1.0)).mask(64)
    rows, columns = np.nonzero(masked)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (32, 63, 16, 47)
