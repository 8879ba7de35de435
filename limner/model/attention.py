"""Attention: dense, and scattered over blocks (`sampling/block_sparse.py` draws the tables).

    attention(q, k, v) = softmax(q k^T / sqrt(E) + mask) v,  mask = 0 or -inf

(Vaswani et al., arXiv 1706.03762, section 3.2.1). Nothing here mixes the pictures of a batch.
q, k and v are (B, A, n, E); within scattered attention (B, A, n_blocks, b, E), b elements a block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from limner.sampling import block_sparse
from limner.sampling.block_sparse import block_count, block_size

# Up to this length gathering blocks costs more than it saves (benchmarks/attention.py).
_DENSE_UP_TO = 196
# Pairs up to which explicit marked attention is faster (forward and backward, float32, a Xeon). In
# bfloat16 on a CPU it was faster in all steps (docs/experiments.md, 2026-11-27).
_MARKED_SPELLED_OUT_UP_TO = 20_000
_SPELLED_OUT_UP_TO = 256  # keys; see _is_faster_spelled_out
# Numbers gathered at a time by each thread: 1 MiB of float32, about a core's own cache.
_TILE = 2**18


def scattered_table(
    n: int, n_random: int, seed: int, layer: int, causal: bool, window: int = 0
) -> Tensor:
    """`block_sparse.block_table` as a tensor, int16 (n_blocks, n_random + 2 + window)."""
    return torch.from_numpy(block_sparse.block_table(n, n_random, seed, layer, causal, window))


def dense_mask(table: Tensor, n: int, causal: bool) -> Tensor:
    """The mask of a table, bool (n, n): True where the query (row) may see the key (column)."""
    b = block_size(n)
    blocks = torch.arange(len(table), device=table.device)
    seen = (table[:, :, None] == blocks).any(1)  # (n_blocks, n_blocks)
    mask = seen.repeat_interleave(b, 0).repeat_interleave(b, 1)[:n, :n]
    return mask.tril() if causal else mask


def dense_attention(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, mask: Tensor | None = None
) -> Tensor:
    """Attention to all keys or to those of the mask; (B, A, N, E) from N queries and n keys.

    mask: True (or 0, if additive) where a query may see a key, broadcastable to (B, A, N, n).
    causal needs N = n; with fewer queries than keys use a mask. A query that sees no key gets
    zeros. Raises ValueError for causal with N != n or with a mask.
    """
    if causal and q.shape[2] != k.shape[2]:
        raise ValueError(f"causal with {q.shape[2]} queries and {k.shape[2]} keys: give a mask")
    if causal and mask is not None:
        raise ValueError("causal and a mask: put both into the mask")
    if _is_faster_spelled_out(q, k):
        if causal:
            mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril()
        return _spelled_out(q, k, v, mask)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)


def marked_attention(
    q: Tensor, k: Tensor, v: Tensor, marks: tuple[Tensor, Tensor], mask: Tensor | None = None
) -> Tensor:
    """softmax(q k^T / sqrt(E) + m n^T + mask) v: marks m of queries and n of keys add to scores.

    marks: m (B, A or 1, N, F) and n (B, 1, n, F). mask: booleans or numbers to add, as in
    `dense_attention`; every query must see some key.
    """
    of_queries, of_keys = (part.type_as(q) for part in marks)
    heads, width = q.shape[1], q.shape[-1]
    q = torch.cat([q * width**-0.5, of_queries.expand(-1, heads, -1, -1)], dim=-1)
    k = torch.cat([k, of_keys.expand(-1, heads, -1, -1)], dim=-1)
    is_on_cpu_in_bfloat16 = q.device.type == "cpu" and q.dtype == torch.bfloat16
    if q.shape[2] * k.shape[2] > _MARKED_SPELLED_OUT_UP_TO and not is_on_cpu_in_bfloat16:
        v = F.pad(v, (0, of_keys.shape[-1]))  # the fused kernel needs equal widths
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)[..., :width]
    scores = q @ k.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(-1) @ v


def _is_faster_spelled_out(q: Tensor, k: Tensor) -> bool:
    """True for training in bfloat16 on a CPU with few keys.

    There the backward pass of PyTorch's fused attention is slow: 24 ms against 9 for 64 pictures of
    64 cells, 26 against 6 for 14 keys (docs/experiments.md).
    """
    trains = q.requires_grad and torch.is_grad_enabled()
    short = k.shape[2] <= _SPELLED_OUT_UP_TO
    return trains and short and q.device.type == "cpu" and q.dtype == torch.bfloat16


def _spelled_out(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if mask is None:
        return scores.softmax(-1) @ v
    seen = mask if mask.dtype == torch.bool else mask > -math.inf
    # The lowest number instead of -inf: a row that sees no key must give zeros, not NaN.
    hidden = torch.zeros(seen.shape, dtype=scores.dtype, device=scores.device)
    weights = (scores + hidden.masked_fill(~seen, torch.finfo(scores.dtype).min)).softmax(-1)
    if not (sees := seen.any(-1, keepdim=True)).all():
        weights = weights * sees
    return weights @ v


def scattered_attention(q: Tensor, k: Tensor, v: Tensor, table: Tensor, causal: bool) -> Tensor:
    """Attention of each block to its table's blocks, (B, A, n, E), in O(n sqrt(n)) time.

    Equals dense attention with `dense_mask(table, n, causal)`. Extra memory is O(n) on a CPU; on
    other devices the gathered keys and values take n_slots times the memory of k and v.
    """
    n = q.shape[2]
    if not q.shape == k.shape == v.shape:
        raise ValueError(f"q, k and v must have one shape, not {q.shape}, {k.shape}, {v.shape}")
    if len(table) != block_count(n):
        raise ValueError(f"table has {len(table)} rows, n = {n} needs {block_count(n)}")
    if n <= _DENSE_UP_TO:
        return dense_attention(q, k, v, mask=dense_mask(table, n, causal))
    q, k, v = (_in_blocks(x) for x in (q, k, v))
    if q.device.type == "cpu":
        out: Tensor = _TiledAttention.apply(q, k, v, table, n, causal)
    else:
        out = _gathered_attention(q, k, v, table, n, causal)
    return out.flatten(2, 3)[:, :, :n]


def _in_blocks(x: Tensor) -> Tensor:
    """(B, A, n, E) to (B, A, n_blocks, b, E), zeros after the end."""
    n, b = x.shape[2], block_size(x.shape[2])
    missing = block_count(n) * b - n
    if missing:
        x = F.pad(x, (0, 0, 0, missing))
    return x.unflatten(2, (-1, b))


def _gathered(x: Tensor, blocks: Tensor, n_rows: int) -> Tensor:
    """The named blocks side by side, (B * A, n_rows, n_slots * b, E), from (B, A, ., b, E)."""
    return x.index_select(2, blocks).flatten(0, 1).flatten(1, 2).unflatten(1, (n_rows, -1))


def _bias(table: Tensor, first: int, n: int, causal: bool, dtype: torch.dtype) -> Tensor:
    """The bias on the scores of rows first, first + 1, …, (n_rows, b, n_slots * b)."""
    b = block_size(n)
    inside = torch.arange(b, device=table.device)
    keys = (table.long()[:, :, None] * b + inside).flatten(1)[:, None]  # empty slots: < 0
    seen = (keys >= 0) & (keys < n)
    if causal:
        rows = torch.arange(first, first + len(table), device=table.device)
        seen = seen & (keys <= (rows[:, None] * b + inside)[:, :, None])
    seen = seen.expand(-1, b, -1)
    return torch.zeros(seen.shape, dtype=dtype, device=table.device).masked_fill(~seen, -math.inf)


def _gathered_attention(
    q: Tensor, k: Tensor, v: Tensor, table: Tensor, n: int, causal: bool
) -> Tensor:
    """All blocks at once: needs no device synchronisation, and autograd derives it."""
    blocks = table.clamp(min=0).long().flatten()
    out = F.scaled_dot_product_attention(
        q.flatten(0, 1),
        _gathered(k, blocks, len(table)),
        _gathered(v, blocks, len(table)),
        attn_mask=_bias(table, 0, n, causal, q.dtype)[None],
    )
    return out.unflatten(0, q.shape[:2])


@dataclass(frozen=True)
class _Tile:
    """Rows first..last - 1 of a table, computed together."""

    first: int
    last: int
    blocks: Tensor  # (rows * n_slots,), empty slots as block 0, masked by the bias
    bias: Tensor | None  # (rows or 1, b, n_slots * b)


@lru_cache(maxsize=64)
def _tiles(
    table: bytes, n_slots: int, n: int, causal: bool, rows: int, dtype: torch.dtype
) -> tuple[_Tile, ...]:
    """Cut a table, given as bytes, into tiles of `rows` rows."""
    whole = np.frombuffer(table, np.int16).reshape(-1, n_slots).copy()
    block_sparse.check_table(whole, n)
    tiles: list[_Tile] = []
    for first in range(0, len(whole), rows):
        part = torch.from_numpy(whole[first : first + rows])
        bias = _shared(_bias(part, first, n, causal, dtype))
        if bias is not None and tiles and tiles[-1].bias is not None:
            bias = tiles[-1].bias if torch.equal(bias, tiles[-1].bias) else bias
        blocks = part.clamp(min=0).long().flatten()
        tiles.append(_Tile(first, first + len(part), blocks, bias))
    return tuple(tiles)


def _shared(bias: Tensor) -> Tensor | None:
    """One row's bias if all rows have the same; None if it masks nothing."""
    if not bias.any():
        return None
    return bias[:1].clone() if (bias == bias[:1]).all() else bias


def _walk(
    x: Tensor, table: Tensor, n: int, causal: bool, dtype: torch.dtype
) -> Iterator[tuple[slice, _Tile]]:
    """Yield slices of the batch and tiles of the table that fit into a core's cache."""
    batch, heads, n_blocks, b, width = x.shape
    room = _TILE * torch.get_num_threads() // (heads * table.shape[1] * b * width)
    rows = min(n_blocks, max(1, room))
    pictures = max(1, room // n_blocks)
    key = table.contiguous().numpy().tobytes()
    tiles = _tiles(key, table.shape[1], n, causal, rows, dtype)
    for start in range(0, batch, pictures):
        for tile in tiles:
            yield slice(start, start + pictures), tile


class _TiledAttention(torch.autograd.Function):
    """Scattered attention tile by tile, so that gathered keys and values stay in the cache.

    Only q, k and v are saved; the backward pass recomputes the weights P
    (FlashAttention, arXiv 2205.14135, appendix B.2), with S = q k^T / sqrt(E), P = softmax(S):

        dv = P^T do,  dP = do v^T,  dS = P * (dP - rowsum(P * dP)),  dq = dS k / sqrt(E),
        dk = dS^T q / sqrt(E)
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, table: Tensor, n: int, causal: bool
    ) -> Tensor:
        ctx.save_for_backward(q, k, v, table)
        ctx.n, ctx.causal = n, causal
        out = torch.empty(q.shape, dtype=q.dtype)
        for batch, tile in _walk(q, table, n, causal, q.dtype):
            rows = slice(tile.first, tile.last)
            queries = q[batch, :, rows]
            part = F.scaled_dot_product_attention(
                queries.flatten(0, 1),
                _gathered(k[batch], tile.blocks, queries.shape[2]),
                _gathered(v[batch], tile.blocks, queries.shape[2]),
                attn_mask=None if tile.bias is None else tile.bias[None],
            )
            out[batch, :, rows] = part.unflatten(0, queries.shape[:2])
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, table = ctx.saved_tensors
        # bfloat16 has 8 bits, too few for sums over scores: backward uses float32 or wider.
        wide = torch.promote_types(q.dtype, torch.float32)
        dq = torch.empty(q.shape, dtype=q.dtype)
        dk, dv = torch.zeros(k.shape, dtype=wide), torch.zeros(v.shape, dtype=wide)
        with torch.autocast("cpu", enabled=False):
            for batch, tile in _walk(q, table, ctx.n, ctx.causal, wide):
                rows, n_rows = slice(tile.first, tile.last), tile.last - tile.first
                queries, d_out = (x[batch, :, rows].flatten(0, 1).to(wide) for x in (q, grad))
                keys = _gathered(k[batch], tile.blocks, n_rows).to(wide)
                values = _gathered(v[batch], tile.blocks, n_rows).to(wide)
                d_queries, d_keys, d_values = _backward(queries, keys, values, d_out, tile.bias)
                shape = q[batch].shape[:2]
                dq[batch, :, rows] = d_queries.unflatten(0, shape).to(q.dtype)
                for total, part in ((dk, d_keys), (dv, d_values)):
                    by_block = part.flatten(1, 2).unflatten(1, (-1, q.shape[3]))
                    total[batch].index_add_(2, tile.blocks, by_block.unflatten(0, shape))
        return dq, dk.to(k.dtype), dv.to(v.dtype), None, None, None


def _backward(
    queries: Tensor, keys: Tensor, values: Tensor, d_out: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """dq, dk and dv of a tile; queries, d_out (N, rows, b, E), keys, values (N, rows, keys, E)."""
    scale = queries.shape[-1] ** -0.5
    queries = queries * scale
    scores = queries @ keys.mT
    if bias is not None:
        scores += bias
    weights = scores.softmax(-1)
    d_weights = d_out @ values.mT
    d_scores = weights * (d_weights - (weights * d_weights).sum(-1, keepdim=True))
    return (d_scores @ keys) * scale, d_scores.mT @ queries, weights.mT @ d_out


def scattered_step(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    table: Tensor,
    position: int,
    n_filled: int,
) -> Tensor:
    """One step of causal decoding: the elements at position, position + 1, … read the cache.

    q is (B, A, N, E) for N elements, the caches (B, A, n, E) with their first n_filled keys filled.
    Only the rows of `block_sparse.step_keys` are read, O(sqrt(n)) of them. With n_filled =
    position + N this is the full causal pass; with less, only filled keys are seen.
    """
    n, b = k_cache.shape[2], block_size(k_cache.shape[2])
    host = table.cpu().numpy()
    block_sparse.check_table(host, n)
    parts = []
    start, end = position, position + q.shape[2]
    while start < end:  # elements of one block attend to the same blocks
        stop = min(end, (start // b + 1) * b)
        where = range(start, stop)
        keys = block_sparse.step_keys(host, stop - 1, n)
        mask = block_sparse.step_mask(host, where, n_filled, n)[:, keys]
        keys, mask = keys[mask.any(0)], mask[:, mask.any(0)]
        rows = torch.from_numpy(keys).to(q.device)
        parts.append(
            dense_attention(
                q[:, :, start - position : stop - position],
                k_cache.index_select(2, rows),
                v_cache.index_select(2, rows),
                mask=None if mask.all() else torch.from_numpy(mask).to(q.device),
            )
        )
        start = stop
    return torch.cat(parts, 2)
