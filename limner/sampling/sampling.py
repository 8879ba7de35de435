"""From the model's scores to codes: order of the cells, guidance, temperature, top-p, the draw.

NumPy only, and shared by every engine. All randomness is a table of numbers keyed by (seed,
picture, candidate): the random number of a cell depends on its position in the picture, not on its
place in a batch, the number of cells drawn at once, or other pictures.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import pi

import numpy as np

from limner.arrays import Floats, Ints

DRAWING, REVISING = 0, 1  # purposes of `uniforms`


@dataclass(frozen=True)
class SamplingConfig:
    """How codes are drawn; the defaults were chosen by the sweep in docs/experiments.md."""

    n_steps: int = 64  # decoder passes per picture; each draws several cells
    guidance: float = 3.0  # 1 = none; extrapolation from unconditional to conditional scores
    guidance_start: float = 1.0  # guidance at the first cell, rising linearly to `guidance`
    temperature: float = 1.0
    top_p: float = 0.95
    detail_temperature: float = 0.7  # of a cell's codes after the first
    n_candidates: int = 1  # candidates for each picture; the best scored is kept
    revise_share: float = 0.0  # share of the drawn cells, the least likely, to redraw; 0 = none
    revise_steps: int = 6  # decoder passes that draw them
    revise_temperature: float = 0.3
    revise_detail_temperature: float = 0.2


@lru_cache(maxsize=256)
def spread_order(columns: int, rows: int | None = None) -> Ints:
    """All cells of a rectangle (a square by default) in spread order: (n_cells,) row-major indices.

    The array is read-only, as it is kept for the next call.

    A Halton sequence in bases 2 and 3 (Halton order: arXiv 2503.17076) covers the square evenly
    from the start, so any first part of the order is a thumbnail of the whole.
    """
    rows = columns if rows is None else rows
    seen: dict[int, None] = {}
    i = 0
    while len(seen) < columns * rows:
        i += 1
        row, column = int(_van_der_corput(i, 2) * rows), int(_van_der_corput(i, 3) * columns)
        seen.setdefault(row * columns + column)
    order: Ints = np.fromiter(seen, dtype=np.int64)
    order.flags.writeable = False
    return order


def _van_der_corput(i: int, base: int) -> float:
    value, share = 0.0, 1.0
    while i:
        i, digit = divmod(i, base)
        share /= base
        value += digit * share
    return value


def step_sizes(n_cells: int, n_steps: int) -> list[int]:
    """Number of cells per step, few at first and more later; sums to n_cells.

    The share known after part t of the steps is 1 - arccos(t) * 2 / pi (the arccos schedule of
    MaskGIT, arXiv 2202.04200, section 3.3), and every step draws at least one cell.
    """
    n_steps = min(n_steps, n_cells)
    share = 1 - np.arccos(np.arange(1, n_steps + 1) / n_steps) * 2 / pi
    ends = np.maximum(np.rint(share * n_cells).astype(int), np.arange(1, n_steps + 1))
    ends = np.minimum(ends, n_cells - np.arange(n_steps - 1, -1, -1))
    return np.diff(ends, prepend=0).tolist()


def uniforms(
    seed: int, picture: int, candidate: int, n_cells: int, n_codes: int, purpose: int = DRAWING
) -> Floats:
    """The random numbers of one candidate picture: (n_cells, n_codes a cell) in [0, 1).

    `purpose` is DRAWING or REVISING, which have separate numbers.
    """
    # Philox is counter-based: the same key gives the same numbers on every machine. Bits 126 and
    # 127 of keys belong to `canvas.kept` and `styles.in_style`.
    key = (seed & (2**64 - 1)) | (picture << 64) | (candidate << 96) | (purpose << 120)
    return np.random.Generator(np.random.Philox(key=key)).random((n_cells, n_codes))


def guided(conditional: Floats, unconditional: Floats, scale: float) -> Floats:
    """Classifier-free guidance on scores (arXiv 2207.12598): u + scale * (c - u)."""
    return unconditional + scale * (conditional - unconditional)


def guidance_at(config: SamplingConfig, done: int, n_cells: int) -> float:
    """Guidance for cells drawn when `done` of `n_cells` are known, rising linearly."""
    rise = done / max(1, n_cells - 1)
    return config.guidance_start + (config.guidance - config.guidance_start) * rise


def nucleus(probabilities: Floats, top_p: float) -> Floats:
    """Keep the likeliest values that together reach `top_p` (arXiv 1904.09751), renormalised.

    probabilities: (..., n_values). The likeliest value is always kept; of equal ones the first.
    """
    # To sort the values is a tenth of the work of sorting their indexes.
    ranked = -np.sort(-probabilities, axis=-1)
    reached = np.cumsum(ranked, axis=-1)
    # A value is kept if those before it sum to less than top_p; the likeliest has none before it.
    n_wanted = 1 + (reached[..., :-1] < top_p).sum(axis=-1, keepdims=True)
    least = np.take_along_axis(ranked, n_wanted - 1, axis=-1)
    wanted = probabilities >= least
    if (wanted.sum(axis=-1, keepdims=True) > n_wanted).any():  # several are equal to the last one
        more, equal = probabilities > least, probabilities == least
        n_equal = n_wanted - more.sum(axis=-1, keepdims=True)
        wanted = more | (equal & (np.cumsum(equal, axis=-1) <= n_equal))
    kept = np.where(wanted, probabilities, 0.0)
    return kept / kept.sum(axis=-1, keepdims=True)


def draw(scores: Floats, uniform: Floats, temperature: float, top_p: float) -> Ints:
    """Draw one value from each row of scores.

    scores: (..., n_values); uniform: (...) in [0, 1). Temperature 0 takes the best value.
    Returns (...) whole numbers below n_values.
    """
    if temperature <= 0:
        return scores.argmax(axis=-1)
    scaled = scores.astype(np.float64) / temperature
    probabilities = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    probabilities = nucleus(probabilities / probabilities.sum(axis=-1, keepdims=True), top_p)
    reached = np.cumsum(probabilities, axis=-1)
    # The last sum may round to just under 1; no draw may exceed it.
    chosen = (reached <= uniform[..., None] * reached[..., -1:]).sum(axis=-1)
    return np.minimum(chosen, scores.shape[-1] - 1)
