"""Which pixel belongs to which area: wobble, specks and slivers removed, gradients kept whole."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from limner.finish.components import components, joined
from limner.finish.palette import Floats, Ints, squared_distances

_SIGMA = 1.6  # pixels of the blur of threshold dynamics
_ROUNDS = 4
_DATA = 0.012  # weight of a colour's distance beside the blurred membership
_FARTHEST = 50.0  # distances above it are alike
_EDGE = 8.0  # a pixel as steep as this says half as much of where it belongs
_GRADIENT = 0.62  # share of two areas' difference across their border; less is a gradient
_FAINT, _CLEAR = 6.0, 12.0  # a step in colour below is never an edge, and above always one


def label(features: Floats, steep: Floats, colours: Floats) -> Ints:
    """The colour (H, W) of each pixel, smoothed by threshold dynamics with a data term.

    Memberships are blurred and the largest wins, a few rounds (Merriman, Bence and Osher 1992):
    borders shorten, and specks vanish. Distances to the colours hold them in place.
    """
    height, width, n_channels = features.shape
    squares = squared_distances(features.reshape(-1, n_channels), colours)
    far = np.minimum(np.sqrt(squares), _FARTHEST).T.reshape(-1, height, width)
    found = far.argmin(0)
    pull = far * (_DATA / (1 + (steep / _EDGE) ** 2))
    numbers = np.arange(len(colours))[:, None, None]
    for _ in range(_ROUNDS):
        found = (blurred(found == numbers, _SIGMA) - pull).argmax(0)
    return found


def blurred(memberships: NDArray[np.bool_], sigma: float) -> Floats:
    """Planes (K, H, W) blurred by a Gaussian, in steps of 1/255."""
    n = len(memberships)
    planes = np.zeros((-(-n // 4) * 4, *memberships.shape[1:]), np.uint8)
    np.multiply(memberships, 255, out=planes[:n], casting="unsafe")
    soft = np.empty(memberships.shape, np.float32)
    for first in range(0, n, 4):
        image = Image.fromarray(np.ascontiguousarray(planes[first : first + 4].transpose(1, 2, 0)))
        four = np.asarray(image.filter(ImageFilter.GaussianBlur(sigma)))
        last = min(first + 4, n)
        soft[first:last] = four.transpose(2, 0, 1)[: last - first]
    soft *= np.float32(1 / 255)
    return soft


def areas(labels: Ints, features: Floats, min_px: int) -> Ints:
    """Numbers (H, W) from 0 of the picture's areas.

    Labels' connected areas, joined where a gradient was cut into steps; those below `min_px`
    pixels and those that are only the mixture between two others are given to a neighbour.
    """
    found = components(labels)
    found = _without_small(found, features, min_px)
    return _with_gradients(found, features)


class _Borders:
    """Pairs of areas that touch: how long and how steep their border is."""

    def __init__(self, found: Ints, features: Floats) -> None:
        self.n = int(found.max()) + 1
        keys, contrasts = [], []
        for axis in (0, 1):
            a, b, contrast = _across(found, features, axis)
            keys.append(np.minimum(a, b) * self.n + np.maximum(a, b))
            contrasts.append(contrast)
        pairs, inverse, counts = np.unique(
            np.concatenate(keys), return_inverse=True, return_counts=True
        )
        self.a, self.b = np.divmod(pairs, self.n)
        self.length = counts
        self.contrast = np.bincount(inverse, np.concatenate(contrasts), len(pairs)) / counts


def _across(found: Ints, features: Floats, axis: int) -> tuple[Ints, Ints, Floats]:
    """The two areas at each step from one to another along `axis`, and the colour's change."""
    areas_, colours = (found, features) if axis else (found.T, features.transpose(1, 0, 2))
    rows, columns = np.nonzero(areas_[:, 1:] != areas_[:, :-1])
    last = areas_.shape[1] - 1
    before, after = np.maximum(columns - 2, 0), np.minimum(columns + 3, last)
    change = np.sqrt(((colours[rows, after] - colours[rows, before]) ** 2).sum(1))
    return areas_[rows, columns], areas_[rows, columns + 1], change


def means(found: Ints, features: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Mean features (n, C) of areas and their numbers of pixels (n,)."""
    flat = found.ravel()
    counts = np.bincount(flat)
    channels = features.reshape(-1, features.shape[-1])
    sums = [np.bincount(flat, channels[:, c], len(counts)) for c in range(channels.shape[1])]
    return (np.stack(sums, 1) / np.maximum(counts, 1)[:, None]).astype(np.float32), counts


def _without_small(found: Ints, features: Floats, min_px: int) -> Ints:
    for _ in range(8):
        borders = _Borders(found, features)
        colours, counts = means(found, features)
        is_small = counts < min_px
        is_small |= _is_mixture(borders, colours, counts)
        if not is_small.any() or len(counts) == 1:
            break
        target = _nearest_neighbour(borders, colours, is_small, counts)
        found = components(target[found])
    return found


def _is_mixture(borders: _Borders, colours: Floats, counts: Ints) -> NDArray[np.bool_]:
    """Whether an area is a thin band whose colour lies between those of two that it touches."""
    n = len(counts)
    perimeter = np.bincount(borders.a, borders.length, n) + np.bincount(
        borders.b, borders.length, n
    )
    is_thin = counts < 2.2 * perimeter / 2
    found = np.zeros(n, bool)
    for i in np.flatnonzero(is_thin):
        near = np.concatenate([borders.b[borders.a == i], borders.a[borders.b == i]])
        length = np.concatenate([borders.length[borders.a == i], borders.length[borders.b == i]])
        near = near[length >= 0.15 * perimeter[i]]
        to = np.sqrt(((colours[near] - colours[i]) ** 2).sum(1))
        between = np.sqrt(((colours[near][:, None] - colours[near][None]) ** 2).sum(-1))
        sums = to[:, None] + to[None]
        np.fill_diagonal(between, 0)
        found[i] = bool((sums < 1.2 * between).any())
    return found


def _nearest_neighbour(
    borders: _Borders, colours: Floats, leaving: NDArray[np.bool_], counts: Ints
) -> Ints:
    """For each area itself, or for one that leaves the neighbour most like it, the longer
    their border the better."""
    n = len(leaving)
    a = np.concatenate([borders.a, borders.b])
    b = np.concatenate([borders.b, borders.a])
    distance = np.sqrt(((colours[a] - colours[b]) ** 2).sum(1))
    cost = (distance + 5) / np.concatenate([borders.length, borders.length]) ** 0.5
    # Two that leave would change places: the smaller goes to the larger.
    larger = (counts[b] > counts[a]) | ((counts[b] == counts[a]) & (b < a))
    possible = leaving[a] & (~leaving[b] | larger)
    order = np.lexsort((b[possible], cost[possible], a[possible]))
    target = np.arange(n)
    first_a, index = np.unique(a[possible][order], return_index=True)
    target[first_a] = b[possible][order][index]
    return target


def _with_gradients(found: Ints, features: Floats) -> Ints:
    """Areas joined where the colour changes no faster on their border than around it."""
    for _ in range(_ROUNDS):
        borders = _Borders(found, features)
        colours, _ = means(found, features)
        apart = np.sqrt(((colours[borders.a] - colours[borders.b]) ** 2).sum(1))
        soft = (borders.contrast < (_GRADIENT * apart).clip(_FAINT, _CLEAR)) & (borders.length >= 4)
        if not soft.any():
            break
        found = joined(borders.n, borders.a[soft], borders.b[soft])[found]
    return found
