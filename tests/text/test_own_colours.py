"""A seed may colour what comes in several colours, and nothing else."""

import pytest

from limner.data.colours import NAMES
from limner.text.own_colours import own_colours


@pytest.mark.parametrize("name", ["car", "sports car", "balloon", "cat", "apple", "汽车", "猫"])
def test_these_come_in_several_colours(name: str) -> None:
    assert len(own_colours(name)) > 1
    assert set(own_colours(name)) <= set(NAMES)


@pytest.mark.parametrize("name", ["fire truck", "pineapple", "fox", "carpet", "消防车", "菠萝", ""])
def test_these_have_their_own(name: str) -> None:
    assert own_colours(name) == ()


def test_a_cat_is_never_blue() -> None:
    assert "blue" not in own_colours("cat")
