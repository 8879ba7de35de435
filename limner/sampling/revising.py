"""Revising a drawn picture: its least likely cells are redrawn at a lower temperature.

Cells that were drawn in parallel did not see each other, which leaves specks. When all cells are
drawn, each is scored given others, and the worst are masked and redrawn (the
re-masking of MaskGIT's decoding, arXiv 2202.04200, section 3.3, by likelihoods of a second pass,
as in Token-Critic, arXiv 2209.04439, but by the network itself). NumPy only, and by the protocol of
`decoding`, so that PyTorch and ONNX Runtime revise alike.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Bools, Floats, Ints
from limner.sampling.decoding import DecodeState, Network, Partial
from limner.sampling.sampling import SamplingConfig, guidance_at, spread_order, step_sizes

_N_PARTS = 2  # scoring passes: each hides one part of the cells and sees the others


def count_revise_steps(config: SamplingConfig, n_hidden: int) -> int:
    """Decoder passes to revise `n_hidden` drawn cells; 0 if none would be redrawn."""
    n_again = _n_again(config, n_hidden)
    return _N_PARTS + min(config.revise_steps, n_again) if n_again else 0


def revise_codes(
    network: Network,
    conditional: Ints,
    unconditional: Ints | None,
    codes: Ints,
    hidden: Bools,
    uniforms: Floats,
    config: SamplingConfig,
) -> Iterator[Partial]:
    """Revise pictures' codes (B, n_cells, n_groups), yielding after each of `count_revise_steps`.

    conditional, unconditional and uniforms are as in `decoding.draw_codes`. Cells that are not
    `hidden` (n_cells,) are kept. Every Partial is complete: a cell has its old code until it is
    redrawn.
    """
    n_hidden = int(hidden.sum())
    n_steps = count_revise_steps(config, n_hidden)
    if not n_steps:
        return
    state = DecodeState(network, conditional, unconditional)
    codes = codes.copy()
    whole = np.ones(len(hidden), bool)
    scores = np.zeros(codes.shape[:2])
    for part in range(_N_PARTS):
        asked = _part(part, hidden, network.shape.grid)
        scores[:, asked] = _scored(state, codes, asked, config)
        yield Partial(part + 1, n_steps, codes.copy(), whole)
    order = _worst(scores, hidden, _n_again(config, n_hidden), network.shape.grid)
    for i, drawn in enumerate(_drawn_again(state, codes, order, uniforms, config)):
        codes = drawn
        yield Partial(_N_PARTS + i + 1, n_steps, codes.copy(), whole)


def _n_again(config: SamplingConfig, n_hidden: int) -> int:
    return round(config.revise_share * n_hidden)


def _part(part: int, hidden: Bools, grid: int) -> Ints:
    """The positions of every second hidden cell, as on a chessboard, in spread order."""
    order = spread_order(grid)
    order = order[hidden[order]]
    return order[(order // grid + order % grid) % _N_PARTS == part]


def _scored(state: DecodeState, codes: Ints, asked: Ints, config: SamplingConfig) -> Floats:
    """Log-likelihood (B, Q) of the cells `asked` (Q,), given all others."""
    order = spread_order(state.shape.grid)
    others = order[~np.isin(order, asked)]
    state.begin()
    state.read(codes[:, others], others)
    return state.log_likelihood(asked, codes[:, asked], config.guidance)


def _worst(scores: Floats, hidden: Bools, n: int, grid: int) -> Ints:
    """The positions of the n least likely hidden cells of each picture, (B, n), in spread order."""
    order = spread_order(grid)
    ranked = np.argsort(np.where(hidden, scores, np.inf), axis=1, kind="stable")
    worst = np.zeros(scores.shape, bool)
    np.put_along_axis(worst, ranked[:, :n], True, axis=1)
    return np.stack([order[row[order]] for row in worst])


def _drawn_again(
    state: DecodeState, codes: Ints, order: Ints, uniforms: Floats, config: SamplingConfig
) -> Iterator[Ints]:
    """Redraw the cells at `order` (B, n) given the others; yields codes after every step."""
    n_cells, n_again = codes.shape[1], order.shape[1]
    cooler = replace(
        config,
        temperature=config.revise_temperature,
        detail_temperature=config.revise_detail_temperature,
    )
    spread = spread_order(state.shape.grid)
    others = np.stack([spread[~np.isin(spread, row)] for row in order])
    state.begin()
    state.read(_at(codes, others), others)
    done = 0
    for size in step_sizes(n_again, config.revise_steps):
        positions = order[:, done : done + size]
        scale = guidance_at(config, n_cells - n_again + done, n_cells)
        fresh = state.draw(positions, _at(uniforms, positions), scale, cooler)
        codes = codes.copy()
        np.put_along_axis(codes, positions[..., None], fresh, axis=1)
        done += size
        yield codes


def _at(values: NDArray[Any], positions: Ints) -> NDArray[Any]:
    """Values (B, n_cells, n_groups) at positions (B, n)."""
    found: NDArray[Any] = np.take_along_axis(values, positions[..., None], axis=1)
    return found
