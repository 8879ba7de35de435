"""Scattered attention's tables and masks: the same everywhere, by their rules, in O(n sqrt(n))."""

import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from limner.sampling.block_sparse import (
    block_count,
    block_size,
    block_table,
    check_table,
    pair_mask,
    step_keys,
    step_mask,
)

# The digest of the tables below. It may never change: weights were trained with such tables.
GOLDEN = "8dc60b5b188291f1"
DIGEST = """
import hashlib, sys
from limner.sampling.block_sparse import block_table
tables = [
    block_table(n, r, seed, layer, causal, window)
    for n in (1, 2, 16, 64, 250, 1024)
    for r in (0, 1, 2, 3)
    for seed in (0, 1, 2**64 - 1)
    for layer in (0, 1, 7)
    for causal in (True, False)
    for window in (0, 1)
]
assert "torch" not in sys.modules
print(hashlib.sha256(b"".join(t.astype("<i2").tobytes() for t in tables)).hexdigest()[:16])
"""

lengths = st.integers(1, 300)
randoms = st.integers(0, 5)


def blocks_seen(table: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which block looks at which, (n_blocks, n_blocks)."""
    seen: NDArray[np.bool_] = (table[:, :, None] == np.arange(len(table))).any(1)
    return seen


def wanted(n: int, causal: bool) -> NDArray[np.bool_]:
    every = np.ones((block_count(n), block_count(n)), bool)
    return np.tril(every) if causal else every


@given(st.integers(1, 10**12))
def test_a_block_is_the_root_of_the_length_rounded_up(n: int) -> None:
    b = block_size(n)
    assert (b - 1) ** 2 < n <= b**2
    assert (block_count(n) - 1) * b < n <= block_count(n) * b


@given(lengths, randoms, st.integers(0, 2**64 - 1), st.integers(0, 20), st.booleans(), randoms)
def test_rows_keep_the_rules(
    n: int, r: int, seed: int, layer: int, causal: bool, window: int
) -> None:
    table = block_table(n, r, seed, layer, causal, window)
    assert table.dtype == np.int16
    assert table.shape == (block_count(n), r + 2 + window)
    check_table(table, n)
    for i, row in enumerate(table.tolist()):
        blocks = [j for j in row if j >= 0]
        known = range(i + 1) if causal else range(len(table))
        assert set(blocks) <= set(known)
        assert {i, 0, *range(max(0, i - window), i)} <= set(blocks)
        assert len(blocks) == min(len(row), len(known))  # empty only where there is no other block


def test_the_tables_are_the_same_in_another_process_and_in_every_version() -> None:
    other = subprocess.run(
        [sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == GOLDEN


def test_a_known_table() -> None:
    table = block_table(36, 1, seed=7, layer=0, causal=True)
    assert table.tolist() == [[0, -1, -1], [1, 0, -1], [2, 0, 1], [3, 0, 2], [4, 0, 1], [5, 0, 1]]


def test_seeds_and_layers_differ() -> None:
    tables = {
        block_table(1024, 2, seed, layer, causal=True).tobytes()
        for seed in range(20)
        for layer in range(10)
    }
    assert len(tables) == 200


def test_every_block_is_drawn_about_equally_often() -> None:
    drawn = [block_table(64, 1, seed, 0, causal=True)[7, 2] for seed in range(600)]
    counts = np.bincount(drawn, minlength=8)
    assert counts[0] == counts[7] == 0
    # 600 draws from blocks 1..6: 100 each, standard deviation 9.1.
    assert np.abs(counts[1:7] - 100).max() < 4 * 9.1


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("n", "r"), [(64, 2), (256, 3), (1000, 4)])
@pytest.mark.parametrize("start", [0, 5])
def test_layers_in_a_row_see_every_pair_directly(n: int, r: int, causal: bool, start: int) -> None:
    layers = range(start, start + math.ceil((block_count(n) - 2) / r))
    seen = np.any([blocks_seen(block_table(n, r, 3, layer, causal)) for layer in layers], axis=0)
    assert np.array_equal(seen, wanted(n, causal))


@pytest.mark.parametrize(
    ("n", "r", "causal", "n_layers"),
    [
        (64, 2, True, 3),  # the model of 64 cells
        (64, 2, False, 3),
        (64, 3, True, 2),
        (256, 5, True, 3),
        (256, 5, False, 3),
        (256, 2, True, 7),  # two random blocks a row are too few for three layers of 256
        (256, 2, False, 5),
        (1024, 2, False, 7),
    ],
)
def test_a_few_layers_connect_everything(n: int, r: int, causal: bool, n_layers: int) -> None:
    for seed in range(4):
        reached = np.eye(block_count(n), dtype=int)
        for layer in range(n_layers):
            reached = np.minimum(blocks_seen(block_table(n, r, seed, layer, causal)) @ reached, 1)
        assert np.array_equal(reached, wanted(n, causal)), seed


def pairs_by_formula(n: int, n_slots: int, causal: bool) -> int:
    """Row i sees m = min(n_slots, blocks there are) blocks: m b keys for each of its elements,
    less the keys after the element (causal) or after the end (the last block, if it is seen)."""
    b, n_blocks = block_size(n), block_count(n)
    assert n == n_blocks * b, "whole blocks only"
    if not causal:
        return n * b * min(n_slots, n_blocks)
    return sum(b * b * (min(n_slots, i + 1) - 1) + b * (b + 1) // 2 for i in range(n_blocks))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("n", [16, 64, 256, 1024, 4096])
@pytest.mark.parametrize("r", [0, 1, 2, 3])
def test_the_pairs_are_as_many_as_the_formula_says(n: int, r: int, causal: bool) -> None:
    table = block_table(n, r, 1, 0, causal)
    assert pair_mask(table, n, causal).sum() == pairs_by_formula(n, r + 2, causal)


@pytest.mark.parametrize("causal", [True, False])
def test_four_times_the_length_is_eight_times_the_pairs(causal: bool) -> None:
    lengths = [4**power for power in range(5, 13)]
    counts = [pairs_by_formula(n, 4, causal) for n in lengths]
    ratios = [more / fewer for fewer, more in pairwise(counts)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] == pytest.approx(8, rel=1e-3)


@settings(max_examples=30)
@given(st.integers(1, 40), randoms, st.integers(0, 99), st.booleans())
def test_the_mask_is_what_the_table_says(n: int, r: int, seed: int, causal: bool) -> None:
    table = block_table(n, r, seed, 0, causal)
    b, mask = block_size(n), pair_mask(table, n, causal)
    assert mask.shape == (n, n)
    rows = table.tolist()
    for i in range(n):
        for j in range(n):
            assert mask[i, j] == (j // b in rows[i // b] and (j <= i or not causal))


@given(st.integers(1, 200), randoms, st.data())
def test_a_steps_keys_and_mask_are_those_of_the_whole(n: int, r: int, data: st.DataObject) -> None:
    table = block_table(n, r, 0, 0, causal=True)
    where = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5))
    filled = data.draw(st.integers(1, n))
    whole = pair_mask(table, n, causal=True)
    keys = step_keys(table, where[0], n)
    assert np.array_equal(keys, np.flatnonzero(whole[where[0]]))
    assert len(keys) <= (r + 2) * block_size(n)
    mask = step_mask(table, where, filled, n)
    assert np.array_equal(mask, whole[where] & (np.arange(n) < filled))
    assert mask.any(1).all()


def _changed(row: int, slot: int, value: int) -> NDArray[np.int16]:
    table = block_table(64, 2, 0, 0, causal=True)
    table[row, slot] = value
    return table


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (block_table(81, 2, 0, 0, causal=True), r"shape \(9, 4\), n = 64 needs 8 rows"),
        (np.zeros(8, np.int16), "needs 8 rows"),
        (_changed(3, 1, 8), r"allowed: -1\.\.7"),
        (_changed(3, 1, -2), r"allowed: -1\.\.7"),
        (_changed(3, 0, 2), "own block first"),
        (_changed(3, 1, 3), "twice"),
    ],
)
def test_a_damaged_table_is_refused(table: NDArray[np.int16], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_table(table, 64)


def test_arguments_out_of_range_are_refused() -> None:
    table = block_table(64, 2, 0, 0, causal=True)
    with pytest.raises(ValueError, match="at least 1 element"):
        block_size(0)
    with pytest.raises(ValueError, match="none may be < 0"):
        block_table(64, -1, 0, 0, causal=True)
    with pytest.raises(ValueError, match="seed is -1"):
        block_table(64, 2, -1, 0, causal=True)
    with pytest.raises(ValueError, match="at most 32767"):
        block_table(2**32, 2, 0, 0, causal=True)
    with pytest.raises(ValueError, match=r"allowed: one or more of 0\.\.63"):
        step_mask(table, [64], 1, 64)
    with pytest.raises(ValueError, match=r"needs 1\.\.64 filled keys"):
        step_mask(table, [0], 0, 64)
    with pytest.raises(ValueError, match="one or more"):
        step_mask(table, [], 1, 64)
