"""Drawing the cells of layouts step by step, with any backend. NumPy only."""

from collections.abc import Hashable, Iterator, Sequence
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
_TOLD_STEP = 16  # tokens are padded to a multiple of it
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


@dataclass(frozen=True, eq=False)
class LaidOut:
    """A picture to draw, in one or more candidates.

    texts (N, T): one for each owner of the layout, in order, then the caption if there is one;
    `owners` (N,) whose they are. nothing (N', T): texts without the prompt, of the first N'
    owners; with None there is no guidance, and half the work.
    """

    layout: Layout
    texts: Ints
    nothing: Ints | None
    owners: Sequence[int]
    uniforms: Floats  # (n, n_cells, n_groups), the random numbers of each candidate

    @property
    def share_key(self) -> Hashable:
        """What pictures that are drawn together must have in common: all sizes of arrays."""
        layout, texts = self.layout, self.texts
        n_ground = owner(layout).count(GROUND)
        sides = layout.columns, layout.rows, cells.n_owners(layout), n_ground
        return *sides, texts.shape[1], _n_told(int((texts != 0).sum())), self.nothing is None


def draw_layouts(
    network: LayoutNetwork, pictures: Sequence[LaidOut], config: SamplingConfig
) -> Iterator[list[Partial]]:
    """Draw pictures with one `share_key`, yielding a Partial of each after every step.

    The last ones are complete. No picture sees another, and all arrays have the sizes that they
    have for one picture alone, so a picture gets the same codes in any company.
    """
    state, layout = _State(network, pictures), pictures[0].layout
    n_cells = layout.rows * layout.columns
    order = np.stack([cells.drawing_order(picture.layout) for picture in pictures])
    codes = np.zeros((len(state.of_candidate), n_cells, network.shape.n_groups), np.int64)
    drawn = np.zeros((len(pictures), n_cells), bool)
    sizes = layout_steps(layout, config)
    ends = np.cumsum(sizes)
    for i, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        positions = order[:, end - size : end]
        found = state.draw(positions, guidance_at(config, int(end - size), n_cells), config)
        np.put_along_axis(codes, positions[state.of_candidate][..., None], found, 1)
        np.put_along_axis(drawn, positions, True, 1)
        yield [
            Partial(i + 1, len(sizes), codes[state.of_candidate == number], drawn[number].copy())
            for number in range(len(pictures))
        ]


class _State:
    """The state of a drawing: P pictures, their B candidates, and a row of the network for each
    text of a candidate, R rows in all.
    """

    def __init__(self, network: LayoutNetwork, pictures: Sequence[LaidOut]) -> None:
        shape = network.shape
        self.network, self.n_texts = network, 1 if pictures[0].nothing is None else 2
        self.told = network.tell(*_told(pictures))
        self.elements = _stacked([cells.positions(p.layout, shape.side) for p in pictures])
        self.uniforms = np.concatenate([p.uniforms for p in pictures])
        # The picture of each candidate (B,), and of each row (R,).
        self.of_candidate = np.repeat(np.arange(len(pictures)), [len(p.uniforms) for p in pictures])
        self.of_row = np.concatenate([self.of_candidate] * self.n_texts)
        layers, two, heads, d_head = shape.cache
        rows, n_begin = len(self.of_row), cells.n_owners(pictures[0].layout)
        self.cache: Floats = np.zeros((rows, layers, two, heads, 0, d_head), np.float32)
        self.seen: Ints = np.zeros((rows, 0), np.int64)
        # What the next step reads: elements (P, K), at first [BEGIN], and their codes (B, K, …).
        self.known: Ints = np.broadcast_to(np.arange(n_begin), (len(pictures), n_begin))
        begin = len(self.of_candidate), n_begin, shape.n_groups
        self.known_codes: Ints = np.full(begin, shape.n_codes)
        self.n_begin = n_begin

    def draw(self, positions: Ints, scale: float, config: SamplingConfig) -> Ints:
        """Draw the cells at `positions` (P, Q), and add them as known: codes (B, Q, n_groups)."""
        hidden, first = self._step(positions + self.n_begin)
        own = positions[self.of_candidate]
        numbers = np.take_along_axis(self.uniforms, own[..., None], 1)
        codes = np.zeros((*own.shape, 0), np.int64)
        for group in range(self.network.shape.n_groups):
            temperature = config.detail_temperature if group else config.temperature
            scores = self._guided(hidden, first, codes, scale)
            code = draw(scores, numbers[..., group], temperature, config.top_p)
            codes = np.concatenate([codes, code[..., None]], axis=-1)
        self.known, self.known_codes = positions + self.n_begin, codes
        return codes

    def _step(self, asked: Ints) -> tuple[Any, Floats]:
        """Read the known elements and query those `asked` (P, Q)."""
        known = self._of_rows(self.known)
        codes = np.concatenate([self.known_codes] * self.n_texts)
        hidden, scores, fresh = self.network.step(
            self.told, self.cache, self.seen, codes, known, self._of_rows(asked)
        )
        self.cache = np.concatenate([self.cache, fresh], axis=4)
        self.seen = np.concatenate([self.seen, known.owner], axis=1)
        return hidden, scores

    def _guided(self, hidden: Any, first: Floats, codes: Ints, scale: float) -> Floats:
        """Guided scores (B, Q, V) after codes (B, Q, g); `first`: first scores of all rows."""
        scores = first
        if codes.shape[-1]:
            scores = self.network.later_scores(hidden, np.concatenate([codes] * self.n_texts))
        if self.n_texts == 1:
            return scores
        return guided(scores[: len(codes)], scores[len(codes) :], scale)

    def _of_rows(self, index: Ints) -> Positions:
        """The elements at `index` (P, m) of the pictures, for all rows: (R, m)."""
        picture = np.arange(len(index))[:, None]
        parts: list[Any] = [
            getattr(self.elements, field.name)[picture, index][self.of_row]
            for field in fields(Positions)
        ]
        return Positions(*parts)


def _told(pictures: Sequence[LaidOut]) -> tuple[Ints, Ints, Ints]:
    """All texts (N, T), and of each row of the network the indices and owners of its tokens."""
    parts: list[Ints] = []
    rows: list[tuple[Ints, Ints]] = []
    for is_nothing in (False, True):
        for picture in pictures:
            texts = picture.nothing if is_nothing else picture.texts
            if texts is None:
                continue
            first = sum(len(part) for part in parts) * texts.shape[1]
            which, whose = tokens_of(texts, picture.owners[: len(texts)])
            parts.append(texts)
            rows += [(which[0] + first, whose[0])] * len(picture.uniforms)
    n_told = _n_told(max(len(which) for which, _ in rows))
    every = np.zeros((len(rows), n_told), np.int64)
    owner_of = np.full((len(rows), n_told), NOBODY)
    for row, (which, whose) in enumerate(rows):
        every[row, : len(which)], owner_of[row, : len(which)] = which, whose
    return np.concatenate(parts), every, owner_of


def _n_told(n_tokens: int) -> int:
    """Tokens to which so many are padded, so that pictures of about a length share."""
    return -(-n_tokens // _TOLD_STEP) * _TOLD_STEP


def _stacked(several: Sequence[Positions]) -> Positions:
    names = [field.name for field in fields(Positions)]
    return Positions(*(np.stack([getattr(one, name) for one in several]) for name in names))
