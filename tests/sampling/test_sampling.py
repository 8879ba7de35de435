"""From scores to codes: orders, step sizes, random numbers, guidance, top-p and the draw."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.arrays import Floats
from limner.sampling.sampling import (
    SamplingConfig,
    draw,
    guidance_at,
    guided,
    nucleus,
    spread_order,
    step_sizes,
    uniforms,
)

UNDER_ONE = np.nextafter(1.0, 0.0)
shares = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12).map(
    lambda weights: np.array(weights) / np.sum(weights)
)
score_rows = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=12).map(np.array)
unit = st.floats(0, 1, exclude_max=True)


# --- the order of the cells ---


@given(st.integers(1, 40))
def test_spread_order_names_every_cell_once(grid: int) -> None:
    assert sorted(spread_order(grid)) == list(range(grid * grid))


@pytest.mark.parametrize("grid", [4, 8, 16, 32])
def test_spread_order_reaches_every_quarter_within_five_cells(grid: int) -> None:
    rows, columns = np.divmod(spread_order(grid)[:5], grid)
    assert len(set(zip(rows >= grid // 2, columns >= grid // 2, strict=True))) == 4


@pytest.mark.parametrize("grid", [8, 16, 32])
def test_any_first_part_of_the_order_is_spread_evenly(grid: int) -> None:
    rows, columns = np.divmod(spread_order(grid), grid)
    quarter = (rows >= grid // 2) * 2 + (columns >= grid // 2)
    counts = np.cumsum(quarter[:, None] == np.arange(4), axis=0)
    fair = np.arange(1, grid * grid + 1)[:, None] / 4
    assert np.abs(counts - fair).max() < grid / 4
    # Random orders do much worse: this is what "low discrepancy" buys.
    random = np.random.default_rng(0).permutation(quarter)
    counts = np.cumsum(random[:, None] == np.arange(4), axis=0)
    assert np.abs(counts - fair).max() > grid / 4


@given(n_cells=st.integers(1, 1100), n_steps=st.integers(1, 1200))
def test_steps_draw_every_cell_and_each_at_least_one(n_cells: int, n_steps: int) -> None:
    sizes = step_sizes(n_cells, n_steps)
    assert sum(sizes) == n_cells
    assert len(sizes) == min(n_steps, n_cells)
    assert min(sizes) >= 1


def test_later_steps_draw_more() -> None:
    assert step_sizes(64, 64) == [1] * 64
    assert step_sizes(64, 1) == [64]
    sizes = step_sizes(256, 16)
    assert np.diff(sizes).min() >= -1  # it rises, but for the rounding to whole cells
    assert sizes[0] < 16 < sizes[-1]
    # The arccos schedule by its formula, where no step is too small for it.
    ends = [256 * (1 - np.arccos(i / 16) * 2 / np.pi) for i in range(1, 17)]
    assert np.abs(np.cumsum(sizes) - ends).max() <= 0.5


# --- random numbers ---


@given(st.integers(0, 2**63 - 1), st.integers(0, 9), st.integers(0, 9))
def test_one_key_gives_one_table(seed: int, picture: int, candidate: int) -> None:
    table = uniforms(seed, picture, candidate, 16, 2)
    assert table.shape == (16, 2)
    assert table.min() >= 0
    assert table.max() < 1
    assert np.array_equal(table, uniforms(seed, picture, candidate, 16, 2))


def test_tables_differ_by_seed_picture_and_candidate() -> None:
    keys = [
        (seed, picture, candidate)
        for seed in (0, 1, 2, 2**32, 2**32 + 1, 2**62, 2**63 - 1)
        for picture in range(4)
        for candidate in range(4)
    ]
    tables = {uniforms(*key, 8, 2).tobytes() for key in keys}
    assert len(tables) == len(keys)


def test_tables_are_uniform_and_do_not_follow_each_other() -> None:
    tables = np.stack([uniforms(seed, 0, 0, 64, 2) for seed in range(200)])
    counts, _ = np.histogram(tables, bins=20, range=(0, 1))
    expected = tables.size / 20
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 60  # 19 degrees of freedom: p = 4e-6
    neighbours = np.corrcoef(tables[:-1].ravel(), tables[1:].ravel())[0, 1]
    assert abs(neighbours) < 0.03


# --- guidance ---


def test_guidance_goes_from_any_picture_to_the_prompts_and_beyond() -> None:
    prompts, any_picture = np.array([1.0, 5.0]), np.array([2.0, 3.0])
    assert np.array_equal(guided(prompts, any_picture, 0.0), any_picture)
    assert np.array_equal(guided(prompts, any_picture, 1.0), prompts)
    assert np.array_equal(guided(prompts, any_picture, 3.0), [-1.0, 9.0])


def test_guidance_rises_in_a_line_from_the_first_cell_to_the_last() -> None:
    config = SamplingConfig(guidance_start=1.0, guidance=4.0)
    assert [guidance_at(config, done, 4) for done in range(4)] == [1.0, 2.0, 3.0, 4.0]
    assert guidance_at(config, 0, 1) == 1.0


# --- top-p ---


@given(shares, st.floats(0, 1))
def test_nucleus_is_the_smallest_set_that_reaches_top_p(share: Floats, top_p: float) -> None:
    kept = nucleus(share, top_p)
    seen = kept > 0
    assert np.isclose(kept.sum(), 1)
    assert seen.any()
    assert np.allclose(kept[seen], share[seen] / share[seen].sum())
    if not seen.all():  # nothing that was left out is likelier than what stayed
        assert share[~seen].max() <= share[seen].min()
        assert share[seen].sum() >= top_p - 1e-9
    if seen.sum() > 1:  # and one value less would not have been enough
        assert share[seen].sum() - share[seen].min() < top_p + 1e-9


def test_nucleus_by_hand() -> None:
    share = np.array([[0.1, 0.6, 0.3], [0.2, 0.3, 0.5]])
    assert np.allclose(nucleus(share, 0.6), [[0.0, 1.0, 0.0], [0.0, 0.375, 0.625]])
    assert np.allclose(nucleus(share, 0.0), [[0, 1, 0], [0, 0, 1]])
    assert np.allclose(nucleus(share, 1.0), share)
    assert np.allclose(nucleus(np.full((1, 4), 0.25), 0.3), [[0.5, 0.5, 0, 0]])  # ties: the first


# --- the draw ---


@given(score_rows, unit, st.floats(0, 1))
def test_temperature_zero_takes_the_best(scores: Floats, uniform: float, top_p: float) -> None:
    assert draw(scores, np.array(uniform), 0.0, top_p) == scores.argmax()


@given(score_rows, st.floats(0.1, 4), st.floats(0, 1), st.lists(unit, min_size=2, max_size=30))
def test_draws_rise_with_the_uniform_and_stay_in_the_nucleus(
    scores: Floats, temperature: float, top_p: float, numbers: list[float]
) -> None:
    numbers = [0.0, *sorted(numbers), UNDER_ONE]
    drawn = draw(np.repeat(scores[None], len(numbers), 0), np.array(numbers), temperature, top_p)
    assert (np.diff(drawn) >= 0).all()
    exact = np.exp((scores - scores.max()) / temperature)
    kept = nucleus(exact / exact.sum(), top_p)
    assert (kept[drawn] > 0).all()
    assert drawn[0] == np.flatnonzero(kept)[0]


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (2.0, 0.8), (1.0, 0.5)])
def test_values_come_as_often_as_they_should(temperature: float, top_p: float) -> None:
    scores = np.array([0.0, 2.0, 1.0, -1.0, 1.5, 0.5])
    exact = np.exp(scores / temperature)
    expected: Floats = nucleus(exact / exact.sum(), top_p)
    n = 20_000
    drawn = draw(np.tile(scores, (n, 1)), np.random.default_rng(3).random(n), temperature, top_p)
    counts = np.bincount(drawn, minlength=6)
    assert (counts[expected == 0] == 0).all()
    wanted = expected[expected > 0] * n
    chi_square = ((counts[expected > 0] - wanted) ** 2 / wanted).sum()
    assert chi_square < 35  # at most 5 degrees of freedom: p < 2e-6
    # With evenly spaced numbers each value comes exactly as often as its share says.
    even = draw(np.tile(scores, (n, 1)), (np.arange(n) + 0.5) / n, temperature, top_p)
    assert np.abs(np.bincount(even, minlength=6) - expected * n).max() <= 1


def test_extreme_numbers_find_a_value_that_has_a_share() -> None:
    scores = np.array([[-np.inf, 0.0, 0.0, -np.inf], [5.0, -1000.0, 5.0, -1000.0]], np.float32)
    assert draw(scores, np.array([0.0, 0.0]), 1.0, 1.0).tolist() == [1, 0]
    assert draw(scores, np.array([UNDER_ONE, UNDER_ONE]), 1.0, 1.0).tolist() == [2, 2]


def test_equal_scores_are_equally_likely() -> None:
    drawn = draw(np.zeros((1000, 4)), (np.arange(1000) + 0.5) / 1000, 1.0, 1.0)
    assert np.bincount(drawn).tolist() == [250] * 4


def test_huge_scores_do_not_overflow() -> None:
    scores = np.array([1e30, -1e30, 3e30], np.float32)
    assert draw(scores, np.array(0.5), 1.0, 0.95) == 2


def test_what_a_row_draws_does_not_depend_on_its_company() -> None:
    rng = np.random.default_rng(0)
    scores, numbers = rng.normal(size=(3, 5, 40)).astype(np.float32), rng.random((3, 5))
    together = draw(scores, numbers, 0.9, 0.9)
    for i in np.ndindex(3, 5):
        assert draw(scores[i], numbers[i], 0.9, 0.9) == together[i]
