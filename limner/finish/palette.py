"""The colours of flat art, found in a decoded picture."""

import numpy as np

from limner.arrays import Floats

MAX_COLOURS = 16
ALPHA_SCALE = 60.0  # alpha 0 to 1 counts like 60 steps of lightness

_RADIUS = 10.0  # pixels within this distance belong to a colour
_BIN = 4.0  # side of a histogram bin
_MAX_BINS = 1024
_MIN_SHARE = 0.0008  # of the flat pixels; rarer colours are ignored
_FLAT = 5.0  # a pixel that differs less from its neighbours is inside an area
_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32
)
_WHITE = np.array([0.9505, 1.0, 1.089], np.float32)


def lab_alpha(picture: Floats) -> Floats:
    """CIE L*a*b* on white (D65) and scaled alpha, (H, W, 4), of premultiplied (H, W, 4) in 0..1.

    The equations are those of CIE 15:2004, section 8.2.1, after the sRGB curve (IEC 61966-2-1).
    """
    on_white = (picture[..., :3] + 1 - picture[..., 3:]).clip(0, 1)
    linear = _sRGB_CURVE[np.rint(on_white * (len(_sRGB_CURVE) - 1)).astype(np.int32)]
    root = np.cbrt((linear @ _TO_XYZ.T) / _WHITE)
    root = np.where(root > 6 / 29, root, root**3 * (841 / 108) + 4 / 29)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    parts = [116 * y - 16, 500 * (x - y), 200 * (y - z), ALPHA_SCALE * picture[..., 3]]
    return np.stack(parts, axis=-1).astype(np.float32)


def _curve(n: int) -> Floats:
    """Linear light of n sRGB values from 0 to 1."""
    coded = np.linspace(0, 1, n)
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


_sRGB_CURVE = _curve(4096)


def steepness(features: Floats, reach: int = 2) -> Floats:
    """How much each pixel of (H, W, C) is a mixture of the colours on both sides, (H, W).

    Of a, b, c along a line, b is a mixture if |a - b| + |b - c| = |a - c|: then it is the smaller
    of the two steps. On the ridge of a thin line that sum is much larger, and b is a colour.
    """
    total = np.zeros(features.shape[:2], np.float32)
    for axis in (0, 1):
        lines = np.arange(features.shape[axis])
        after = np.take(features, np.minimum(lines + reach, lines[-1]), axis)
        before = np.take(features, np.maximum(lines - reach, 0), axis)
        first, second = _length(features - before), _length(after - features)
        excess = first + second - _length(after - before)
        total = np.maximum(total, np.minimum(first, second) - excess)
    return total


def _length(vectors: Floats) -> Floats:
    length: Floats = np.sqrt(np.einsum("...c,...c->...", vectors, vectors))
    return length


def palette(features: Floats, steep: Floats, max_colours: int = MAX_COLOURS) -> Floats:
    """The picture's colours (K, C), 1 to `max_colours` of them, the most frequent first.

    Uses only pixels inside areas, as those on edges are mixtures. Histogram bins are taken
    greedily, the densest first, and then moved to the means of their nearest points (Lloyd).
    """
    flat = features[steep < _FLAT]
    if len(flat) < features[..., 0].size // 100:  # noise: no pixel is inside an area
        flat = features.reshape(-1, features.shape[-1])
    bins, weights = _histogram(flat)
    centres = _densest(bins, weights, max_colours)
    for _ in range(4):
        nearest = squared_distances(bins, centres).argmin(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, bins * weights[:, None])
        counts = np.bincount(nearest, weights, len(centres)).astype(np.float32)
        centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
    return centres


def squared_distances(points: Floats, centres: Floats) -> Floats:
    """(N, K) of points (N, C) and centres (K, C)."""
    squares = (points**2).sum(1)[:, None] + (centres**2).sum(1) - 2 * points @ centres.T
    found: Floats = np.maximum(squares, 0)
    return found


def _histogram(points: Floats) -> tuple[Floats, Floats]:
    """Means (N, C) and counts (N,) of the fullest bins."""
    cells = np.rint(points / _BIN).astype(np.int64) + 512
    keys = (cells * (1024 ** np.arange(points.shape[1]))).sum(1)
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    means = np.stack(
        [np.bincount(inverse, points[:, c]) / counts for c in range(points.shape[1])], axis=1
    )
    fullest = np.argsort(-counts, kind="stable")[:_MAX_BINS]
    return means[fullest].astype(np.float32), counts[fullest].astype(np.float32)


def _densest(bins: Floats, weights: Floats, max_colours: int) -> Floats:
    within = squared_distances(bins, bins) < _RADIUS**2
    left, density = weights.copy(), within @ weights  # whole numbers: all sums are exact
    centres: list[Floats] = []
    while len(centres) < max_colours:
        first = int(density.argmax())
        if centres and density[first] < _MIN_SHARE * weights.sum():
            break
        mine = within[first] & (left > 0)
        centres.append((bins[mine] * left[mine, None]).sum(0) / left[mine].sum())
        density -= left[mine] @ within[mine]
        left[mine] = 0
        if not left.any():
            break
    return np.stack(centres).astype(np.float32)
