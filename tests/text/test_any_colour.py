"""A seed may colour what comes in any colour, and nothing else."""

import pytest

from limner.text.any_colour import comes_in_any_colour


@pytest.mark.parametrize("name", ["car", "sports car", "balloon", "汽车", "气球"])
def test_these_come_in_any_colour(name: str) -> None:
    assert comes_in_any_colour(name)


@pytest.mark.parametrize("name", ["fire truck", "apple", "dog", "carpet", "消防车", "苹果", ""])
def test_these_have_their_own(name: str) -> None:
    assert not comes_in_any_colour(name)
