"""The transformer that draws layouts: every cell has an owner, and a position within its box.

It has the networks of `Transformer`, and is initialised from its weights. Differences:

- a cell's position embedding blends rows of the position table by its position within its own
  box (`cells.positions`), so that a thing does not depend on where its box is; a second table
  encodes the position on the canvas, and a linear map the size of the box. Both start at zero;
- every owner has its own [BEGIN], which reads its own phrase;
- cross-attention sees the phrase of the cell's own thing, and the caption of the whole picture with
  a score reduced by a learned number per head; never the phrases of other things;
- self-attention reduces the scores of other things' elements by a learned number per head.

Visibility is encoded by marks: a few numbers appended to queries and keys, whose product adds to
the score (`attention.marked_attention`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.model.layers import Keys, Rotary
from limner.model.transformer import DecoderLayer, Transformer, TransformerConfig
from limner.planning.layout import MAX_THINGS
from limner.sampling import cells
from limner.sampling.layout_decoding import CAPTION, NOBODY

N_MARKS = MAX_THINGS + 2  # things, the ground, and one for caption or padding
_NEVER = 30.0  # reduction of a score that masks it: exp(-30) is 1e-13
_FEW = 8  # number of texts that are encoded in one batch
_LONGEST = 128  # most cells along a canvas
_OTHER_THINGS, _CAPTION = 4.0, 4.0  # initial reductions of scores


@dataclass
class Elements:
    """`cells.Positions` of a batch as tensors; (B, n) or (B, n, ...) each."""

    owner: Tensor
    corners: Tensor
    shares: Tensor
    canvas_corners: Tensor
    canvas_shares: Tensor
    size: Tensor
    position: Tensor

    @classmethod
    def of(cls, positions: cells.Positions) -> "Elements":
        """Tensors of arrays with a leading dimension for the batch."""
        return cls(*(torch.from_numpy(np.ascontiguousarray(getattr(positions, f.name)))
                     for f in fields(cells.Positions)))  # fmt: skip

    def to(self, device: torch.device) -> "Elements":
        """The same on a device."""
        return Elements(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass
class Told:
    """Encoded texts for the decoder's layers: tokens of all texts of a picture in a row."""

    keys: list[Keys]  # of each decoder layer, content stack first
    marks: Tensor  # (B, 1, M, N_MARKS)


class LayoutTransformer(Transformer):
    """Text and layout to codes."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        d, n_layers = config.d, config.n_content_layers + config.n_query_layers
        self.canvas_embed = nn.Embedding(config.n_cells, d)
        self.canvas_query_embed = nn.Embedding(config.n_cells, d)
        self.size_embed = nn.Linear(2, d, bias=False)
        self.size_query_embed = nn.Linear(2, d, bias=False)
        for module in (self.canvas_embed, self.canvas_query_embed):
            nn.init.zeros_(module.weight)
        for linear in (self.size_embed, self.size_query_embed):
            nn.init.zeros_(linear.weight)
        self.other_things = nn.Parameter(torch.full((n_layers * config.n_heads,), _OTHER_THINGS))
        self.caption = nn.Parameter(torch.full((n_layers * config.n_heads,), _CAPTION))
        pairs = d // config.n_heads // 4
        angles = torch.arange(_LONGEST)[:, None] * 100.0 ** (-torch.arange(pairs) / pairs)
        self.turns: Tensor
        self.register_buffer("turns", torch.stack([angles.cos(), angles.sin()]), persistent=False)

    def box_parameters(self) -> Iterator[nn.Parameter]:
        """What says where on the canvas a box is and how large."""
        yield from self.canvas_embed.parameters()
        yield from self.canvas_query_embed.parameters()
        yield from self.size_embed.parameters()
        yield from self.size_query_embed.parameters()

    def tell(self, texts: Tensor, which: Tensor, owner: Tensor) -> Told:
        """Encode texts (N, T) for all decoder layers.

        which (B, M): the tokens of each picture, as indices into texts.flatten(); owner (B, M): the
        thing that each token describes, CAPTION, or NOBODY for padding.
        """
        told = F.embedding(which, self._hidden_texts(texts).flatten(0, 1))
        layers = [*self.content, *self.query]
        return Told([layer.cross_keys(told) for layer in layers], token_marks(owner))

    def _hidden_texts(self, texts: Tensor) -> Tensor:
        """`encode_text`; in training the shorter half is encoded separately to reduce padding."""
        if not torch.is_grad_enabled() or len(texts) < 2 * _FEW:
            return self.encode_text(texts)[0]
        n_tokens = (texts != 0).sum(1)
        order = n_tokens.argsort()
        short, long = order[: len(order) // 2], order[len(order) // 2 :]
        width = int(n_tokens[short[-1]])
        first = F.pad(self.encode_text(texts[short, :width])[0], (0, 0, 0, texts.shape[1] - width))
        both = torch.cat([first, self.encode_text(texts[long])[0]])
        return both[order.argsort()]

    def place(self, elements: Elements, is_query: bool = False) -> Tensor:
        """Position embeddings of elements, (B, n, D)."""
        box, canvas, size = (
            (self.query_embed, self.canvas_query_embed, self.size_query_embed)
            if is_query
            else (self.place_embed, self.canvas_embed, self.size_embed)
        )
        x = _blended(box.weight, elements.corners, elements.shares)
        x = x + _blended(canvas.weight, elements.canvas_corners, elements.canvas_shares)
        return x + size(elements.size)

    def turn(self, elements: Elements) -> Rotary:
        """Rotary positions: the row and the column on the canvas."""
        cos, sin = self.turns[:, elements.position].flatten(-2)
        return cos, sin

    def read(self, codes: Tensor, elements: Elements) -> Tensor:
        """The content stack's input (B, n, D) of codes (B, n, n_groups), n_codes for [BEGIN]."""
        x = self.place(elements)
        for group, embed in enumerate(self.code_embed):
            x = x + embed(codes[..., group])
        return x

    def embed_cells(self, codes: Tensor, elements: Elements) -> Tensor:
        """Unit vectors (B, E), in the contrastive space, of pictures given by some cells."""
        hidden = self._encode(self.read(codes, elements), None)
        return F.normalize(self.image_embedding(hidden.mean(1)).float(), dim=-1)

    def hidden(  # type: ignore[override]
        self, told: Told, codes: Tensor, known: Elements, asked: Elements, mask: Tensor | None
    ) -> Tensor:
        """The query stack's output (B, Q, D) for the cells `asked`.

        codes (B, K, n_groups) of the elements `known`, in order; each sees those up to itself. mask
        (B, 1, Q, K) restricts what the cells `asked` see; None for all.
        """
        x, rotary = self.read(codes, known), self.turn(known)
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        owners = _one_hot(known.owner)
        of_keys = _element_marks(known.owner)
        for i, layer in enumerate(self.content):
            own = layer.own_keys(x, rotary)
            x = self._layer(i, layer, x, own, told, rotary, (owners, of_keys), causal)
        shared = self.shared_keys(self.shared_norm(x), rotary)
        return self._ask_layout(told, shared, of_keys, asked, mask)

    def forward(  # type: ignore[override]
        self,
        told: Told,
        known_codes: Tensor,
        known: Elements,
        asked_codes: Tensor,
        asked: Elements,
        mask: Tensor | None,
    ) -> Tensor:
        """Scores (B, Q, n_groups, n_codes) of `asked_codes`, given `known_codes`."""
        return self.head(self.hidden(told, known_codes, known, asked, mask), asked_codes)

    def step_layout(
        self, told: Told, cache: Tensor, seen: Tensor, codes: Tensor, known: Elements,
        asked: Elements,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Read newly drawn cells and query the next ones; see `Transformer.step`.

        cache (B, n_content_layers + 1, 2, H, P, D_head); seen (B, P): owners of its elements.
        """
        x, rotary = self.read(codes, known), self.turn(known)
        n_past, n_now = cache.shape[4], x.shape[1]
        owners = _one_hot(known.owner)
        of_keys = _element_marks(torch.cat([seen, known.owner], dim=1))
        causal = torch.ones(n_now, n_past + n_now, dtype=torch.bool, device=x.device)
        causal = causal.tril(n_past)
        fresh: list[Tensor] = []
        for i, layer in enumerate(self.content):
            own = layer.own_keys(x, rotary)
            fresh.append(torch.stack(own, dim=1))
            keys = torch.cat([cache[:, i], fresh[-1]], dim=3)
            of_layer = keys[:, 0], keys[:, 1]
            x = self._layer(i, layer, x, of_layer, told, rotary, (owners, of_keys), causal)
        fresh.append(torch.stack(self.shared_keys(self.shared_norm(x), rotary), dim=1))
        keys = torch.cat([cache[:, -1], fresh[-1]], dim=3)
        hidden = self._ask_layout(told, (keys[:, 0], keys[:, 1]), of_keys, asked, None)
        return hidden, torch.stack(fresh, dim=1)

    def _ask_layout(
        self, told: Told, shared: Keys, of_keys: Tensor, asked: Elements, mask: Tensor | None
    ) -> Tensor:
        q, rotary = self.place(asked, is_query=True), self.turn(asked)
        marks = (_one_hot(asked.owner), of_keys)
        for i, layer in enumerate(self.query, start=len(self.content)):
            q = self._layer(i, layer, q, shared, told, rotary, marks, mask)
        return q

    def _layer(
        self,
        number: int,
        layer: DecoderLayer,
        x: Tensor,
        keys: Keys,
        told: Told,
        rotary: Rotary,
        owners: tuple[Tensor, Tensor],
        mask: Tensor | None,
    ) -> Tensor:
        """Decoder layer `number`; owners: (B, n, things + ground) of x, and marks of the keys."""
        heads = slice(number * self.config.n_heads, (number + 1) * self.config.n_heads)
        marks = (_query_marks(owners[0], self.other_things[heads], _NEVER), owners[1])
        h = layer.attention_norm(x)
        x = x + layer.dropout(layer.attention(h, keys, rotary=rotary, mask=mask, marks=marks))
        marks = (_query_marks(owners[0], _NEVER, self.caption[heads]), told.marks)
        x = x + layer.dropout(layer.cross(layer.cross_norm(x), told.keys[number], marks=marks))
        return x + layer.dropout(layer.ff(layer.ff_norm(x)))


def _blended(table: Tensor, corners: Tensor, shares: Tensor) -> Tensor:
    """Blend four rows of a table for each element: corners, shares (B, n, 4) to (B, n, D)."""
    if not torch.is_grad_enabled():  # operations that every runtime has
        return (F.embedding(corners, table) * shares[..., None]).sum(-2)
    rows = F.embedding_bag(
        corners.flatten(0, 1), table, per_sample_weights=shares.flatten(0, 1), mode="sum"
    )
    return rows.unflatten(0, corners.shape[:2])


def _one_hot(owner: Tensor) -> Tensor:
    """(B, n) to (B, n, N_MARKS - 1); zeros for CAPTION and NOBODY."""
    return (owner[..., None] == torch.arange(N_MARKS - 1, device=owner.device)).float()


def _query_marks(owners: Tensor, others: Tensor | float, special: Tensor | float) -> Tensor:
    """Marks (B, H, Q, N_MARKS) of queries: score reductions for others' and special elements.

    `others` and `special` are numbers, or tensors (H,) with one for each head.
    """
    by_head = [
        torch.as_tensor(x, device=owners.device).reshape(1, -1, 1, 1) for x in (others, special)
    ]
    own = -by_head[0] * owners[:, None]
    last = -by_head[1].expand(own.shape[0], -1, own.shape[2], 1)
    heads = max(own.shape[1], last.shape[1])
    return torch.cat([own.expand(-1, heads, -1, -1), last.expand(-1, heads, -1, -1)], dim=-1)


def _element_marks(owner: Tensor) -> Tensor:
    """Marks (B, 1, n, N_MARKS) of attended elements: 1 for all but the owner; then padding."""
    return torch.cat([1 - _one_hot(owner), (owner == NOBODY).float()[..., None]], dim=-1)[:, None]


def token_marks(owner: Tensor) -> Tensor:
    """Marks of tokens: 1 except at the owner, all for padding, none for captions; then caption."""
    is_caption = (owner == CAPTION).float()[..., None]
    others = (1 - _one_hot(owner)) * (1 - is_caption)
    return torch.cat([others, is_caption], dim=-1)[:, None]
