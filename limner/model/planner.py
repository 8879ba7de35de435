"""The planner's network: finds the things in a prompt, with number, size, place and relations.

A small encoder reads the prompt's tokens. It classifies each token as the start or continuation of
a thing, a ground or a style; the first token of a thing by count, size and place; and each pair of
first tokens by the relation of the two things, with a biaffine form (Dozat and Manning, arXiv
1611.01734, section 3.2.1). It points into the prompt and has no vocabulary of things, so words that
training did not have can name things.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from limner.model.layers import RMSNorm, Stack
from limner.model.transformer import EncoderLayer, TransformerConfig
from limner.planning.plan import (
    COUNTS,
    PLACE_NAMES,
    RELATION_NAMES,
    SIZE_NAMES,
    TAGS,
)


@dataclass(frozen=True)
class PlannerConfig:
    """Shape of the planner; saved with its weights."""

    n_vocab: int = 8192
    max_text: int = 96  # most tokens
    d: int = 128
    n_heads: int = 4
    n_layers: int = 2
    d_embedding: int = 64  # width of the token table, which has most of the weights
    d_relation: int = 32
    dropout: float = 0.1


class PlannerScores(NamedTuple):
    """Scores before softmax, of each token; relation r of (B, R, T, T) is token i to token j."""

    tags: Tensor  # (B, T, len(TAGS))
    counts: Tensor  # (B, T, COUNTS)
    sizes: Tensor  # (B, T, len(SIZE_NAMES))
    places: Tensor  # (B, T, len(PLACE_NAMES))
    relations: Tensor  # (B, len(RELATION_NAMES), T, T)


class Planner(nn.Module):
    """Tokens to scores."""

    def __init__(self, config: PlannerConfig) -> None:
        super().__init__()
        self.config = config
        layer = TransformerConfig(d=config.d, n_heads=config.n_heads, dropout=config.dropout)
        self.embed = nn.Embedding(config.n_vocab, config.d_embedding)
        self.widen = nn.Linear(config.d_embedding, config.d, bias=False)
        self.position_embed = nn.Embedding(config.max_text, config.d)
        self.neighbours = nn.Conv1d(config.d, config.d, 5, padding=2)
        self.dropout = nn.Dropout(config.dropout)
        self.layers: Stack[EncoderLayer] = Stack(
            EncoderLayer(layer) for _ in range(config.n_layers)
        )
        self.norm = RMSNorm(config.d)
        self.n_each = (len(TAGS), COUNTS, len(SIZE_NAMES), len(PLACE_NAMES))
        self.head = nn.Linear(config.d, sum(self.n_each))
        self.firsts = nn.Linear(config.d, len(RELATION_NAMES) * config.d_relation)
        self.seconds = nn.Linear(config.d, len(RELATION_NAMES) * config.d_relation)
        nn.init.normal_(self.embed.weight, std=0.1)
        nn.init.normal_(self.position_embed.weight, std=0.02)

    def forward(self, ids: Tensor) -> PlannerScores:
        """ids (B, T), [PAD] after the end, T at most max_text."""
        mask = (ids != 0)[:, None, None]
        x = self.widen(self.embed(ids)) + self.position_embed.weight[: ids.shape[1]]
        x = self.dropout(x) * mask[:, 0, 0, :, None]
        x = x + self.neighbours(x.transpose(1, 2)).transpose(1, 2)
        for layer in self.layers:
            x = layer(x, mask)
        x = self.norm(x)
        tags, counts, sizes, places = self.head(x).split(self.n_each, dim=-1)
        d = self.config.d_relation
        first, second = (
            part.unflatten(-1, (-1, d)).transpose(1, 2)
            for part in (self.firsts(x), self.seconds(x))
        )
        relations = torch.matmul(first, second.transpose(2, 3)) / d**0.5
        return PlannerScores(tags, counts, sizes, places, relations)
