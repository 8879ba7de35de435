"""The figures of an evaluation: plain functions of arrays, with their uncertainty."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats

_RESAMPLES = 1000
_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over n pictures and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]" if self.n else "–"


def estimate(values: NDArray[np.generic] | list[float] | list[bool], seed: int = 0) -> Estimate:
    """The mean of values (n,) with the percentile bootstrap interval (Efron 1979, section 2)."""
    array = np.asarray(values, np.float64)
    if not len(array):
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    rng = np.random.default_rng(seed)
    means = array[rng.integers(0, len(array), (_RESAMPLES, len(array)))].mean(1)
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Estimate(float(array.mean()), float(low), float(high), len(array))


def is_first(true: Floats, others: Floats) -> NDArray[np.bool_]:
    """R-precision@1: whether the true caption's score (n,) beats all others' (n, m).

    A tie counts as wrong, so a judge with constant scores gets 0.
    """
    first: NDArray[np.bool_] = true > others.max(1)
    return first


def kid(a: Floats, b: Floats) -> float:
    """Squared maximum mean discrepancy of two sets of features (n, d), (m, d), unbiased.

    Kernel (x.y / d + 1)^3, KID's (arXiv 1801.01401, section 3). Zero for equal distributions;
    small samples may give less than zero.
    """
    n, m = len(a), len(b)
    if n < 2 or m < 2:
        return float("nan")
    within_a, within_b, across = _kernel(a, a), _kernel(b, b), _kernel(a, b)
    mean_a = (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
    mean_b = (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
    return float(mean_a + mean_b - 2 * across.mean())


def _kernel(a: Floats, b: Floats) -> Floats:
    product: Floats = (a.astype(np.float64) @ b.astype(np.float64).T / a.shape[1] + 1) ** 3
    return product


def density_and_coverage(found: Floats, true: Floats, k: int = 5) -> tuple[float, float]:
    """How many true pictures' neighbourhoods hold a found one's, and how many hold any.

    With B_i the ball around true features i (m, d) that reaches its k-th nearest true neighbour,
    over found features j (n, d) (Naeem et al., arXiv 2002.09797, section 3):

        density = mean_j( |{i: j in B_i}| ) / k,   coverage = mean_i( any_j( j in B_i ) )

    Both are about 1 for equal distributions. NaN with k true pictures or fewer.
    """
    if len(true) <= k or not len(found):
        return float("nan"), float("nan")
    reach = np.sort(_distances(true, true), axis=1)[:, k]  # the nearest is the picture itself
    within = _distances(true, found) < reach[:, None]
    return float(within.sum() / (k * len(found))), float(within.any(1).mean())


def _distances(a: Floats, b: Floats) -> NDArray[np.float64]:
    x, y = a.astype(np.float64), b.astype(np.float64)
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    distances: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
    return distances


def sliced_wasserstein(a: Floats, b: Floats, n_slices: int = 256, seed: int = 0) -> float:
    """Root mean squared 2-Wasserstein distance of two sets (n, d), (m, d) along random lines.

    Bonneel et al. 2015 (J. Math. Imaging Vis. 51), definition 4; between sets of different size
    by their quantiles.
    """
    lines = np.random.default_rng(seed).normal(size=(a.shape[1], n_slices))
    lines /= np.linalg.norm(lines, axis=0)
    shares = (np.arange(max(len(a), len(b))) + 0.5) / max(len(a), len(b))
    along_a, along_b = (np.quantile(x @ lines, shares, axis=0) for x in (a, b))
    return float(np.sqrt(((along_a - along_b) ** 2).mean()))


def edge_f1(a: NDArray[np.uint8], b: NDArray[np.uint8], step: float = 32.0) -> NDArray[np.float64]:
    """F1 of the edges of b against those of a, RGB pictures (N, H, W, 3); 1 where neither has any.

    An edge is where luma changes by more than `step` of 255 from a pixel to the next; it is found
    if the other picture has one within a pixel.
    """
    x, y = _edges(a, step), _edges(b, step)
    right, seen = (y & _widened(x)).sum((1, 2)), (x & _widened(y)).sum((1, 2))
    precision, recall = right / np.maximum(y.sum((1, 2)), 1), seen / np.maximum(x.sum((1, 2)), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    whole: NDArray[np.float64] = np.where(x.any((1, 2)) | y.any((1, 2)), f1, 1.0)
    return whole


def _edges(pictures: NDArray[np.uint8], step: float) -> NDArray[np.bool_]:
    luma = pictures @ np.array([0.299, 0.587, 0.114])
    edges = np.zeros(luma.shape, bool)
    edges[:, :-1] |= np.abs(np.diff(luma, axis=1)) > step
    edges[:, :, :-1] |= np.abs(np.diff(luma, axis=2)) > step
    return edges


def _widened(edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(edges, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    wide: NDArray[np.bool_] = windows.max((-1, -2))
    return wide


def alpha_error(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean absolute difference of alpha, 0 to 1, of pairs of RGBA pictures (N, H, W, 4)."""
    difference = np.abs(a[..., 3].astype(np.float64) - b[..., 3]) / 255
    error: NDArray[np.float64] = difference.mean((1, 2))
    return error


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Peak signal to noise in dB for each pair of pictures (N, H, W, C); at most 100."""
    difference = a.astype(np.float64) - b
    error = (difference**2).reshape(len(a), -1).mean(1)
    decibels: NDArray[np.float64] = 10 * np.log10(255**2 / np.maximum(error, 255**2 * 1e-10))
    return decibels


def ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Structural similarity of the luma of each pair of RGB pictures (N, H, W, 3).

    Wang et al. 2004, equation 13, with the usual constants, over uniform windows of 7x7.
    """
    weights = np.array([0.299, 0.587, 0.114])
    x, y = a @ weights, b @ weights
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    var_x = _window_mean(x * x) - mean_x**2
    var_y = _window_mean(y * y) - mean_y**2
    both = _window_mean(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    upper = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    lower = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    similarity: NDArray[np.float64] = (upper / lower).reshape(len(a), -1).mean(1)
    return similarity


def _window_mean(planes: NDArray[np.float64], side: int = 7) -> NDArray[np.float64]:
    windows = np.lib.stride_tricks.sliding_window_view(planes, (side, side), axis=(1, 2))
    mean: NDArray[np.float64] = windows.mean((-1, -2))
    return mean


def overlap(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Intersection over union of what is visible in pairs of RGBA pictures (N, H, W, 4)."""
    return shared(a[..., 3] > 127, b[..., 3] > 127)


def shared(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union of pairs of masks (N, H, W); 0 where both are empty."""
    union = (a | b).sum((1, 2))
    both: NDArray[np.float64] = (a & b).sum((1, 2)) / np.maximum(union, 1)
    return both


def on_white(premultiplied: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Premultiplied RGBA (N, H, W, 4) as RGB (N, H, W, 3) on white."""
    clear = 255 - premultiplied[..., 3:].astype(np.uint16)
    return np.minimum(premultiplied[..., :3] + clear, 255).astype(np.uint8)


def seam(
    pictures: NDArray[np.uint8], masks: NDArray[np.bool_], reach: int = 4
) -> NDArray[np.float64]:
    """How much steeper pictures (N, H, W, 4) are across the edges of masks (N, H, W) than beside.

    The mean difference, of 255, between neighbouring pixels of which one is masked, less that
    between neighbours up to `reach` pixels away from such a pair. 0 means no seam. Pictures are
    premultiplied, so that invisible colour does not count.
    """
    found = np.zeros(len(pictures))
    for index, (picture, mask) in enumerate(zip(pictures, masks, strict=True)):
        across, beside = [], []
        for values, hidden in ((picture, mask), (picture.swapaxes(0, 1), mask.T)):
            steps = np.abs(np.diff(values.astype(np.float64), axis=1)).mean(-1)
            is_edge = hidden[:, 1:] != hidden[:, :-1]
            near = is_edge.copy()
            for shift in range(1, reach + 1):
                near[:, shift:] |= is_edge[:, :-shift]
                near[:, :-shift] |= is_edge[:, shift:]
            across.append(steps[is_edge])
            beside.append(steps[near & ~is_edge])
        edge, rest = np.concatenate(across), np.concatenate(beside)
        if len(edge) and len(rest):
            found[index] = edge.mean() - rest.mean()
    return found


def are_kept(
    pictures: NDArray[np.uint8], sources: NDArray[np.uint8], masks: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether straight pictures (N, H, W, 4) are their sources bit for bit outside masks."""
    same = (pictures == sources).all(-1) | masks
    kept: NDArray[np.bool_] = same.all((1, 2))
    return kept


def layout(a: NDArray[np.uint8], b: NDArray[np.uint8], side: int = 8) -> NDArray[np.float64]:
    """Correlation of pairs of RGB pictures (N, H, W, 3), in grey and averaged to `side` squares.

    -1 to 1; 0 where one of the two is plain.
    """
    weights = np.array([0.299, 0.587, 0.114])
    x, y = (_centred_squares(pictures @ weights, side) for pictures in (a, b))
    size = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    found: NDArray[np.float64] = np.where(size > 1e-6, (x * y).sum(1) / np.maximum(size, 1e-6), 0)
    return found


def _centred_squares(planes: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    px = planes.shape[1] // side
    squares = planes[:, : px * side, : px * side].reshape(-1, side, px, side, px).mean((2, 4))
    flat: NDArray[np.float64] = squares.reshape(len(planes), -1)
    return flat - flat.mean(1, keepdims=True)
