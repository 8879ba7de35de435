"""Scattered attention is dense attention under its table's mask: values, gradients, every step."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from limner.model import attention
from limner.model.attention import (
    dense_attention,
    dense_mask,
    scattered_attention,
    scattered_step,
    scattered_table,
)
from limner.sampling.block_sparse import (
    block_count,
    block_size,
    pair_mask,
    step_keys,
    step_mask,
)

CLOSE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
LENGTHS = [16, 64, 250, 256, 1024]


def random_qkv(
    n: int, dtype: torch.dtype = torch.float32, batch: int = 2, heads: int = 3, width: int = 16
) -> tuple[Tensor, Tensor, Tensor]:
    """q, k, v (B, A, n, E) as a layer makes them: heads split off, so not contiguous."""
    made = torch.Generator().manual_seed(n)
    parts = torch.randn(3, batch, n, heads, width, generator=made, dtype=torch.float64)
    q, k, v = parts.to(dtype).transpose(2, 3)
    return q, k, v


def gradients(
    attend: Callable[[Tensor, Tensor, Tensor], Tensor], qkv: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, ...]:
    """d loss / d q, k, v for a loss that weighs each output differently."""
    leaves = tuple(x.detach().clone().requires_grad_() for x in qkv)
    out = attend(*leaves)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    return torch.autograd.grad(out, leaves, weights)


@pytest.fixture(params=["as shipped", "tiled", "one head a tile", "gathered"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way in which scattered attention can be computed, whatever the length and device."""
    if request.param == "as shipped":
        return
    monkeypatch.setattr(attention, "_DENSE_UP_TO", 0)
    if request.param == "one head a tile":
        monkeypatch.setattr(attention, "_TILE", 1)
    if request.param == "gathered":
        gathered = staticmethod(attention._gathered_attention)
        monkeypatch.setattr(attention._TiledAttention, "apply", gathered)


@pytest.fixture
def always_tiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_DENSE_UP_TO", 0)


def by_definition(q: Tensor, k: Tensor, v: Tensor, table: Tensor, causal: bool) -> Tensor:
    """Scattered attention as one would explain it: query by query, key by key."""
    n, b = q.shape[2], block_size(q.shape[2])
    out = torch.zeros_like(q)
    for i in range(n):
        blocks = table[i // b].tolist()
        keys = [j for j in range(n) if j // b in blocks and (j <= i or not causal)]
        scores = torch.stack([(q[:, :, i] * k[:, :, j]).sum(-1) for j in keys]) / q.shape[-1] ** 0.5
        weights = scores.exp() / scores.exp().sum(0)
        out[:, :, i] = sum(w[..., None] * v[:, :, j] for w, j in zip(weights, keys, strict=True))
    return out


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("n", [1, 2, 15, 16, 21])
def test_it_is_what_the_definition_says(n: int, causal: bool) -> None:
    q, k, v = random_qkv(n)
    table = scattered_table(n, 1, 5, 0, causal)
    ours = scattered_attention(q, k, v, table, causal)
    torch.testing.assert_close(
        ours, by_definition(q, k, v, table, causal), atol=1e-5, rtol=0, check_stride=False
    )


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("n", LENGTHS)
def test_it_equals_dense_attention_under_the_mask(n: int, causal: bool, dtype: torch.dtype) -> None:
    q, k, v = random_qkv(n, dtype)
    for r, window in ((0, 0), (2, 0), (3, 1)):
        table = scattered_table(n, r, n + r, 1, causal, window)
        ours = scattered_attention(q, k, v, table, causal)
        dense = dense_attention(q, k, v, mask=dense_mask(table, n, causal))
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, dense, atol=CLOSE[dtype], rtol=CLOSE[dtype])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("n", LENGTHS)
def test_a_gpu_computes_the_same(n: int, causal: bool) -> None:
    qkv, table = random_qkv(n), scattered_table(n, 2, 0, 0, causal)
    q, k, v = (x.cuda() for x in qkv)
    there = scattered_attention(q, k, v, table.cuda(), causal)
    here = scattered_attention(*qkv, table, causal)
    torch.testing.assert_close(there.cpu(), here, atol=1e-4, rtol=0)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("n", [1, 16, 250])
def test_the_mask_is_that_of_the_torch_free_side(n: int, causal: bool) -> None:
    table = scattered_table(n, 2, 0, 0, causal)
    theirs = torch.from_numpy(pair_mask(table.numpy(), n, causal))
    assert torch.equal(dense_mask(table, n, causal), theirs)


@pytest.mark.usefixtures("always_tiled")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("n", [16, 14])
def test_gradients_are_those_of_finite_differences(n: int, causal: bool) -> None:
    qkv = [x.requires_grad_() for x in random_qkv(n, torch.float64, batch=1, heads=2, width=4)]
    table = scattered_table(n, 1, 0, 0, causal)
    assert torch.autograd.gradcheck(
        lambda q, k, v: scattered_attention(q, k, v, table, causal), qkv
    )


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("n", [64, 250, 256])
def test_gradients_are_those_of_dense_attention(n: int, causal: bool) -> None:
    qkv, table = random_qkv(n), scattered_table(n, 2, 0, 0, causal)
    mask = dense_mask(table, n, causal)
    ours = gradients(lambda q, k, v: scattered_attention(q, k, v, table, causal), qkv)
    dense = gradients(lambda q, k, v: dense_attention(q, k, v, mask=mask), qkv)
    for mine, theirs in zip(ours, dense, strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-5, check_stride=False)


@pytest.mark.usefixtures("always_tiled")
def test_bfloat16_gradients_are_near_those_of_float32() -> None:
    table = scattered_table(256, 2, 0, 0, causal=True)
    qkv = random_qkv(256, torch.bfloat16)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scattered_attention(q, k, v, table, True)

    ours = gradients(attend, qkv)
    exact = gradients(attend, (qkv[0].float(), qkv[1].float(), qkv[2].float()))
    for mine, theirs in zip(ours, exact, strict=True):
        assert mine.dtype == torch.bfloat16
        torch.testing.assert_close(mine.float(), theirs, atol=2e-2, rtol=2e-2, check_stride=False)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("j", [0, 17, 100, 249])
def test_an_element_changes_only_those_that_see_it(j: int) -> None:
    n = 250
    q, k, v = random_qkv(n)
    table = scattered_table(n, 2, 0, 0, causal=True)
    before = scattered_attention(q, k, v, table, True)
    for x in (q, k, v):
        x[:, :, j] += 1
    changed = (scattered_attention(q, k, v, table, True) != before).any(-1)[0, 0]
    assert torch.equal(changed, dense_mask(table, n, True)[:, j])
    assert not changed[:j].any()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("n", [1, 2, 3, 17, 250, 257])
@pytest.mark.parametrize("r", [0, 1, 40])
def test_huge_scores_and_odd_lengths_give_numbers(n: int, r: int, causal: bool) -> None:
    q, k, v = random_qkv(n)
    table = scattered_table(n, r, 0, 0, causal)
    assert dense_mask(table, n, causal).any(1).all()

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scattered_attention(1e4 * q, 1e4 * k, v, table, causal)

    assert attend(q, k, v).isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients(attend, (q, k, v)))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("n", [64, 250])
def test_enough_random_blocks_make_full_attention(n: int, causal: bool) -> None:
    q, k, v = random_qkv(n)
    table = scattered_table(n, block_count(n) - 2, 0, 3, causal)
    ours = scattered_attention(q, k, v, table, causal)
    full = dense_attention(q, k, v, causal=causal)
    torch.testing.assert_close(ours, full, atol=1e-5, rtol=0, check_stride=False)


@pytest.mark.parametrize("n", [16, 250])
def test_one_by_one_equals_the_whole_pass(n: int) -> None:
    q, k, v = random_qkv(n, batch=1)
    table = scattered_table(n, 2, 0, 0, causal=True)
    whole = scattered_attention(q, k, v, table, True)
    k_cache, v_cache = torch.full_like(k, math.nan), torch.full_like(v, math.nan)
    for i in range(n):
        k_cache[:, :, i], v_cache[:, :, i] = k[:, :, i], v[:, :, i]
        step = scattered_step(q[:, :, i : i + 1], k_cache, v_cache, table, i, i + 1)
        torch.testing.assert_close(step[:, :, 0], whole[:, :, i], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("position", "count"), [(0, 1), (0, 40), (13, 8), (60, 8), (100, 150)])
def test_several_at_a_time_see_what_is_filled(position: int, count: int) -> None:
    n, end = 250, position + count
    q, k, v = random_qkv(n, batch=1)
    table = scattered_table(n, 2, 0, 0, causal=True)
    for filled in (max(1, position), position + 1, end):
        k_cache, v_cache = k.clone(), v.clone()
        k_cache[:, :, filled:], v_cache[:, :, filled:] = math.nan, math.nan
        step = scattered_step(q[:, :, position:end], k_cache, v_cache, table, position, filled)
        mask = torch.from_numpy(step_mask(table.numpy(), range(position, end), filled, n))
        dense = dense_attention(q[:, :, position:end], k, v, mask=mask)
        torch.testing.assert_close(step, dense, atol=1e-5, rtol=0, check_stride=False)
    whole = scattered_attention(q, k, v, table, True)[:, :, position:end]
    torch.testing.assert_close(step, whole, atol=1e-5, rtol=0, check_stride=False)


def test_a_step_reads_only_the_keys_of_its_blocks() -> None:
    n, position = 1024, 1000
    q, k, v = random_qkv(n, batch=1)
    table = scattered_table(n, 2, 0, 0, causal=True)
    keys = torch.from_numpy(step_keys(table.numpy(), position, n))
    assert len(keys) <= 4 * 32
    unread = torch.ones(n, dtype=torch.bool)
    unread[keys] = False
    clean = scattered_step(q[:, :, position : position + 1], k, v, table, position, n)
    k[:, :, unread], v[:, :, unread] = math.nan, math.nan
    poisoned = scattered_step(q[:, :, position : position + 1], k, v, table, position, n)
    assert torch.equal(clean, poisoned)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("causal", [True, False])
def test_a_picture_alone_is_the_same_as_among_others(causal: bool) -> None:
    """Bit by bit, forward and backward: every product is made for one picture and head."""
    qkv = random_qkv(256, batch=5)
    table = scattered_table(256, 2, 0, 0, causal)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scattered_attention(q, k, v, table, causal)

    together = attend(*qkv)
    leaves = tuple(x.detach().clone().requires_grad_() for x in qkv)
    together_grads = torch.autograd.grad(attend(*leaves).sum(), leaves)
    for row in range(5):
        q, k, v = (x[row : row + 1].detach().clone().requires_grad_() for x in qkv)
        alone = attend(q, k, v)
        assert torch.equal(alone[0], together[row])
        for mine, all_rows in zip(
            torch.autograd.grad(alone.sum(), (q, k, v)), together_grads, strict=True
        ):
            assert torch.equal(mine[0], all_rows[row])


def test_a_broken_picture_does_not_touch_the_others() -> None:
    table = scattered_table(256, 2, 0, 0, causal=True)
    q, k, v = random_qkv(256, batch=3)
    before = scattered_attention(q, k, v, table, True)
    q[1], k[1], v[1] = math.nan, math.inf, -math.inf
    after = scattered_attention(q, k, v, table, True)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert after[1].isnan().all()


def test_training_after_inference_mode_works() -> None:
    """What is kept of a table between calls must not be bound to the mode it was made in."""
    table = scattered_table(289, 2, 0, 0, causal=True)
    qkv = random_qkv(289)
    with torch.inference_mode():
        inferred = scattered_attention(*qkv, table, True)
    q, k, v = (x.clone().requires_grad_() for x in qkv)
    trained = scattered_attention(q, k, v, table, True)
    assert torch.equal(trained, inferred)
    assert all(g.isfinite().all() for g in torch.autograd.grad(trained.sum(), (q, k, v)))


@pytest.mark.parametrize("masked", ["not", "causal", "by key", "one row wholly"])
def test_training_in_bfloat16_is_near_float32(masked: str) -> None:
    """It has a form of its own on a CPU, which must agree with torch's."""
    n = 64
    mask = {
        "not": None,
        "causal": None,
        "by key": torch.arange(n).expand(2, 1, 1, n) < 14,
        "one row wholly": torch.arange(n)[:, None].expand(n, n) != 5,
    }[masked]

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return dense_attention(q, k, v, causal=masked == "causal", mask=mask)

    wide = random_qkv(n)
    q, k, v = (x.to(torch.bfloat16) for x in wide)
    narrow = (q, k, v)
    leaf = narrow[0].clone().requires_grad_()
    out = attend(leaf, *narrow[1:]).float()
    torch.testing.assert_close(out, attend(*wide), atol=2e-2, rtol=2e-2)
    if masked == "one row wholly":
        assert not out[:, :, 5].any()
    for got, wanted in zip(gradients(attend, narrow), gradients(attend, wide), strict=True):
        assert got.isfinite().all()
        torch.testing.assert_close(got.float(), wanted, atol=3e-2, rtol=3e-2)


def test_mixed_precision_goes_there_and_back() -> None:
    table = scattered_table(256, 2, 0, 0, causal=True)
    q, k, v = (x.clone().requires_grad_() for x in random_qkv(256))
    exact = scattered_attention(q, k, v, table, True)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = scattered_attention(q, k, v, table, True)
        back = torch.autograd.grad(mixed.float().sum(), (q, k, v))
    torch.testing.assert_close(mixed.float(), exact, atol=2e-2, rtol=2e-2, check_stride=False)
    assert [g.dtype for g in back] == [torch.float32] * 3


def test_a_query_that_sees_nothing_gets_zeros() -> None:
    q, k, v = random_qkv(4)
    out = dense_attention(q, k, v, mask=torch.zeros(1, 1, 1, 4, dtype=torch.bool))
    assert torch.equal(out, torch.zeros_like(out))


def test_mismatches_are_refused() -> None:
    q, k, v = random_qkv(256)
    table = scattered_table(256, 2, 0, 0, causal=True)
    with pytest.raises(ValueError, match="table has 16 rows, n = 289 needs 17"):
        scattered_attention(*random_qkv(289), table, True)
    with pytest.raises(ValueError, match="one shape"):
        scattered_attention(q, k[:1], v, table, True)
    with pytest.raises(ValueError, match="give a mask"):
        dense_attention(q[:, :, :1], k, v, causal=True)
    with pytest.raises(ValueError, match="put both into the mask"):
        dense_attention(q, k, v, causal=True, mask=torch.ones(256, 256, dtype=torch.bool))
    table[3, 1] = 3
    with pytest.raises(ValueError, match="twice"):
        scattered_attention(q, k, v, table, True)
