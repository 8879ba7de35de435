"""Fitting few cubic Bézier curves to closed outlines.

After Schneider, "An algorithm for automatically fitting digitized curves", Graphics Gems 1990:
least squares between two end points with given tangents, parameters re-estimated by Newton's
method, and a split at the largest error if the fit fails. An outline is first cut at its corners.
"""

import numpy as np

from limner.finish.vector.contours import Points

_CORNER_REACH = 3.0  # pixels before and after a point for measuring its turn
_CORNER_TURN = np.cos(np.radians(45.0))  # sharper turns are corners
_TANGENT_REACH = 1.5  # pixels
_ROUNDS = 3  # of re-estimation


def fit(loop: Points, tolerance: float) -> Points:
    """Curves (n, 4, 2) along the closed outline `loop` (m, 2), within `tolerance`.

    Each begins at the end of the one before; the last ends at the start of the first.
    """
    loop = _spaced(loop)
    corners = _corners(loop)
    if len(corners) == 0:
        start = int(np.lexsort((loop[:, 1], loop[:, 0]))[0])
        ring = np.concatenate([loop[start:], loop[: start + 1]])
        tangent = _unit(ring[1] - ring[-2])
        return np.array(_fitted(ring, tangent, -tangent, tolerance))
    curves: list[Points] = []
    for a, b in zip(corners, np.append(corners[1:], corners[0] + len(loop)), strict=True):
        part = loop[np.arange(a, b + 1) % len(loop)]
        curves += _fitted(part, _tangent(part), _tangent(part[::-1]), tolerance)
    return np.array(curves)


def _spaced(loop: Points) -> Points:
    """Points about half a pixel apart: closer ones do not determine a direction."""
    steps = np.sqrt((np.diff(loop, axis=0, append=loop[:1]) ** 2).sum(1))
    along = np.concatenate([[0], np.cumsum(steps)])
    n = max(8, int(along[-1] / 0.6))
    parameters = np.arange(n) * (along[-1] / n)
    closed = np.concatenate([loop, loop[:1]])
    return np.stack([np.interp(parameters, along, closed[:, c]) for c in (0, 1)], 1)


def _corners(loop: Points) -> np.ndarray:
    """Indices of corners: points with a sharp turn that is a local maximum."""
    reach = max(1, round(_CORNER_REACH / 0.6))
    if len(loop) < 4 * reach:
        return np.zeros(0, np.int64)
    before, after = loop - np.roll(loop, reach, 0), np.roll(loop, -reach, 0) - loop
    cosine = (before * after).sum(1) / np.maximum(
        np.sqrt((before**2).sum(1) * (after**2).sum(1)), 1e-9
    )
    around = np.min([np.roll(cosine, k) for k in range(-reach, reach + 1)], axis=0)
    return np.flatnonzero((cosine < _CORNER_TURN) & (cosine == around))


def _tangent(points: Points) -> Points:
    """The direction at the start of points."""
    n = min(len(points) - 1, max(1, round(_TANGENT_REACH / 0.6)))
    return _unit(points[n] - points[0])


def _unit(vector: Points) -> Points:
    return vector / max(float(np.hypot(*vector)), 1e-9)


def _fitted(points: Points, start: Points, end: Points, tolerance: float) -> list[Points]:
    if len(points) < 3:
        third = np.hypot(*(points[-1] - points[0])) / 3
        return [
            np.stack([points[0], points[0] + start * third, points[-1] + end * third, points[-1]])
        ]
    steps = np.sqrt((np.diff(points, axis=0) ** 2).sum(1))
    parameters = np.concatenate([[0], np.cumsum(steps)]) / steps.sum()
    for _ in range(_ROUNDS):
        curve = _least_squares(points, parameters, start, end)
        error = ((_at(curve, parameters) - points) ** 2).sum(1)
        worst = float(error.max())
        if worst <= tolerance**2:
            return [curve]
        if worst > (6 * tolerance) ** 2:
            break
        parameters = _newton(curve, points, parameters)
    cut = int(np.clip(error.argmax(), 1, len(points) - 2))
    low, high = max(cut - 2, 0), min(cut + 2, len(points) - 1)
    tangent = _unit(points[low] - points[high])
    return [
        *_fitted(points[: cut + 1], start, tangent, tolerance),
        *_fitted(points[cut:], -tangent, end, tolerance),
    ]


def _least_squares(points: Points, t: np.ndarray, start: Points, end: Points) -> Points:
    """The curve with the least-squares lengths of both tangents, for parameters t."""
    s = 1 - t
    b0, b1, b2, b3 = s**3, 3 * t * s**2, 3 * t**2 * s, t**3
    a1, a2 = start * b1[:, None], end * b2[:, None]
    rest = points - points[0] * (b0 + b1)[:, None] - points[-1] * (b2 + b3)[:, None]
    c11, c12, c22 = (a1 * a1).sum(), (a1 * a2).sum(), (a2 * a2).sum()
    x1, x2 = (a1 * rest).sum(), (a2 * rest).sum()
    determinant = c11 * c22 - c12 * c12
    chord = float(np.hypot(*(points[-1] - points[0])))
    first = second = chord / 3
    if abs(determinant) > 1e-12:
        first, second = (x1 * c22 - x2 * c12) / determinant, (c11 * x2 - c12 * x1) / determinant
    reach = np.sqrt((np.diff(points, axis=0) ** 2).sum(1)).sum()
    if not (1e-3 * chord < first < 2 * reach and 1e-3 * chord < second < 2 * reach):
        first = second = chord / 3
    return np.stack([points[0], points[0] + start * first, points[-1] + end * second, points[-1]])


def _at(curve: Points, t: np.ndarray) -> Points:
    s = 1 - t
    basis = np.stack([s**3, 3 * t * s**2, 3 * t**2 * s, t**3], 1)
    return basis @ curve


def _newton(curve: Points, points: Points, t: np.ndarray) -> np.ndarray:
    """Improve the parameters of `points` on the curve by one Newton step."""
    first, second = 3 * np.diff(curve, axis=0), 6 * np.diff(curve, 2, axis=0)
    s = (1 - t)[:, None]
    u = t[:, None]
    slope = first[0] * s**2 + first[1] * (2 * s * u) + first[2] * u**2
    bend = second[0] * s + second[1] * u
    away = _at(curve, t) - points
    upper = (away * slope).sum(1)
    lower = (slope**2).sum(1) + (away * bend).sum(1)
    moved = t - np.divide(upper, lower, out=np.zeros_like(t), where=np.abs(lower) > 1e-9)
    return np.maximum.accumulate(moved.clip(0, 1))
