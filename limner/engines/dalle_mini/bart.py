"""The encoder and decoder of DALL·E mini: BART with the norms of NormFormer and gated layers.

A layer adds LN(attention(LN(x))), then, in the decoder, the same with attention to the text, then
fc2(LN(gelu(fc0(LN(x))) · fc1(LN(x)))); see NormFormer (arXiv 2110.09456, section 2) and GLU
variants (arXiv 2002.05202). Linear layers have no bias. Tensors are named as in the public weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.model.layers import Stack

PAD = 1  # the token of text that is not there
_HEAD_DIM = 64  # of all public weights; no tensor tells it

Keys = tuple[Tensor, Tensor]  # keys and values, (B, n_heads, T, head_dim) each


@dataclass(frozen=True)
class BartShape:
    """Sizes of an encoder or a decoder."""

    n_layers: int
    d: int
    d_hidden: int
    n_vocab: int  # rows of the table of tokens
    n_places: int

    @property
    def n_heads(self) -> int:
        """Heads of every attention."""
        return self.d // _HEAD_DIM

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> BartShape:
        """The sizes that `tensors` have. Raises KeyError for a tensor that is missing."""
        layers = {name.split(".")[1] for name in tensors if name.startswith("layers.")}
        n_vocab, d = tensors["embed_tokens.weight"].shape
        return cls(
            len(layers),
            d,
            tensors["layers.0.glu.fc0.weight"].shape[0],
            n_vocab,
            tensors["embed_positions.weight"].shape[0],
        )


class Attention(nn.Module):
    """Attention to keys and values that `keys` has made."""

    def __init__(self, shape: BartShape) -> None:
        super().__init__()
        self.n_heads = shape.n_heads
        self.k_proj = nn.Linear(shape.d, shape.d, bias=False)
        self.v_proj = nn.Linear(shape.d, shape.d, bias=False)
        self.q_proj = nn.Linear(shape.d, shape.d, bias=False)
        self.out_proj = nn.Linear(shape.d, shape.d, bias=False)

    def keys(self, x: Tensor) -> Keys:
        """Keys and values of x (B, T, D)."""
        return self._heads(self.k_proj(x)), self._heads(self.v_proj(x))

    def forward(self, x: Tensor, keys: Keys, mask: Tensor | None = None) -> Tensor:
        """x (B, T, D) attends to keys; mask (B, 1, 1, T_keys) is True where it may."""
        found = F.scaled_dot_product_attention(self._heads(self.q_proj(x)), *keys, attn_mask=mask)
        return self.out_proj(found.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


class GLU(nn.Module):
    """The gated feed-forward layer, with a norm before it and one inside."""

    def __init__(self, shape: BartShape) -> None:
        super().__init__()
        self.ln0 = nn.LayerNorm(shape.d)
        self.ln1 = nn.LayerNorm(shape.d_hidden)
        self.fc0 = nn.Linear(shape.d, shape.d_hidden, bias=False)
        self.fc1 = nn.Linear(shape.d, shape.d_hidden, bias=False)
        self.fc2 = nn.Linear(shape.d_hidden, shape.d, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, D)."""
        x = self.ln0(x)
        return self.fc2(self.ln1(F.gelu(self.fc0(x)) * self.fc1(x)))


class EncoderLayer(nn.Module):
    """Self-attention in both directions, then the gated layer."""

    def __init__(self, shape: BartShape) -> None:
        super().__init__()
        self.pre_self_attn_layer_norm = nn.LayerNorm(shape.d)
        self.self_attn = Attention(shape)
        self.self_attn_layer_norm = nn.LayerNorm(shape.d)
        self.glu = GLU(shape)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, T, D); mask (B, 1, 1, T)."""
        h = self.pre_self_attn_layer_norm(x)
        h = self.self_attn(h, self.self_attn.keys(h), mask)
        x = x + self.self_attn_layer_norm(h)
        return x + self.glu(x)


class Encoder(nn.Module):
    """Tokens of text to hidden states."""

    def __init__(self, shape: BartShape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.n_vocab, shape.d)
        self.embed_positions = nn.Embedding(shape.n_places, shape.d)
        self.layernorm_embedding = nn.LayerNorm(shape.d)
        self.layers: Stack[EncoderLayer] = Stack(EncoderLayer(shape) for _ in range(shape.n_layers))
        self.final_ln = nn.LayerNorm(shape.d)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T), PAD where there is no text, to hidden states (B, T, D)."""
        x = self.embed_tokens(tokens) + self.embed_positions.weight[: tokens.shape[1]]
        x = self.layernorm_embedding(x)
        mask = text_mask(tokens)
        for layer in self.layers:
            x = layer(x, mask)
        return self.final_ln(x)


class DecoderLayer(nn.Module):
    """Attention to the cells drawn so far, attention to the text, then the gated layer."""

    def __init__(self, shape: BartShape) -> None:
        super().__init__()
        self.pre_self_attn_layer_norm = nn.LayerNorm(shape.d)
        self.self_attn = Attention(shape)
        self.self_attn_layer_norm = nn.LayerNorm(shape.d)
        self.pre_encoder_attn_layer_norm = nn.LayerNorm(shape.d)
        self.encoder_attn = Attention(shape)
        self.encoder_attn_layer_norm = nn.LayerNorm(shape.d)
        self.glu = GLU(shape)

    def forward(self, x: Tensor, drawn: Tensor, text: Keys, mask: Tensor) -> Tensor:
        """x (B, 1, D) of the newest cell.

        Its keys and values are written into the last place of drawn (2, B, n_heads, T, head_dim).
        """
        h = self.pre_self_attn_layer_norm(x)
        drawn[..., -1:, :] = torch.stack(self.self_attn.keys(h))
        h = self.self_attn(h, (drawn[0], drawn[1]))
        x = x + self.self_attn_layer_norm(h)
        h = self.pre_encoder_attn_layer_norm(x)
        h = self.encoder_attn(h, text, mask)
        x = x + self.encoder_attn_layer_norm(h)
        return x + self.glu(x)


@dataclass
class Drawing:
    """A picture under way: what every layer knows of the text and of the cells drawn so far."""

    text: list[Keys]  # of each layer
    mask: Tensor  # (B, 1, 1, T), True where there is text
    drawn: Tensor  # (n_layers, 2, B, n_heads, n_places, head_dim)
    n_drawn: int = 0


class Decoder(nn.Module):
    """Draws cell by cell, in row-major order."""

    def __init__(self, shape: BartShape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.n_vocab, shape.d)
        self.embed_positions = nn.Embedding(shape.n_places, shape.d)
        self.layernorm_embedding = nn.LayerNorm(shape.d)
        self.layers: Stack[DecoderLayer] = Stack(DecoderLayer(shape) for _ in range(shape.n_layers))
        self.final_ln = nn.LayerNorm(shape.d)
        self.lm_head = nn.Linear(shape.d, shape.n_vocab, bias=False)

    def begin(self, tokens: Tensor, hidden: Tensor) -> Drawing:
        """A drawing without a cell, of tokens (B, T) and the encoder's hidden states (B, T, D)."""
        shape = self.shape
        layers = [layer.encoder_attn.keys(hidden) for layer in self.layers]
        size = (shape.n_layers, 2, len(tokens), shape.n_heads, shape.n_places, _HEAD_DIM)
        return Drawing(layers, text_mask(tokens), hidden.new_zeros(size))

    def step(self, drawing: Drawing, code: int) -> Tensor:
        """Scores (B, n_vocab) of the next cell, given the code of the one before it.

        All rows of the drawing get the same code: they differ in their text alone.
        """
        place = drawing.n_drawn
        drawing.n_drawn += 1
        x = self.embed_tokens.weight[code] + self.embed_positions.weight[place]
        x = self.layernorm_embedding(x).expand(len(drawing.mask), 1, -1)
        for i, layer in enumerate(self.layers):
            known = drawing.drawn[i, ..., : drawing.n_drawn, :]
            x = layer(x, known, drawing.text[i], drawing.mask)
        return self.lm_head(self.final_ln(x))[:, 0]


def text_mask(tokens: Tensor) -> Tensor:
    """(B, 1, 1, T), True where tokens (B, T) are text."""
    return (tokens != PAD)[:, None, None]
