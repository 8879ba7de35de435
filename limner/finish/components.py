"""Connected areas of a map of labels, without SciPy."""

import numpy as np
from PIL import Image, ImageFilter

from limner.arrays import Bools, Ints

_JOIN_PX = 3  # areas with a smaller gap than about this are one thing
_SMALLEST = 0.004  # of the picture; smaller areas are specks
_PART = 0.2  # of the largest thing's area; smaller ones are parts of a thing


def components(labels: Ints) -> Ints:
    """Number the 4-connected areas of equal labels (H, W) from 0; returns (H, W)."""
    starts = np.ones(labels.shape, bool)
    starts[:, 1:] = labels[:, 1:] != labels[:, :-1]
    runs = np.cumsum(starts.ravel()).reshape(labels.shape) - 1
    same = labels[1:] == labels[:-1]
    area = joined(int(runs[-1, -1]) + 1, runs[:-1][same], runs[1:][same])
    return area[runs]


def things(visible: Bools) -> Ints:
    """Number the things in a picture of 192 to 384 pixels (H, W), 0 for none.

    They are areas connected across small gaps; specks, and areas much smaller than the largest, are
    none.
    """
    image = Image.fromarray(visible.astype(np.uint8) * 255)
    closed = np.asarray(image.filter(ImageFilter.MaxFilter(_JOIN_PX))) > 0
    labels = np.where(visible, components(closed.astype(np.int64)) + 1, 0)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    least = max(_SMALLEST * visible.size, _PART * sizes.max())
    found: Ints = np.where(sizes[labels] >= least, labels, 0)
    return found


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
