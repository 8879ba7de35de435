"""Connected areas of a map of labels, without SciPy."""

import numpy as np

from limner.arrays import Ints


def components(labels: Ints) -> Ints:
    """Number the 4-connected areas of equal labels (H, W) from 0; returns (H, W)."""
    starts = np.ones(labels.shape, bool)
    starts[:, 1:] = labels[:, 1:] != labels[:, :-1]
    runs = np.cumsum(starts.ravel()).reshape(labels.shape) - 1
    same = labels[1:] == labels[:-1]
    area = joined(int(runs[-1, -1]) + 1, runs[:-1][same], runs[1:][same])
    return area[runs]


def joined(n: int, a: Ints, b: Ints) -> Ints:
    """Number the groups (n,) of n things, where a[i] and b[i] are in one group, from 0.

    Propagates the least member of each group, with path shortening, until nothing changes.
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
