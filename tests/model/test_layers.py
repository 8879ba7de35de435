"""The layer around attention: heads, norms, positions, padding, and its use step by step."""

import pytest
import torch
from torch import Tensor

from limner.model.attention import dense_mask, scattered_table
from limner.model.layers import (
    Attend,
    KeyValue,
    RMSNorm,
    Rotary,
    rotate,
)
from limner.sampling.block_sparse import step_mask

D, HEADS, N = 48, 3, 100


@pytest.fixture
def layer() -> tuple[Attend, KeyValue]:
    torch.manual_seed(0)
    attend, key_value = Attend(D, HEADS), KeyValue(D, HEADS)
    for norm in (attend.norm, key_value.norm):  # gains of one would hide a missing gain
        torch.nn.init.uniform_(norm.weight, 0.5, 2)
    return attend, key_value


def elements(batch: int = 2, n: int = N) -> Tensor:
    return torch.randn(batch, n, D, generator=torch.Generator().manual_seed(n))


def turned(shift: int = 0, n: int = N) -> Rotary:
    """Rotary angles of positions shift, shift + 1, …"""
    angles = (torch.arange(n) + shift)[:, None] * 10.0 ** -torch.arange(D // HEADS // 2)
    return angles.cos()[None], angles.sin()[None]


def plainly(
    attend: Attend, key_value: KeyValue, x: Tensor, context: Tensor, seen: Tensor
) -> Tensor:
    """Multi-head attention head by head, from its equations; seen (n, n_context)."""
    width = D // HEADS
    keys, values = key_value.project(context).chunk(2, dim=-1)
    queries = attend.project(x)
    heads = []
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        q, k = (
            h[..., part] / (h[..., part].square().mean(-1, keepdim=True) + 1e-6).sqrt() * gain
            for h, gain in ((queries, attend.norm.weight), (keys, key_value.norm.weight))
        )
        scores = q @ k.mT / width**0.5
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        heads.append(weights @ values[..., part])
    out: Tensor = attend.out(torch.cat(heads, -1))
    return out


def test_dense_scattered_and_cross_attention_follow_the_equations(
    layer: tuple[Attend, KeyValue],
) -> None:
    attend, key_value = layer
    x, text = elements(), elements(n=7)
    every = torch.ones(N, N, dtype=torch.bool)
    table = scattered_table(N, 2, 0, 0, causal=True)
    own = key_value(x)
    for ours, context, seen in (
        (attend(x, own), x, every),
        (attend(x, own, causal=True), x, every.tril()),
        (attend(x, own, causal=True, table=table), x, dense_mask(table, N, causal=True)),
        (attend(x, key_value(text)), text, every[:, :7]),
    ):
        torch.testing.assert_close(ours, plainly(attend, key_value, x, context, seen))


def test_padding_changes_nothing(layer: tuple[Attend, KeyValue]) -> None:
    attend, key_value = layer
    x, text = elements(), elements(n=9)
    short = attend(x, key_value(text[:, :5]))
    mask = (torch.arange(9) < 5)[None, None, None]
    text[:, 5:] = 1e3
    torch.testing.assert_close(attend(x, key_value(text), mask=mask), short)


def test_only_distances_count(layer: tuple[Attend, KeyValue]) -> None:
    attend, key_value = layer
    x = elements()
    here = attend(x, key_value(x, turned()), rotary=turned(), causal=True)
    there = attend(x, key_value(x, turned(37)), rotary=turned(37), causal=True)
    unturned = attend(x, key_value(x), causal=True)
    torch.testing.assert_close(here, there, atol=1e-5, rtol=1e-4)
    assert (here - unturned).abs().max() > 1e-2


def test_turning_keeps_lengths() -> None:
    x = torch.randn(2, HEADS, N, D // HEADS)
    torch.testing.assert_close(rotate(x, turned()).norm(dim=-1), x.norm(dim=-1))


@pytest.mark.parametrize("scattered", [True, False])
def test_one_by_one_equals_the_whole_pass(layer: tuple[Attend, KeyValue], scattered: bool) -> None:
    attend, key_value = layer
    x, (cos, sin) = elements(), turned()
    table = scattered_table(N, 2, 0, 0, causal=True) if scattered else None
    whole = attend(x, key_value(x, (cos, sin)), rotary=(cos, sin), causal=True, table=table)
    k, v = key_value(x, (cos, sin))
    for i in range(N):
        mask = torch.arange(N)[None] <= i
        if table is not None:
            mask = torch.from_numpy(step_mask(table.numpy(), [i], i + 1, N))
        here = (cos[:, i : i + 1], sin[:, i : i + 1])
        step = attend(x[:, i : i + 1], (k, v), rotary=here, mask=mask)
        torch.testing.assert_close(step[:, 0], whole[:, i], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("scattered", [True, False])
def test_pictures_do_not_mix(layer: tuple[Attend, KeyValue], scattered: bool) -> None:
    """Alone or among others: equal up to the order of sums, which a matrix product may change
    with the number of its rows. What is broken in one picture stays there."""
    attend, key_value = layer
    table = scattered_table(N, 2, 0, 0, causal=True) if scattered else None

    def forward(x: Tensor) -> Tensor:
        out: Tensor = attend(x, key_value(x, turned()), rotary=turned(), causal=True, table=table)
        return out

    x = elements(batch=4)
    together = forward(x)
    for row in range(4):
        torch.testing.assert_close(forward(x[row : row + 1])[0], together[row])
    x[2] = torch.nan
    broken = forward(x)
    assert torch.equal(broken[[0, 1, 3]], together[[0, 1, 3]])
    assert broken[2].isnan().all()


def test_normalisation_s_own_way_back_is_the_derivative() -> None:
    norm = RMSNorm(8).double()
    torch.nn.init.uniform_(norm.weight, 0.5, 2.0)
    x = torch.randn(2, 3, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, (x,))
    y = norm(x)
    with torch.no_grad():
        torch.testing.assert_close(y, norm(x))  # PyTorch's own
    y.sin().sum().backward()
    mine = norm.weight.grad
    norm.weight.grad = None
    torch.nn.functional.rms_norm(x, (8,), norm.weight, norm.eps).sin().sum().backward()
    torch.testing.assert_close(mine, norm.weight.grad)
