"""Wilson's interval has the values that tables of it have."""

import math

import pytest

from limner.evaluation.things.shares import Share


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (8, 65, 0.0637, 0.2244)],
)
def test_intervals(right: int, n: int, low: float, high: float) -> None:
    share = Share(right, n)
    assert share.low == pytest.approx(low, abs=5e-4)
    assert share.high == pytest.approx(high, abs=5e-4)
    assert share.low <= share.mean <= share.high


def test_of_nothing_there_is_no_figure() -> None:
    share = Share.of([])
    assert math.isnan(share.mean)
    assert str(share) == "–"


def test_answers_are_counted() -> None:
    share = Share.of([True, False, True])
    assert (share.right, share.n) == (2, 3)
    assert str(share).startswith("0.67 [")
    assert share.to_dict()["n"] == 3
