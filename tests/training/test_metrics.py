"""Figures of evaluation: known values, and agreement with the formula written out."""

import numpy as np
import pytest

from limner.training import metrics


def test_an_estimate_is_the_mean_and_an_interval_around_it() -> None:
    values = np.array([1.0] * 70 + [0.0] * 30)
    found = metrics.estimate(values)
    assert found.mean == pytest.approx(0.7)
    # A share of 0.7 in 100 has a standard error of 0.046.
    assert found.low == pytest.approx(0.7 - 1.96 * 0.046, abs=0.02)
    assert found.high == pytest.approx(0.7 + 1.96 * 0.046, abs=0.02)
    assert found.n == 100
    assert str(found) == f"0.700 [{found.low:.3f}, {found.high:.3f}]"


def test_the_interval_is_the_same_every_time() -> None:
    values = np.random.default_rng(1).random(50)
    assert metrics.estimate(values) == metrics.estimate(values)


def test_no_pictures_are_shown_as_such() -> None:
    assert str(metrics.estimate([])) == "–"


def test_a_tie_with_a_wrong_caption_is_lost() -> None:
    true = np.array([0.5, 0.5, 0.5])
    others = np.array([[0.4, 0.5], [0.4, 0.3], [0.6, 0.1]])
    assert metrics.is_first(true, others).tolist() == [False, True, False]


def test_kid_is_the_mean_over_pairs_without_the_pictures_themselves() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)) + 1

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 3 + 1) ** 3)

    within_a = np.mean([kernel(a[i], a[j]) for i in range(5) for j in range(5) if i != j])
    within_b = np.mean([kernel(b[i], b[j]) for i in range(4) for j in range(4) if i != j])
    across = np.mean([kernel(x, y) for x in a for y in b])
    assert metrics.kid(a, b) == pytest.approx(within_a + within_b - 2 * across)


def test_kid_of_one_distribution_is_about_zero_and_of_two_is_not() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(300, 4)), rng.normal(size=(300, 4))
    assert abs(metrics.kid(a, b)) < 0.1 * metrics.kid(a, b + 1)


def test_psnr_of_a_known_error() -> None:
    a = np.full((2, 8, 8, 3), 100, np.uint8)
    b = a.copy()
    b[1] += 5
    assert metrics.psnr(a, b)[0] == pytest.approx(100)
    assert metrics.psnr(a, b)[1] == pytest.approx(20 * np.log10(255 / 5))


def test_ssim_falls_from_one_as_structure_is_lost() -> None:
    rng = np.random.default_rng(4)
    a = rng.integers(0, 256, (1, 32, 32, 3), np.uint8)
    shuffled = rng.permutation(a.reshape(-1, 3)).reshape(a.shape)
    brighter = np.clip(a.astype(int) + 10, 0, 255).astype(np.uint8)
    same, lighter, lost = (metrics.ssim(a, b)[0] for b in (a, brighter, shuffled))
    assert same == pytest.approx(1)
    assert 0.9 < lighter < 1
    assert lost < 0.2


def test_overlap_counts_what_is_visible() -> None:
    a, b = np.zeros((1, 4, 4, 4), np.uint8), np.zeros((1, 4, 4, 4), np.uint8)
    a[0, :, :2, 3] = 255
    b[0, :2, :, 3] = 255
    assert metrics.overlap(a, b)[0] == pytest.approx(4 / 12)
    assert metrics.overlap(a * 0, b * 0)[0] == 0
