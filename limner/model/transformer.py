"""The transformer: an encoder reads the text, a decoder draws the cells in any order.

The decoder has two stacks (decoupled position queries, ARPG: arXiv 2503.10568, section 3.2). The
content stack reads the drawn cells, in drawing order, with causal self-attention. The query stack
predicts the cells at given positions by attending to the content stack's output. Both attend to the
text by cross-attention. Since a query is only a position, cells can be drawn in any order, and
several in one step.

Position t of a sequence predicts the cell order[t] from the cells order[0 .. t-1]: the content
sequence is shifted right by one and starts with a [BEGIN] element, so that query t sees content
0 .. t.
"""

from dataclasses import dataclass, replace
from math import ceil, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.model.attention import dense_mask
from limner.model.layers import (
    Attend,
    Keys,
    KeyValue,
    RMSNorm,
    Rotary,
    Stack,
    SwiGLU,
)
from limner.sampling.block_sparse import block_table


@dataclass(frozen=True)
class TransformerConfig:
    """Shape of the transformer; saved with its weights."""

    n_vocab: int = 8192  # text tokens
    max_text: int = 64  # most text tokens
    grid: int = 8  # cells along one side of the picture
    n_codes: int = 1000  # values of one code
    n_groups: int = 2  # codes a cell
    d: int = 256
    n_heads: int = 4
    n_encoder_layers: int = 3
    n_content_layers: int = 2
    n_query_layers: int = 4
    attention: str = "alternate"  # of the content stack: dense | scattered | alternate
    n_random: int = 2  # random blocks of scattered attention
    table_seed: int = 0  # of the random blocks
    embedding: int = 128  # dimensions of the contrastive space
    dropout: float = 0.0
    # Whether it draws layouts; then `grid` is the side of the position tables, not of pictures.
    layouts: bool = False

    @property
    def n_cells(self) -> int:
        """The number of cells of a picture."""
        return self.grid**2

    @property
    def d_hidden(self) -> int:
        """Width of the gated feed-forward layer: 8/3 d, up to a multiple of 64."""
        return ceil(self.d * 8 / 3 / 64) * 64

    def is_scattered(self, layer: int) -> bool:
        """Whether content layer `layer` uses scattered attention."""
        return self.attention == "scattered" or (self.attention == "alternate" and layer % 2 == 0)

    def at_depth(self, depth: int) -> "TransformerConfig":
        """A config with `depth` layers per stack, and width and heads in proportion."""
        n_heads = max(2, round(depth * 4 / 3))
        return replace(
            self,
            d=64 * n_heads,
            n_heads=n_heads,
            n_encoder_layers=depth,
            n_content_layers=depth,
            n_query_layers=depth,
        )


class EncoderLayer(nn.Module):
    """Self-attention in both directions, then feed-forward; pre-norm."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.d)
        self.keys = KeyValue(config.d, config.n_heads)
        self.attention = Attend(config.d, config.n_heads)
        self.ff_norm = RMSNorm(config.d)
        self.ff = SwiGLU(config.d, config.d_hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x (B, T, D); mask (B, 1, 1, T), True where an element may be seen, or None for all."""
        h = self.attention_norm(x)
        x = x + self.dropout(self.attention(h, self.keys(h), mask=mask))
        return x + self.dropout(self.ff(self.ff_norm(x)))


class DecoderLayer(nn.Module):
    """Attention to drawn cells, cross-attention to the text, feed-forward; pre-norm.

    A layer of the content stack computes its own keys; one of the query stack gets them.
    """

    def __init__(self, config: TransformerConfig, has_keys: bool, table: Tensor | None) -> None:
        super().__init__()
        self.table: Tensor | None
        self.register_buffer("table", table)
        self.attention_norm = RMSNorm(config.d)
        self.keys = KeyValue(config.d, config.n_heads) if has_keys else None
        self.attention = Attend(config.d, config.n_heads)
        self.cross_norm = RMSNorm(config.d)
        self.cross_keys = KeyValue(config.d, config.n_heads)
        self.cross = Attend(config.d, config.n_heads)
        self.ff_norm = RMSNorm(config.d)
        self.ff = SwiGLU(config.d, config.d_hidden)
        self.dropout = nn.Dropout(config.dropout)

    def own_keys(self, x: Tensor, rotary: Rotary) -> Keys:
        """Keys and values of x (B, T, D) for this layer's self-attention."""
        assert self.keys is not None
        keys: Keys = self.keys(self.attention_norm(x), rotary)
        return keys

    def forward(
        self,
        x: Tensor,
        keys: Keys,
        text: Keys,
        text_mask: Tensor,
        rotary: Rotary,
        mask: Tensor | None = None,
    ) -> Tensor:
        """x (B, T, D) attends to `keys`, then to `text`.

        Without a mask, x[t] sees keys 0 .. t, only of its table's blocks if the layer has a table.
        A mask, booleans (T, T_keys), replaces this rule.
        """
        table = self.table if mask is None else None
        n, n_table = x.shape[1], 0 if self.table is None else self.table.shape[0] ** 2
        if table is not None and n < n_table:  # the start of a sequence uses the same blocks
            mask, table = dense_mask(table, n_table, causal=True)[:n, :n], None
        h = self.attention_norm(x)
        x = x + self.dropout(
            self.attention(h, keys, rotary=rotary, mask=mask, causal=mask is None, table=table)
        )
        x = x + self.dropout(self.cross(self.cross_norm(x), text, mask=text_mask))
        return x + self.dropout(self.ff(self.ff_norm(x)))


class CodeHead(nn.Module):
    """Scores of a cell's codes, each code after the first given the ones before it.

    A cell's codes are drawn in order, coarse to fine, by a small network on top of the query
    stack's output (a depth transformer of depth one; RQ-Transformer, arXiv 2203.01941).
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm = RMSNorm(config.d)
        self.scores: Stack[nn.Linear] = Stack(
            nn.Linear(config.d, config.n_codes, bias=False) for _ in range(config.n_groups)
        )
        later = range(config.n_groups - 1)
        self.embed: Stack[nn.Embedding] = Stack(
            nn.Embedding(config.n_codes, config.d) for _ in later
        )
        self.mixers: Stack[SwiGLU] = Stack(SwiGLU(config.d, config.d) for _ in later)
        self.norms: Stack[RMSNorm] = Stack(RMSNorm(config.d) for _ in later)

    def first(self, h: Tensor) -> Tensor:
        """Scores (..., n_codes) of the first code from the stack's output h (..., D)."""
        return self.scores[0](self.norm(h))

    def after(self, h: Tensor, codes: Tensor) -> Tensor:
        """Scores (..., n_codes) of the next code, given the codes (..., g) before it."""
        for i in range(codes.shape[-1]):
            h = h + self.embed[i](codes[..., i])
            h = h + self.mixers[i](self.norms[i](h))
        return self.scores[codes.shape[-1]](self.norm(h))

    def forward(self, h: Tensor, codes: Tensor) -> Tensor:
        """Scores (..., n_groups, n_codes) of codes (..., n_groups), each given those before it."""
        groups = [self.first(h)]
        groups += [self.after(h, codes[..., :g]) for g in range(1, codes.shape[-1])]
        return torch.stack(groups, dim=-2)


@dataclass
class EncodedText:
    """An encoded text for the decoder's layers."""

    keys: list[Keys]  # of each decoder layer, content stack first
    mask: Tensor  # (B, 1, 1, T), True where there is text


class Transformer(nn.Module):
    """Text to codes."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        d, n_cells = config.d, config.n_cells
        self.text_embed = nn.Embedding(config.n_vocab, d)
        self.text_place_embed = nn.Embedding(config.max_text, d)
        self.encoder: Stack[EncoderLayer] = Stack(
            EncoderLayer(config) for _ in range(config.n_encoder_layers)
        )
        self.encoder_norm = RMSNorm(d)
        # The row after the last code is [BEGIN]; the row after the last cell means no position.
        self.code_embed: Stack[nn.Embedding] = Stack(
            nn.Embedding(config.n_codes + 1, d) for _ in range(config.n_groups)
        )
        self.place_embed = nn.Embedding(n_cells + 1, d)
        self.query_embed = nn.Embedding(n_cells, d)
        self.content: Stack[DecoderLayer] = Stack(
            DecoderLayer(config, has_keys=True, table=self._table(i))
            for i in range(config.n_content_layers)
        )
        self.shared_norm = RMSNorm(d)
        self.shared_keys = KeyValue(d, config.n_heads)
        self.query: Stack[DecoderLayer] = Stack(
            DecoderLayer(config, has_keys=False, table=None) for _ in range(config.n_query_layers)
        )
        self.head = CodeHead(config)
        cos, sin = axial_rotary(config.grid, d // config.n_heads)
        self.rotary_cos: Tensor
        self.rotary_sin: Tensor
        self.register_buffer("rotary_cos", cos, persistent=False)
        self.register_buffer("rotary_sin", sin, persistent=False)
        self.text_embedding = nn.Linear(d, config.embedding, bias=False)
        self.image_embedding = nn.Linear(d, config.embedding, bias=False)
        self.apply(_initialise)
        self._scale_outputs()

    def _table(self, layer: int) -> Tensor | None:
        if not self.config.is_scattered(layer):
            return None
        n, random, seed = self.config.n_cells, self.config.n_random, self.config.table_seed
        return torch.from_numpy(block_table(n, random, seed, layer, causal=True))

    def _scale_outputs(self) -> None:
        """Scale each layer's output by 1 / sqrt(2 L), so that the sum does not grow with depth."""
        layers = len(self.encoder) + len(self.content) + len(self.query)
        for name, weight in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                weight.data /= sqrt(2 * layers)
        for scores in self.head.scores:
            nn.init.zeros_(scores.weight)

    def encode_text(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Text tokens (B, T), 0 = [PAD], to hidden states (B, T, D) and their mask (B, 1, 1, T)."""
        mask = (text != 0)[:, None, None]
        x = self.text_embed(text) + self.text_place_embed.weight[: text.shape[1]]
        return self._encode(x, mask), mask

    def encode_image(self, codes: Tensor, positions: Tensor | None = None) -> Tensor:
        """Codes (B, n, n_groups) of the cells at positions (B, n) to hidden states (B, n, D).

        Default positions: all cells in row-major order.
        """
        if positions is None:
            positions = torch.arange(self.config.n_cells, device=codes.device)[None]
        return self._encode(self._content_input(codes, positions), None)

    def _encode(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for layer in self.encoder:
            x = layer(x, mask)
        return self.encoder_norm(x)

    def embed_text(self, text: Tensor) -> Tensor:
        """Unit vectors (B, E) of texts (B, T) in the contrastive space."""
        return F.normalize(self.text_embedding(self.pool_text(text)).float(), dim=-1)

    def pool_text(self, text: Tensor) -> Tensor:
        """The mean hidden state (B, D) of the tokens of texts (B, T)."""
        return _mean(*self.encode_text(text))

    def embed_image(self, codes: Tensor, positions: Tensor | None = None) -> Tensor:
        """Unit vectors (B, E) of pictures; the arguments are those of `encode_image`."""
        hidden = self.encode_image(codes, positions)
        return F.normalize(self.image_embedding(hidden.mean(1)).float(), dim=-1)

    def encode_prompt(self, text: Tensor) -> EncodedText:
        """Encode the text (B, T) for all decoder layers."""
        hidden, mask = self.encode_text(text)
        layers = [*self.content, *self.query]
        return EncodedText([layer.cross_keys(hidden) for layer in layers], mask)

    def _content_input(self, codes: Tensor, positions: Tensor) -> Tensor:
        x = self.place_embed(positions)
        for group, embed in enumerate(self.code_embed):
            x = x + embed(codes[..., group])
        return x

    def _rotary(self, positions: Tensor) -> Rotary:
        return self.rotary_cos[positions], self.rotary_sin[positions]

    def forward(
        self,
        text: Tensor,
        codes: Tensor,
        order: Tensor,
        seen: Tensor | None = None,
        n_known: int | None = None,
        asked: Tensor | None = None,
    ) -> Tensor:
        """Scores (B, n, n_groups, n_codes) of n cells, each given the cells before it.

        text (B, T); codes (B, n, n_groups) and order (B, n), both in drawing order: codes[:, t]
        belongs to the cell at row-major index order[:, t]. `seen` (default: codes) are the codes
        that later cells see of earlier ones. With `n_known`, all cells after the first n_known are
        predicted at once from those: scores (B, n - n_known, n_groups, n_codes). `asked` (Q,)
        limits the scores to these positions of the drawing order, none below n_known.
        """
        known = codes if seen is None else seen
        if asked is None:
            asked = torch.arange(n_known or 0, codes.shape[1], device=codes.device)
        hidden = self.hidden(self.encode_prompt(text), known, order, asked, n_known)
        return self.head(hidden, codes[:, asked])

    def hidden(
        self,
        memory: EncodedText,
        codes: Tensor,
        order: Tensor,
        asked: Tensor,
        n_known: int | None = None,
    ) -> Tensor:
        """The query stack's output (B, Q, D) for the positions `asked` (Q,) of `forward`."""
        n_read = codes.shape[1] - 1 if n_known is None else n_known
        begin = torch.full_like(codes[:, :1], self.config.n_codes)
        nowhere = torch.full_like(order[:, :1], self.config.n_cells)
        known = torch.cat([begin, codes[:, :n_read]], dim=1)
        known_positions = torch.cat([nowhere, order[:, :n_read]], dim=1)
        x, rotary = self._content_input(known, known_positions), self._rotary(known_positions)
        for layer, text in zip(self.content, memory.keys, strict=False):
            x = layer(x, layer.own_keys(x, rotary), text, memory.mask, rotary)
        shared = self.shared_keys(self.shared_norm(x), rotary)
        positions = order[:, asked]
        if n_known is None and len(asked) == order.shape[1]:
            return self._decode_queries(memory, shared, positions, None)
        # A cell sees the cells read before it, or all read cells if all are predicted at once.
        read = torch.arange(n_read + 1, device=order.device)
        last_seen = asked if n_known is None else torch.full_like(asked, n_read)
        return self._decode_queries(memory, shared, positions, read <= last_seen[:, None])

    def _decode_queries(
        self, memory: EncodedText, shared: Keys, positions: Tensor, mask: Tensor | None
    ) -> Tensor:
        q, rotary = self.query_embed(positions), self._rotary(positions)
        for layer, text in zip(self.query, memory.keys[len(self.content) :], strict=True):
            q = layer(q, shared, text, memory.mask, rotary, mask)
        return q

    def step(
        self,
        memory: EncodedText,
        cache: Tensor,
        known: Tensor,
        known_positions: Tensor,
        positions: Tensor,
        masks: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Read newly drawn cells and query the next ones.

        cache: (B, n_content_layers + 1, 2, H, P, D_head), keys and values of cells read before;
        known (B, K, n_groups) at known_positions (B, K): cells to read now, at first [BEGIN];
        positions (B, Q): cells to draw next, which see all read cells;
        masks (n_content_layers, K, P + K): True where a cell read now may see another.
        Returns the query stack's output (B, Q, D) and the K new columns of the cache.
        """
        x, rotary = self._content_input(known, known_positions), self._rotary(known_positions)
        fresh: list[Tensor] = []
        for i, (layer, text) in enumerate(zip(self.content, memory.keys, strict=False)):
            own = layer.own_keys(x, rotary)
            fresh.append(torch.stack(own, dim=1))
            seen = torch.cat([cache[:, i], fresh[-1]], dim=3)
            x = layer(x, (seen[:, 0], seen[:, 1]), text, memory.mask, rotary, masks[i])
        fresh.append(torch.stack(self.shared_keys(self.shared_norm(x), rotary), dim=1))
        seen = torch.cat([cache[:, -1], fresh[-1]], dim=3)
        everything = masks.new_ones(positions.shape[1], seen.shape[3])
        hidden = self._decode_queries(memory, (seen[:, 0], seen[:, 1]), positions, everything)
        return hidden, torch.stack(fresh, dim=1)


def axial_rotary(grid: int, d_head: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (grid * grid + 1, d_head / 2) of two-dimensional rotary positions.

    The first half of the pairs rotates with the row, the second with the column (axial RoPE). The
    row after the last cell means no position: it is not rotated.
    """
    pairs = d_head // 4
    rates = 100.0 ** (-torch.arange(pairs) / pairs)
    cell = torch.arange(grid * grid)
    angles = torch.cat([(cell // grid)[:, None] * rates, (cell % grid)[:, None] * rates], dim=1)
    angles = torch.cat([angles, torch.zeros(1, 2 * pairs)])
    return angles.cos(), angles.sin()


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    weight = mask[:, 0, 0, :, None].to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=module.in_features**-0.5)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.1)
