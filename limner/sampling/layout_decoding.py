"""Drawing the cells of a layout step by step, with any backend. NumPy only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from limner.arrays import Floats, Ints
from limner.planning.layout import GROUND, Layout, owner
from limner.sampling import cells
from limner.sampling.cells import Positions
from limner.sampling.decoding import Partial
from limner.sampling.sampling import SamplingConfig, draw, guidance_at, guided, step_sizes

_GROUND_SHARE = 8  # steps for the things per step for the ground
CAPTION = -1  # owner of a caption's tokens
NOBODY = -2  # owner of padding


@dataclass(frozen=True)
class LayoutShape:
    """The shape of a network, as needed by the loop."""

    side: int  # of the tables of positions
    n_codes: int
    n_groups: int
    cache: tuple[int, ...]  # (n_layers, 2, H, D_head) of one element's keys and values


class LayoutNetwork(Protocol):
    """A transformer that draws layouts, in any backend."""

    @property
    def shape(self) -> LayoutShape:
        """The network's shape."""

    def tell(self, texts: Ints, which: Ints, owner: Ints) -> Any:
        """Encode texts (N, T) for the decoder; see `LayoutTransformer.tell`."""

    def step(
        self, told: Any, cache: Floats, seen: Ints, codes: Ints, known: Positions, asked: Positions
    ) -> tuple[Any, Floats, Floats]:
        """Read known cells, query others: (hidden, first scores (R, Q, V), new cache columns)."""

    def later_scores(self, hidden: Any, codes: Ints) -> Floats:
        """Scores (R, Q, V) of the next code of cells with known codes (R, Q, g)."""


def tokens_of(texts: Ints, owners: Sequence[int]) -> tuple[Ints, Ints]:
    """All tokens of texts (N, T) for one picture: their indices (1, M) and owners (1, M)."""
    used = texts != 0
    which = np.flatnonzero(used.ravel())
    return which[None], np.repeat(np.asarray(owners), used.sum(1))[None]


def layout_steps(layout: Layout, config: SamplingConfig) -> list[int]:
    """Number of cells per step: `n_steps` for the things, then a few for the ground."""
    n_ground = owner(layout).count(GROUND)
    n_things = layout.rows * layout.columns - n_ground
    sizes = step_sizes(n_things, config.n_steps) if n_things else []
    if n_ground:
        sizes += step_sizes(n_ground, max(1, config.n_steps // _GROUND_SHARE))
    return sizes


def draw_layout(
    network: LayoutNetwork,
    layout: Layout,
    conditional: Ints,
    unconditional: Ints | None,
    owners: Sequence[int],
    uniforms: Floats,
    config: SamplingConfig,
) -> Iterator[Partial]:
    """Draw pictures of one layout, yielding after every step; the last Partial is complete.

    conditional, unconditional: texts (N, T) and (N', T) with and without the prompt: one for each
    owner of the layout, in order, then the caption if there is one. `owners` (N,) are the owners of
    the texts; the unconditional texts have the first N' of them. uniforms (B, n_cells, n_groups).
    """
    shape, n_cells = network.shape, layout.rows * layout.columns
    every, order = cells.positions(layout, shape.side), cells.drawing_order(layout)
    n_begin, n_pictures = cells.n_owners(layout), len(uniforms)
    texts = [conditional] if unconditional is None else [conditional, unconditional]
    rows = len(texts) * n_pictures
    told = network.tell(*_stacked(texts, owners, n_pictures))
    layers, two, heads, d_head = shape.cache
    cache: Floats = np.zeros((rows, layers, two, heads, 0, d_head), np.float32)
    codes = np.zeros((n_pictures, n_cells, shape.n_groups), np.int64)
    drawn = np.zeros(n_cells, bool)
    known: Ints = np.arange(n_begin)
    known_codes = np.full((n_pictures, n_begin, shape.n_groups), shape.n_codes)
    seen: Ints = np.zeros(0, np.int64)
    sizes = layout_steps(layout, config)
    ends = np.cumsum(sizes)
    for i, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        positions = order[end - size : end]
        hidden, scores, fresh = network.step(
            told,
            cache,
            _rows(seen, rows),
            np.concatenate([known_codes] * len(texts)),
            _batch(every.take(known), rows),
            _batch(every.take(positions + n_begin), rows),
        )
        cache = np.concatenate([cache, fresh], axis=4)
        seen = np.concatenate([seen, every.owner[known]])
        scale = guidance_at(config, int(end - size), n_cells)
        found = np.zeros((n_pictures, size, 0), np.int64)
        for group in range(shape.n_groups):
            if group:
                scores = network.later_scores(hidden, np.concatenate([found] * len(texts)))
            if len(texts) == 2:
                scores = guided(scores[: rows // 2], scores[rows // 2 :], scale)
            temperature = config.detail_temperature if group else config.temperature
            code = draw(scores, uniforms[:, positions, group], temperature, config.top_p)
            found = np.concatenate([found, code[..., None]], axis=-1)
        codes[:, positions], drawn[positions] = found, True
        known, known_codes = positions + n_begin, found
        yield Partial(i + 1, len(sizes), codes.copy(), drawn.copy())


def _stacked(texts: list[Ints], owners: Sequence[int], n: int) -> tuple[Ints, Ints, Ints]:
    """Stack texts: (all texts, token indices and owners for each of len(texts) * n rows)."""
    parts: list[Ints] = []
    told: list[tuple[Ints, Ints]] = []
    for text in texts:
        first = sum(len(part) for part in parts) * text.shape[1]
        which, whose = tokens_of(text, owners[: len(text)])
        parts.append(text)
        told += [(which[0] + first, whose[0])] * n
    longest = max(len(which) for which, _ in told)
    every = np.zeros((len(told), longest), np.int64)
    owner_of = np.full((len(told), longest), NOBODY)
    for row, (one, whose) in enumerate(told):
        every[row, : len(one)], owner_of[row, : len(one)] = one, whose
    return np.concatenate(parts), every, owner_of


def _rows(values: Ints, n: int) -> Ints:
    return np.repeat(values[None], n, 0)


def _batch(positions: Positions, n: int) -> Positions:
    parts: list[Any] = [_rows(getattr(positions, field.name), n) for field in fields(Positions)]
    return Positions(*parts)
