"""Pictures are turned by seed, and painted where they have one main colour."""

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.engines.transformer.pixels.adjustment import Adjustment, adjustment_by_seed


def _square(*rgb: float) -> NDArray[np.float32]:
    """A coloured square in the left half of a clear picture, (4, 32, 32) premultiplied."""
    small = np.zeros((4, 32, 32), np.float32)
    small[:, 8:24, 2:14] = np.array([*rgb, 1.0], np.float32)[:, None, None]
    return small


OWN = ("red", "green", "blue")
RED, GREY = _square(0.87, 0.18, 0.27), _square(0.5, 0.5, 0.5)
MANY = RED + _square(0.2, 0.6, 0.9)[:, :, ::-1]


def test_a_turned_picture_is_its_mirror_image() -> None:
    assert np.array_equal(Adjustment(is_turned=True).on(RED), RED[..., ::-1])
    assert np.array_equal(Adjustment().on(RED), RED)


@pytest.mark.parametrize(("colour", "channel"), [("green", 1), ("blue", 2)])
@pytest.mark.parametrize("drawn", [RED, GREY], ids=["red", "grey"])
def test_paint_changes_the_colour_and_no_outline(
    drawn: NDArray[np.float32], colour: str, channel: int
) -> None:
    painted = Adjustment(colour=colour).on(drawn)
    assert np.array_equal(painted[3], drawn[3])
    assert painted[:3, 16, 8].argmax() == channel
    assert not Adjustment(colour=colour).is_missed(drawn)


@pytest.mark.parametrize("drawn", [RED, GREY], ids=["red", "grey"])
@pytest.mark.parametrize("exact", [(15, 139, 141), (121, 26, 38), (161, 194, 239)])
def test_an_exact_colour_is_painted(
    drawn: NDArray[np.float32], exact: tuple[int, int, int]
) -> None:
    painted = Adjustment(colour="red", exact=exact).on(drawn)
    np.testing.assert_allclose(painted[:3, 16, 8] * 255, exact, atol=12)


def test_what_has_the_colour_or_takes_none_is_left() -> None:
    assert np.array_equal(Adjustment(colour="red").on(RED), RED)
    assert np.array_equal(Adjustment(colour="grey").on(GREY), GREY)
    assert np.array_equal(Adjustment(colour="green").on(MANY), MANY)
    assert Adjustment(colour="green").is_missed(MANY)
    assert not Adjustment(colour="green", is_asked=False).is_missed(MANY)


def test_a_seed_turns_every_second_picture_and_colours_what_is_free() -> None:
    found = [adjustment_by_seed(seed, 0, may_turn=True, asked=None, own=OWN) for seed in range(400)]
    assert found == [
        adjustment_by_seed(seed, 0, may_turn=True, asked=None, own=OWN) for seed in range(400)
    ]
    assert 150 < sum(adjustment.is_turned for adjustment in found) < 250
    assert 150 < sum(adjustment.colour is None for adjustment in found) < 250
    assert {adjustment.colour for adjustment in found} == {None, *OWN}
    for seed in range(20):
        asked = adjustment_by_seed(seed, 0, may_turn=False, asked="black", own=OWN)
        assert asked == Adjustment(colour="black")
        fixed = adjustment_by_seed(seed, 0, may_turn=False, asked=None)
        assert (fixed.is_turned, fixed.colour) == (False, None)
