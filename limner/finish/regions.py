"""Assigning pixels to areas: removes wobble, specks and slivers, and keeps gradients whole."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from limner.arrays import Floats, Ints
from limner.finish.components import components, joined
from limner.finish.palette import ALPHA_SCALE, squared_distances

_SIGMA = 1.6  # pixels of the blur of threshold dynamics
_ROUNDS = 4
_BORDER = 6  # pixels beyond the border that the blur sees
_DATA = 0.012  # weight of the colour distance relative to the blurred membership
_FARTHEST = 50.0  # distances are clipped here
_EDGE = 8.0  # a pixel with this steepness has half the weight
_GRADIENT = 0.45  # share of two areas' difference across their border; less is a gradient
_THIN = 1.1  # pixels of area for one of border; less is a band about two pixels wide
_BESIDE = 0.15  # share of an area's border that makes another one its neighbour
_BETWEEN = 1.2  # longest detour, as a ratio, via a colour that lies between two others
_SEEN = 0.3  # difference of alpha that is always an edge
_FAINT, _CLEAR = 6.5, 12.0  # a colour step below is never an edge, above always one


def label(features: Floats, steep: Floats, colours: Floats) -> Ints:
    """The colour (H, W) of each pixel, smoothed by threshold dynamics with a data term.

    Memberships are blurred and the largest wins, a few rounds (Merriman, Bence and Osher 1992):
    borders shorten, and specks vanish. Distances to the colours hold them in place.
    """
    features, steep = continued(features, _BORDER), np.pad(steep, _BORDER, "symmetric")
    height, width, n_channels = features.shape
    squares = squared_distances(features.reshape(-1, n_channels), colours)
    far = np.minimum(np.sqrt(squares), _FARTHEST).T.reshape(-1, height, width)
    found = far.argmin(0)
    pull = np.rint(far * (255 * _DATA / (1 + (steep / _EDGE) ** 2))).astype(np.int16)
    for _ in range(_ROUNDS):
        found = _winners(found, pull)
    return found[_BORDER:-_BORDER, _BORDER:-_BORDER]


def continued(planes: Floats, n: int, axis: int = 0) -> Floats:
    """Planes with n pixels more on each side, which go on as the picture rose or fell.

    What only touches the border closes there; repeated, it would meet the border at a right angle.
    axis: the one of the rows; that of the columns is the next.
    """
    padding = [(0, 0)] * planes.ndim
    padding[axis] = padding[axis + 1] = (n, n)
    return np.pad(planes, padding, "reflect", reflect_type="odd")


def _winners(labels: Ints, pull: NDArray[np.int16]) -> Ints:
    """The label (H, W) that maximises blurred membership minus `pull` (K, H, W), both 0..255."""
    best = np.full(labels.shape, -(2**15), np.int16)
    found = np.zeros(labels.shape, np.int16)
    for first in range(0, len(pull), 4):
        four = _blurred_four(_one_hot(labels, first), _SIGMA)
        for number in range(first, min(first + 4, len(pull))):
            score = four[..., number - first] - pull[number]
            wins = score > best
            np.copyto(best, score, where=wins)
            np.copyto(found, number, where=wins)
    return found.astype(np.int64)


def _one_hot(labels: Ints, first: int) -> NDArray[np.uint8]:
    """(H, W, 4): 255 where a label is `first`, or one of the three after it."""
    table = np.zeros((max(int(labels.max()) + 1, first + 4), 4), np.uint8)
    table[first : first + 4] = np.eye(4, dtype=np.uint8) * 255
    # A pixel in a word is looked up in a tenth of the time.
    return table.view(np.uint32)[:, 0][labels][..., None].view(np.uint8)


def _blurred_four(planes: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """(H, W, 4) blurred by Pillow's Gaussian, each plane by itself."""
    return np.asarray(Image.fromarray(planes).filter(ImageFilter.GaussianBlur(sigma)))


def blurred(labels: Ints, n: int, sigma: float) -> Floats:
    """Memberships (n, H, W) of labels (H, W) blurred by a Gaussian, in steps of 1/255."""
    soft = np.empty((n, *labels.shape), np.float32)
    for first in range(0, n, 4):
        four = _blurred_four(_one_hot(labels, first), sigma)
        soft[first : first + 4] = four.transpose(2, 0, 1)[: n - first]
    soft *= np.float32(1 / 255)
    return soft


def areas(labels: Ints, features: Floats, min_px: int) -> Ints:
    """Numbers (H, W) from 0 of the connected areas of labels (H, W).

    Those below `min_px` pixels and those that are only the mixture between two others are given
    to a neighbour.
    """
    return _without_small(components(labels), features, min_px)


def _distance(a: Floats, b: Floats) -> Floats:
    distance: Floats = np.sqrt(((a - b) ** 2).sum(-1))
    return distance


class _Borders:
    """Pairs of adjacent areas, with the length and steepness of their border."""

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
    """The two areas at each border along `axis`, and the change of colour."""
    areas_, colours = (found, features) if axis else (found.T, features.transpose(1, 0, 2))
    rows, columns = np.nonzero(areas_[:, 1:] != areas_[:, :-1])
    last = areas_.shape[1] - 1
    before, after = np.maximum(columns - 2, 0), np.minimum(columns + 3, last)
    change = _distance(colours[rows, after], colours[rows, before])
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
    """Whether an area is a thin band with a colour between those of two neighbours."""
    n = len(counts)
    perimeter = np.bincount(borders.a, borders.length, n) + np.bincount(
        borders.b, borders.length, n
    )
    is_thin = counts < _THIN * perimeter
    touching = np.concatenate([borders.a, borders.b])
    order = np.argsort(touching, kind="stable")
    other = np.concatenate([borders.b, borders.a])[order]
    length = np.concatenate([borders.length, borders.length])[order]
    first = np.searchsorted(touching[order], np.arange(n + 1))
    found = np.zeros(n, bool)
    for i in np.flatnonzero(is_thin):
        mine = slice(first[i], first[i + 1])
        near = colours[other[mine][length[mine] >= _BESIDE * perimeter[i]]]
        to = _distance(near, colours[i])
        apart = _distance(near[:, None], near)
        found[i] = bool((to[:, None] + to < _BETWEEN * apart).any())
    return found


def _nearest_neighbour(
    borders: _Borders, colours: Floats, leaving: NDArray[np.bool_], counts: Ints
) -> Ints:
    """Each area's own number, or for a leaving one that of its most similar neighbour, with a
    preference for long borders."""
    n = len(leaving)
    a = np.concatenate([borders.a, borders.b])
    b = np.concatenate([borders.b, borders.a])
    distance = _distance(colours[a], colours[b])
    cost = (distance + 5) / np.concatenate([borders.length, borders.length]) ** 0.5
    # Two leaving neighbours would swap: the smaller joins the larger.
    larger = (counts[b] > counts[a]) | ((counts[b] == counts[a]) & (b < a))
    possible = leaving[a] & (~leaving[b] | larger)
    order = np.lexsort((b[possible], cost[possible], a[possible]))
    target = np.arange(n)
    first_a, index = np.unique(a[possible][order], return_index=True)
    target[first_a] = b[possible][order][index]
    return target


def with_gradients(found: Ints, features: Floats) -> Ints:
    """Join areas whose border has no steeper change of colour than its surroundings.

    Such borders are artefacts: a gradient was cut into steps.
    """
    for _ in range(_ROUNDS):
        borders = _Borders(found, features)
        colours, _ = means(found, features)
        apart = _distance(colours[borders.a], colours[borders.b])
        seen = np.abs(colours[borders.a, 3] - colours[borders.b, 3]) > _SEEN * ALPHA_SCALE
        limit = (_GRADIENT * apart).clip(_FAINT, _CLEAR)
        soft = (borders.contrast < limit) & (borders.length >= 4) & ~seen
        if not soft.any():
            break
        found = joined(borders.n, borders.a[soft], borders.b[soft])[found]
    return found
