"""Connected areas of maps of labels."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from limner.finish.components import components, joined


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_areas_are_those_that_a_walk_finds(height: int, width: int, n: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, n, (height, width))
    found = components(labels)
    assert set(found.ravel()) == set(range(found.max() + 1))
    walked = np.full(labels.shape, -1)
    number = 0
    for start in np.ndindex(labels.shape):
        if walked[start] >= 0:
            continue
        ahead = [start]
        while ahead:
            y, x = ahead.pop()
            if not (0 <= y < height and 0 <= x < width) or walked[y, x] >= 0:
                continue
            if labels[y, x] == labels[start]:
                walked[y, x] = number
                ahead += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        number += 1
    assert number == found.max() + 1
    assert len(set(zip(found.ravel(), walked.ravel(), strict=True))) == number


def test_pairs_join_into_groups() -> None:
    groups = joined(6, np.array([5, 4, 1]), np.array([4, 0, 2]))
    assert groups.tolist() == [0, 1, 1, 2, 0, 0]
