"""Layers of the transformer: attention with its projections, gated feed-forward layers."""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.model.attention import dense_attention, marked_attention, scattered_attention

Rotary = tuple[Tensor, Tensor]  # cosines and sines, (B or 1, T, D_head / 2) each
Keys = tuple[Tensor, Tensor]  # keys and values, (B, H, T, D_head) each
Marks = tuple[Tensor, Tensor]  # of queries and of keys, see `marked_attention`

Layer = TypeVar("Layer", bound=nn.Module)


class Stack(nn.ModuleList, Generic[Layer]):
    """A list of layers of one kind."""

    def __iter__(self) -> Iterator[Layer]:
        return cast("Iterator[Layer]", super().__iter__())

    def __getitem__(self, index: int) -> Layer:  # type: ignore[override]
        return cast("Layer", super().__getitem__(index))


def rotate(x: Tensor, rotary: Rotary) -> Tensor:
    """Turn the pairs of x (B, H, T, D_head) by their positions (RoPE, arXiv 2104.09864, 3.2.2)."""
    cos, sin = (part[:, None] for part in rotary)
    if torch.is_grad_enabled() and x.requires_grad:
        turned: Tensor = _Turn.apply(x, cos.type_as(x), sin.type_as(x))
        return turned
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1).type_as(x)


class _Turn(torch.autograd.Function):
    """Rotates pairs (a, b) by angles; the backward pass rotates gradients by the opposite ones.

    Takes half the time of PyTorch's own backward pass, as nothing is concatenated or split.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(grad, cos, -sin), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    a, b = x.chunk(2, dim=-1)
    left, right = out.chunk(2, dim=-1)
    torch.mul(a, cos, out=left).addcmul_(b, sin, value=-1)
    torch.mul(a, sin, out=right).addcmul_(b, cos)
    return out


class RMSNorm(nn.RMSNorm):
    """RMS normalisation (arXiv 1910.07467) whose gain follows its input's precision.

    Under mixed precision PyTorch has no fused form for bfloat16 inputs and float gains. Training
    uses our backward pass: PyTorch's takes a dozen small operations, which was a fifth of a step on
    a CPU (docs/experiments.md). In mixed precision its result has the lower one, as the products
    that read it.
    """

    def __init__(self, d: int) -> None:
        super().__init__(d, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to the same shape."""
        if torch.is_grad_enabled() and x.requires_grad:
            kind, is_mixed = x.device.type, torch.is_autocast_enabled(x.device.type)
            dtype = torch.get_autocast_dtype(kind) if is_mixed else x.dtype
            normed: Tensor = _Normalise.apply(x, self.weight.to(dtype), self.eps)
            return normed
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class _Normalise(torch.autograd.Function):
    """y = g n with n = x r and r = 1 / sqrt(mean(x^2) + eps); arXiv 1910.07467, section 4.

    Backward, from dy: dg = sum(dy n) and dx = r (g dy - n mean(g dy n)). y has the precision of g,
    which may be lower than that of x.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, eps: float) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
        scale = (norm.square() / x.shape[-1] + eps).rsqrt().to(gain.dtype)
        normed = x.to(gain.dtype) * scale
        ctx.save_for_backward(normed, scale, gain)
        ctx.dtype_of_x = x.dtype
        return normed * gain

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        normed, scale, gain = ctx.saved_tensors
        product = grad * normed
        d_gain = product.flatten(0, -2).sum(0)
        mean = product @ (gain / gain.numel())
        d_x = torch.addcmul(grad * gain, normed, mean[..., None], value=-1) * scale
        return d_x.to(ctx.dtype_of_x), d_gain, None


class KeyValue(nn.Module):
    """Projects elements to keys and values."""

    def __init__(self, d: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.project = nn.Linear(d, 2 * d, bias=False)
        self.norm = RMSNorm(d // n_heads)

    def forward(self, x: Tensor, rotary: Rotary | None = None) -> Keys:
        """x (B, T, D) to normalised and rotated keys, and values."""
        k, v = (split_heads(part, self.n_heads) for part in self.project(x).chunk(2, dim=-1))
        k = self.norm(k)
        return (rotate(k, rotary) if rotary else k), v


class Attend(nn.Module):
    """Queries, attention and the output projection of multi-head attention (arXiv 1706.03762, 3.2).

    Queries and keys are normalised per head (QK-norm, arXiv 2010.04245), which bounds the scores.
    """

    def __init__(self, d: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.project = nn.Linear(d, d, bias=False)
        self.norm = RMSNorm(d // n_heads)
        self.out = nn.Linear(d, d, bias=False)

    def forward(
        self,
        x: Tensor,
        keys: Keys,
        *,
        rotary: Rotary | None = None,
        mask: Tensor | None = None,
        causal: bool = False,
        table: Tensor | None = None,
        marks: Marks | None = None,
    ) -> Tensor:
        """x (B, T, D) attends to keys; returns (B, T, D).

        mask: booleans that broadcast to (B, H, T, T_keys), True where a key may be seen. Without
        one: everything, or keys 0 .. t for x[t] if causal; a block table makes it scattered. With
        `marks` it is `marked_attention`, restricted by the mask only.
        """
        q = self.norm(split_heads(self.project(x), self.n_heads))
        q = rotate(q, rotary) if rotary else q
        k, v = (part.type_as(q) for part in keys)
        if marks is not None:
            mixed = marked_attention(q, k, v, marks, mask)
        elif table is not None:
            mixed = scattered_attention(q, k, v, table, causal)
        else:
            mixed = dense_attention(q, k, v, causal=causal, mask=mask)
        return self.out(mixed.transpose(1, 2).flatten(2))


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)) (arXiv 2002.05202, section 2)."""

    def __init__(self, d: int, d_hidden: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(d, 2 * d_hidden, bias=False)
        self.down = nn.Linear(d_hidden, d, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to the same shape."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """(B, T, D) to (B, H, T, D_head)."""
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)
