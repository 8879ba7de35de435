"""Areas are those that a flood fill written from the definition finds."""

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.evaluation.things.crops.connected_areas import label_areas


def flooded(values: NDArray[np.int64], diagonal: bool) -> NDArray[np.int64]:
    found = np.zeros(values.shape, np.int64)
    n_found = 0
    for start in np.argwhere(values):
        if found[tuple(start)]:
            continue
        n_found += 1
        edge = [(int(start[0]), int(start[1]))]
        while edge:
            y, x = edge.pop()
            if found[y, x]:
                continue
            found[y, x] = n_found
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    ny, nx = y + down, x + right
                    inside = 0 <= ny < values.shape[0] and 0 <= nx < values.shape[1]
                    if inside and (diagonal or not down * right) and values[ny, nx] == values[y, x]:
                        edge.append((ny, nx))
    return found


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("n_values", [2, 3])
def test_areas_are_those_of_a_flood_fill(diagonal: bool, n_values: int) -> None:
    rng = np.random.default_rng(n_values)
    for _ in range(60):
        height, width = rng.integers(1, 14, 2)
        values = rng.integers(0, n_values, (height, width))
        labels, expected = label_areas(values, diagonal), flooded(values, diagonal)
        assert labels.max() == expected.max()
        assert ((labels > 0) == (values > 0)).all()
        pairs = set(zip(labels.ravel().tolist(), expected.ravel().tolist(), strict=True))
        assert len(pairs) == len({label for label, _ in pairs})  # one to one


def test_corners_connect_only_if_they_may() -> None:
    values = np.array([[1, 0], [0, 1]])
    assert label_areas(values, diagonal=True).max() == 1
    assert label_areas(values, diagonal=False).max() == 2


def test_nothing_and_one_pixel() -> None:
    assert (label_areas(np.zeros((3, 4), np.int64), True) == 0).all()
    assert label_areas(np.array([[7]]), True).tolist() == [[1]]
