"""Connected areas of a map of labels, without SciPy."""

import numpy as np

from limner.arrays import Ints


def components(labels: Ints) -> Ints:
    """Numbers (H, W) from 0 of the connected areas (by sides) of equal labels (H, W)."""
    starts = np.ones(labels.shape, bool)
    starts[:, 1:] = labels[:, 1:] != labels[:, :-1]
    runs = np.cumsum(starts.ravel()).reshape(labels.shape) - 1
    same = labels[1:] == labels[:-1]
    area = joined(int(runs[-1, -1]) + 1, runs[:-1][same], runs[1:][same])
    return area[runs]


def joined(n: int, a: Ints, b: Ints) -> Ints:
    """Numbers (n,) from 0 of the groups of n things of which a[i] and b[i] belong together.

    Every group's least member is passed on and short-cut until nothing changes.
    """
    pairs = np.unique(a * n + b)
    a, b = np.divmod(pairs, n)
    parent = np.arange(n)
    while True:
        before = parent
        parent = before.copy()
        least = np.minimum(before[a], before[b])
        np.minimum.at(parent, before[a], least)
        np.minimum.at(parent, before[b], least)
        parent = parent[parent]
        if np.array_equal(parent, before):
            break
    numbers: Ints = np.unique(parent, return_inverse=True)[1]
    return numbers
