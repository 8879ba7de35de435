"""Figures of evaluation: known values, and agreement with the formula written out."""

import numpy as np
import pytest

from limner.evaluation.measures import statistics


def test_an_estimate_is_the_mean_and_an_interval_around_it() -> None:
    values = np.array([1.0] * 70 + [0.0] * 30)
    found = statistics.estimate(values)
    assert found.mean == pytest.approx(0.7)
    # A share of 0.7 in 100 has a standard error of 0.046.
    assert found.low == pytest.approx(0.7 - 1.96 * 0.046, abs=0.02)
    assert found.high == pytest.approx(0.7 + 1.96 * 0.046, abs=0.02)
    assert found.n == 100
    assert str(found) == f"0.700 [{found.low:.3f}, {found.high:.3f}]"


def test_the_interval_is_the_same_every_time() -> None:
    values = np.random.default_rng(1).random(50)
    assert statistics.estimate(values) == statistics.estimate(values)


def test_no_pictures_are_shown_as_such() -> None:
    assert str(statistics.estimate([])) == "–"


def test_a_tie_with_a_wrong_caption_is_lost() -> None:
    true = np.array([0.5, 0.5, 0.5])
    others = np.array([[0.4, 0.5], [0.4, 0.3], [0.6, 0.1]])
    assert statistics.is_first(true, others).tolist() == [False, True, False]


def test_kid_is_the_mean_over_pairs_without_the_pictures_themselves() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)) + 1

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 3 + 1) ** 3)

    within_a = np.mean([kernel(a[i], a[j]) for i in range(5) for j in range(5) if i != j])
    within_b = np.mean([kernel(b[i], b[j]) for i in range(4) for j in range(4) if i != j])
    across = np.mean([kernel(x, y) for x in a for y in b])
    assert statistics.kid(a, b) == pytest.approx(within_a + within_b - 2 * across)


def test_kid_of_one_distribution_is_about_zero_and_of_two_is_not() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(300, 4)), rng.normal(size=(300, 4))
    assert abs(statistics.kid(a, b)) < 0.1 * statistics.kid(a, b + 1)


def test_psnr_of_a_known_error() -> None:
    a = np.full((2, 8, 8, 3), 100, np.uint8)
    b = a.copy()
    b[1] += 5
    assert statistics.psnr(a, b)[0] == pytest.approx(100)
    assert statistics.psnr(a, b)[1] == pytest.approx(20 * np.log10(255 / 5))


def test_ssim_falls_from_one_as_structure_is_lost() -> None:
    rng = np.random.default_rng(4)
    a = rng.integers(0, 256, (1, 32, 32, 3), np.uint8)
    shuffled = rng.permutation(a.reshape(-1, 3)).reshape(a.shape)
    brighter = np.clip(a.astype(int) + 10, 0, 255).astype(np.uint8)
    same, lighter, lost = (statistics.ssim(a, b)[0] for b in (a, brighter, shuffled))
    assert same == pytest.approx(1)
    assert 0.9 < lighter < 1
    assert lost < 0.2


def test_overlap_counts_what_is_visible() -> None:
    a, b = np.zeros((1, 4, 4, 4), np.uint8), np.zeros((1, 4, 4, 4), np.uint8)
    a[0, :, :2, 3] = 255
    b[0, :2, :, 3] = 255
    assert statistics.overlap(a, b)[0] == pytest.approx(4 / 12)
    assert statistics.overlap(a * 0, b * 0)[0] == 0


def test_density_and_coverage_by_the_formula_written_out() -> None:
    rng = np.random.default_rng(5)
    true, found = rng.normal(size=(9, 3)), rng.normal(size=(7, 3)) * 0.7
    reach = [sorted(np.linalg.norm(true - x, axis=1))[2] for x in true]
    within = [[np.linalg.norm(x - y) < r for y in found] for x, r in zip(true, reach, strict=True)]
    density, coverage = statistics.density_and_coverage(found, true, k=2)
    assert density == pytest.approx(np.sum(within) / (2 * 7))
    assert coverage == pytest.approx(np.mean([any(row) for row in within]))


def test_density_and_coverage_are_about_one_for_the_same_and_none_far_away() -> None:
    rng = np.random.default_rng(6)
    true, same = rng.normal(size=(400, 5)), rng.normal(size=(400, 5))
    assert statistics.density_and_coverage(same, true) == pytest.approx((1, 0.97), abs=0.1)
    assert statistics.density_and_coverage(same + 50, true) == (0, 0)
    one_picture = np.repeat(true[:1], 400, axis=0)
    assert statistics.density_and_coverage(one_picture, true)[1] < 0.1
    assert np.isnan(statistics.density_and_coverage(same, true[:5])).all()


def test_sliced_wasserstein_of_a_shift_is_its_length_along_the_lines() -> None:
    rng = np.random.default_rng(7)
    a = rng.normal(size=(300, 4))
    assert statistics.sliced_wasserstein(a, rng.permutation(a)) == pytest.approx(0, abs=1e-9)
    shift = np.array([3.0, 0, 0, 0])  # of which a random line in 4 dimensions sees a half
    assert statistics.sliced_wasserstein(a, a + shift, 4096) == pytest.approx(1.5, abs=0.05)
    assert statistics.sliced_wasserstein(a, a[:150]) < 0.5


def test_edges_are_found_within_a_pixel() -> None:
    a = np.zeros((1, 16, 16, 3), np.uint8)
    a[:, :, 8:] = 255
    assert statistics.edge_f1(a, a)[0] == 1
    near, far = a.copy(), a.copy()
    near[:, :, 8] = 0
    far[:, :, 8:13] = 0
    assert statistics.edge_f1(a, near)[0] == 1
    assert statistics.edge_f1(a, far)[0] == 0
    assert statistics.edge_f1(a * 0, a * 0)[0] == 1
    assert statistics.edge_f1(a, a * 0)[0] == 0


def test_alpha_error_is_a_share_of_full_opacity() -> None:
    a, b = np.zeros((1, 4, 4, 4), np.uint8), np.zeros((1, 4, 4, 4), np.uint8)
    b[0, :1, :, 3] = 255
    b[..., :3] = 90  # colour does not count
    assert statistics.alpha_error(a, b)[0] == pytest.approx(0.25)


def test_a_patch_has_a_seam_and_a_slope_has_none() -> None:
    slope = np.tile(np.arange(64, dtype=np.uint8)[None, :, None] * 2, (64, 1, 4))
    patched = slope.copy()
    masked = np.zeros((64, 64), bool)
    masked[16:48, 16:48] = True
    patched[masked] = 255
    found = statistics.seam(np.stack([slope, patched]), np.stack([masked, masked]))
    assert abs(found[0]) < 0.5
    assert found[1] > 100
    assert statistics.seam(slope[None], np.ones((1, 64, 64), bool)).tolist() == [0]


def test_only_what_is_outside_the_mask_must_be_kept() -> None:
    source = np.full((1, 8, 8, 4), 7, np.uint8)
    masked = np.zeros((1, 8, 8), bool)
    masked[0, :4] = True
    inside, outside = source.copy(), source.copy()
    inside[0, 0, 0, 0] ^= 1
    outside[0, 7, 7, 3] ^= 1
    assert statistics.are_kept(inside, source, masked).tolist() == [True]
    assert statistics.are_kept(outside, source, masked).tolist() == [False]


def test_layout_is_like_itself_and_unlike_its_negative() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (4, 8, 8, 3)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    assert np.allclose(statistics.layout(pictures, pictures), 1)
    assert np.allclose(statistics.layout(pictures, 255 - pictures), -1)
    assert statistics.layout(pictures, np.full_like(pictures, 9)).tolist() == [0] * 4


def test_masks_share_what_both_cover() -> None:
    a = np.zeros((2, 4, 4), bool)
    a[0, :2] = True
    b = a.copy()
    b[0, 1:] = True
    assert statistics.shared(a, b).tolist() == [0.5, 0]
