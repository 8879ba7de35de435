"""Scattered attention without torch: block tables, their masks, and the keys of one step.

A sequence of n elements is cut into blocks of b = ceil(sqrt(n)) neighbours; the last may be short.
The elements of block i attend to block i itself, to block 0 (the first sqrt(n) elements), to the
`window` blocks before i and to r random blocks. With a constant c = r + 2 + window blocks a row
that is n * b * c = O(n sqrt(n)) pairs instead of n * n. With r = sqrt(n) it would be n * n again.

Sources: Big Bird (arXiv 2007.14062, section 2: random, window and global blocks, r constant) and
Sparse Transformers (arXiv 1904.10509, section 4: factorised patterns in O(n sqrt(n))).

A table is int16 (n_blocks, n_slots). Row i lists the blocks that block i attends to, its own first,
without repetition; -1 is an empty slot, used only if no further block exists. Tables are saved with
the weights and loaded, never drawn again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.integer[Any]]

_MAX_BLOCKS = 2**15 - 1  # block numbers are int16
_MAX_SEED = 2**64 - 1


def block_size(n: int) -> int:
    """Elements in a block of a sequence of n ≥ 1 elements: ceil(sqrt(n)), exact for every n."""
    if n < 1:
        raise ValueError(f"n is {n}, a sequence has at least 1 element")
    return math.isqrt(n - 1) + 1


def block_count(n: int) -> int:
    """Blocks in a sequence of n elements."""
    return -(-n // block_size(n))


def block_table(
    n: int, n_random: int, seed: int, layer: int, causal: bool, window: int = 0
) -> NDArray[np.int16]:
    """Draw a layer's table, int16 (n_blocks, n_random + 2 + window).

    Random blocks come from 1..i-1 if causal, else from all but 0 and i. A row shuffles its
    candidates once per seed, and each layer takes the next n_random of them, cyclically. So any
    ceil((n_blocks - 2) / n_random) consecutive layers cover every allowed pair directly. A slot
    that no fixed block needs (row 0 has block 0 once; row 1 has no window) takes another random
    block.
    """
    if n_random < 0 or window < 0 or layer < 0:
        raise ValueError(f"n_random {n_random}, window {window}, layer {layer}: none may be < 0")
    if not 0 <= seed <= _MAX_SEED:
        raise ValueError(f"seed is {seed}, allowed are 0 to {_MAX_SEED}")
    n_blocks = block_count(n)
    if n_blocks > _MAX_BLOCKS:
        raise ValueError(f"n = {n} makes {n_blocks} blocks, a table holds at most {_MAX_BLOCKS}")
    table = np.full((n_blocks, n_random + 2 + window), -1, np.int16)
    for i in range(n_blocks):
        fixed = [i, *([0] if i else []), *range(i - 1, max(0, i - 1 - window), -1)]
        last = i if causal else n_blocks
        candidates = np.array([j for j in range(1, last) if j not in fixed], np.int64)
        drawn = _drawn(_shuffled(candidates, seed, i), table.shape[1] - len(fixed), layer)
        row = fixed + sorted(drawn.tolist())
        table[i, : len(row)] = row
    return table


def _drawn(shuffled: NDArray[np.int64], n_free: int, layer: int) -> NDArray[np.int64]:
    """The n_free shuffled candidates of a layer, taken cyclically."""
    n_drawn = min(n_free, len(shuffled))
    return np.roll(shuffled, -layer * n_drawn)[:n_drawn]


def _shuffled(candidates: NDArray[np.int64], seed: int, row: int) -> NDArray[np.int64]:
    """The candidates in the order of their hashes, the same in every process and version.

    NumPy guarantees its bit streams but not its shuffles, hence a hash of (seed, row, candidate).
    """
    stream = _mix(_mix(np.array([seed], np.uint64)) ^ np.uint64(row))
    return candidates[np.argsort(_mix(stream ^ candidates.astype(np.uint64)), kind="stable")]


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function, modulo 2**64 (Steele, Lea and Flood 2014, figure 17)."""
    z = words + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def check_table(table: Table, n: int) -> None:
    """Raise ValueError unless the table is valid for n elements."""
    n_blocks = block_count(n)
    if table.ndim != 2 or len(table) != n_blocks or table.shape[1] < 1:
        raise ValueError(f"table has shape {table.shape}, n = {n} needs {n_blocks} rows of slots")
    if table.min() < -1 or table.max() >= n_blocks:
        raise ValueError(f"table holds {table.min()}..{table.max()}, allowed: -1..{n_blocks - 1}")
    if not np.array_equal(table[:, 0], np.arange(n_blocks)):
        raise ValueError("each row of a table must name its own block first")
    rows = np.sort(table, axis=1)
    if ((rows[:, 1:] == rows[:, :-1]) & (rows[:, 1:] >= 0)).any():
        raise ValueError("a row of the table names a block twice and would count its keys twice")


def pair_mask(table: Table, n: int, causal: bool) -> NDArray[np.bool_]:
    """The mask of a table, (n, n): True where the query (row) sees the key (column)."""
    seen = _seen_keys(table, n).repeat(block_size(n), axis=0)[:n]
    return np.tril(seen) if causal else seen


def step_mask(table: Table, positions: Sequence[int], n_filled: int, n: int) -> NDArray[np.bool_]:
    """The mask of the elements at N positions in one step of causal decoding, (N, n).

    True where the key lies in a block of the position's row, is not after the position and is one
    of the first n_filled (1..n) keys of the cache. Every row of a causal table names block 0, so
    every element sees something.
    """
    where = _checked(positions, n_filled, n)
    keys = np.arange(n)
    seen = _seen_keys(table[where // block_size(n)], n)
    return seen & (keys <= where[:, None]) & (keys < n_filled)


def step_keys(table: Table, position: int, n: int) -> NDArray[np.int64]:
    """The keys that the element at `position` sees, ascending; at most n_slots * b: O(sqrt(n))."""
    _checked([position], n, n)
    b = block_size(n)
    row = table[position // b]
    keys = (np.sort(row[row >= 0]).astype(np.int64)[:, None] * b + np.arange(b)).ravel()
    return keys[keys <= position]


def _seen_keys(rows: Table, n: int) -> NDArray[np.bool_]:
    """Rows of a table, (N, n_slots), as masks of keys, (N, n), in both directions."""
    # One extra column takes the empty slots (-1) and is cut off.
    seen = np.zeros((len(rows), block_count(n) + 1), bool)
    np.put_along_axis(seen, rows.astype(np.int64), True, axis=1)
    return seen[:, :-1].repeat(block_size(n), axis=1)[:, :n]


def _checked(positions: Sequence[int], n_filled: int, n: int) -> NDArray[np.int64]:
    where = np.asarray(positions, np.int64)
    if where.ndim != 1 or where.size == 0 or where.min() < 0 or where.max() >= n:
        raise ValueError(f"positions are {list(positions)}, allowed: one or more of 0..{n - 1}")
    if not 1 <= n_filled <= n:
        raise ValueError(f"n_filled is {n_filled}, a step needs 1..{n} filled keys")
    return where
