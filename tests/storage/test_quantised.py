"""Packed weights come back within half a step, and packing them again changes nothing."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from limner.errors import WeightsError
from limner.storage.checkpoints.quantised import pack, shards, unpack

Floats = NDArray[np.float32]


@st.composite
def matrices(draw: st.DrawFn, smallest: float = -12.0, largest: float = 6.0) -> Floats:
    """At least 64 × 64, every row with a magnitude of its own, some of them all zeros."""
    rows, columns = draw(st.integers(64, 70)), draw(st.integers(64, 80))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    magnitude = 10.0 ** rng.uniform(smallest, largest, (rows, 1))
    matrix = rng.uniform(-1, 1, (rows, columns)) * magnitude
    matrix[rng.random(rows) < 0.1] = 0
    return matrix.astype(np.float32)


@settings(max_examples=40)
@given(matrices())
def test_every_number_is_within_half_a_step_of_its_row(matrix: Floats) -> None:
    packed = pack({"a": matrix})
    steps, scale = packed["a"], packed["a.scale"].astype(np.float64)
    assert steps.dtype == np.int8
    assert scale.shape == (len(matrix), 1)
    assert np.abs(steps.astype(int)).max() <= 127
    back = unpack(packed)["a"]
    assert back.dtype == np.float32
    assert (np.abs(back - matrix.astype(np.float64)) <= scale * 0.5001).all()
    # The step is as small as 8 bits allow, where float16 has all its digits.
    largest = np.abs(matrix).max(axis=1, keepdims=True).astype(np.float64)
    fine = largest > 127 * 2.0**-14
    assert (scale[fine] <= largest[fine] / 127 * 1.001).all()


@settings(max_examples=40)
@given(matrices(smallest=-1.9))
def test_packing_again_changes_nothing(matrix: Floats) -> None:
    once = pack({"a": matrix, "b": np.linspace(-1, 1, 9, dtype=np.float32)})
    twice = pack(unpack(once))
    assert once.keys() == twice.keys()
    for name, array in once.items():
        assert array.tobytes() == twice[name].tobytes()


def test_rows_of_zeros_and_of_one_number() -> None:
    matrix = np.zeros((64, 64), np.float32)
    matrix[1] = 3.0
    matrix[2, 5] = -3.0
    assert np.allclose(unpack(pack({"a": matrix}))["a"], matrix, rtol=1e-3, atol=0)


def test_small_matrices_vectors_and_convolutions_keep_16_bits() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "narrow": rng.normal(size=(500, 63)).astype(np.float32),
        "vector": rng.normal(size=300).astype(np.float32),
        "convolution": rng.normal(size=(64, 64, 3, 3)).astype(np.float32),
        "number": np.array(2.5, np.float32),
    }
    packed = pack(arrays)
    assert {array.dtype for array in packed.values()} == {np.dtype(np.float16)}
    for name, array in unpack(packed).items():
        assert array.shape == arrays[name].shape
        assert np.allclose(array, arrays[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e8])
@pytest.mark.parametrize("shape", [(64, 64), (64,)])
def test_numbers_that_cannot_be_stored_are_refused_by_name(
    bad: float, shape: tuple[int, ...]
) -> None:
    array = np.ones(shape, np.float32)
    array.flat[7] = bad
    with pytest.raises(WeightsError, match=r"Weights content\.0 hold numbers") as caught:
        pack({"fine": np.ones((64, 64), np.float32), "content.0": array})
    assert caught.value.hint is not None


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 60))
def test_shards_keep_order_and_limit(lengths: list[int], limit: int) -> None:
    arrays = {str(i): np.full(n, i, np.int8) for i, n in enumerate(lengths)}
    parts = shards(arrays, limit)
    assert [name for part in parts for name in part] == list(arrays)
    for part in parts:
        assert len(part) <= 1 or sum(array.nbytes for array in part.values()) <= limit
    for part, after in pairwise(parts):  # no part could hold one more
        first = next(iter(after.values()))
        assert sum(array.nbytes for array in part.values()) + first.nbytes > limit
