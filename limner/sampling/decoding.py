"""Drawing the cells of pictures, step by step, with whatever runs the network.

NumPy only. The network is called through a small protocol, so that PyTorch and ONNX Runtime draw
by the same loop and, with the same random numbers, the same picture.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

import numpy as np

from limner.arrays import Bools, Floats, Ints
from limner.sampling.block_sparse import step_mask
from limner.sampling.sampling import (
    SamplingConfig,
    draw,
    guidance_at,
    guided,
    spread_order,
    step_sizes,
)


@dataclass(frozen=True)
class Shape:
    """What the loop must know of a network."""

    grid: int  # cells along one side
    n_codes: int  # values of one code
    n_groups: int  # codes a cell
    cache: tuple[int, ...]  # (n_layers, 2, H, D_head) of one element's keys and values
    tables: tuple[Ints | None, ...]  # of each content layer: its scattered blocks, None if dense

    @property
    def n_cells(self) -> int:
        """Cells of a picture."""
        return self.grid**2


class Network(Protocol):
    """One transformer, in whatever runs it. R is a row: a text that is being drawn."""

    @property
    def shape(self) -> Shape:
        """The network's shape."""

    def encode_prompt(self, text: Ints) -> Any:
        """What the decoder needs of texts (R, T)."""

    def step(
        self,
        memory: Any,
        cache: Floats,
        known: Ints,
        known_places: Ints,
        places: Ints,
        masks: Bools,
    ) -> tuple[Any, Floats, Floats]:
        """Read cells, look at the next: (hidden, first scores (R, Q, V), new cache columns)."""

    def later_scores(self, hidden: Any, codes: Ints) -> Floats:
        """Scores (R, Q, V) of the next code of cells whose codes (R, Q, g) are known so far."""


@dataclass(frozen=True)
class Partial:
    """Pictures after `done` of `total` steps."""

    done: int
    total: int
    codes: Ints  # (B, n_cells, n_groups), row-major; zeros where nothing is drawn yet
    drawn: Bools  # (n_cells,)


@dataclass(frozen=True)
class Known:
    """Cells that stay as they are, and are read before any is drawn."""

    codes: Ints  # (n_cells, n_groups), row-major; anything where not `mask`
    mask: Bools  # (n_cells,), True where known; False somewhere


def count_steps(config: SamplingConfig, n_hidden: int, n_cells: int) -> int:
    """Decoder passes that draw `n_hidden` of `n_cells` cells: their share of a whole picture's."""
    return max(1, min(ceil(config.n_steps * n_hidden / n_cells), n_hidden))


def draw_codes(
    network: Network,
    conditional: Ints,
    unconditional: Ints | None,
    uniforms: Floats,
    config: SamplingConfig,
    known: Known | None = None,
    allowed_codes: Ints | None = None,
) -> Iterator[Partial]:
    """Draw pictures' codes, yielding after every step; the last one is whole.

    conditional, unconditional: texts (B, T) and (B, T), with and without the prompt; without the
    second there is no guidance, and half the work. uniforms (B, n_cells, n_groups): the random
    numbers of every cell, by its place. Of `known` cells none is drawn and all are seen. With a
    `allowed_codes` (P, n_groups) a cell's codes are those of one of its rows.
    """
    shape = network.shape
    state = DecodeState(network, conditional, unconditional, allowed_codes)
    codes = np.zeros((len(conditional), shape.n_cells, shape.n_groups), np.int64)
    drawn = np.zeros(shape.n_cells, bool)
    order = spread_order(shape.grid)
    if known is not None:
        drawn |= known.mask
        codes[:, drawn] = known.codes[drawn]
        places = order[drawn[order]]
        state.read(codes[:, places], places)
        order = order[~drawn[order]]
    n_known = shape.n_cells - len(order)
    sizes = step_sizes(len(order), count_steps(config, len(order), shape.n_cells))
    ends = np.cumsum(sizes)
    for i, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        places = order[end - size : end]
        scale = guidance_at(config, int(n_known + end - size), shape.n_cells)
        codes[:, places] = state.draw(places, uniforms[:, places], scale, config)
        drawn[places] = True
        yield Partial(i + 1, len(sizes), codes.copy(), drawn.copy())


def last(partials: Iterator[Partial]) -> Ints:
    """The codes of the finished pictures."""
    *_, finished = partials
    return finished.codes


def filled_in(partial: Partial, columns: int) -> Ints:
    """Codes in which each cell that is not drawn yet repeats the nearest one that is.

    Since cells are drawn spread first, this is a coarse but complete picture at any time; it has
    `columns` cells a row.
    """
    places = np.arange(len(partial.drawn))
    known = places[partial.drawn]
    down = places[:, None] // columns - known // columns
    right = places[:, None] % columns - known % columns
    return partial.codes[:, known[np.argmin(down**2 + right**2, axis=1)]]


class DecodeState:
    """The state of one drawing: what was read, and what is known but not read yet.

    B pictures are drawn from one or two texts each, R rows in all. Places are (n,), the same for
    all pictures, or (B, n).
    """

    def __init__(
        self,
        network: Network,
        conditional: Ints,
        unconditional: Ints | None,
        allowed_codes: Ints | None = None,
    ) -> None:
        """The arguments are those of `draw_codes`."""
        self.network, self.shape, self.allowed_codes = network, network.shape, allowed_codes
        texts = [conditional] if unconditional is None else [conditional, unconditional]
        self.n_texts, self.n_pictures = len(texts), len(conditional)
        self.memory = network.encode_prompt(np.concatenate(texts))
        self.begin()

    def begin(self) -> None:
        """Forget every cell; the texts stay."""
        layers, two, heads, d_head = self.shape.cache
        n_rows = self.n_texts * self.n_pictures
        self.cache: Floats = np.zeros((n_rows, layers, two, heads, 0, d_head), np.float32)
        # [BEGIN] is the code after the last one, at the place after the last cell.
        self.known: Ints = np.full((n_rows, 1, self.shape.n_groups), self.shape.n_codes)
        self.known_places: Ints = np.full((n_rows, 1), self.shape.n_cells)

    def read(self, codes: Ints, places: Ints) -> None:
        """Take codes (B, K, n_groups) at `places` (K) for known from the next step on."""
        self.known = np.concatenate([self.known, self._of_all_texts(codes)], axis=1)
        rows = self._of_all_texts(self._of_all_pictures(places))
        self.known_places = np.concatenate([self.known_places, rows], axis=1)

    def draw(self, places: Ints, uniforms: Floats, scale: float, config: SamplingConfig) -> Ints:
        """Draw the cells at `places` (Q), which are then known: their codes (B, Q, n_groups)."""
        hidden, scores = self._step(places)
        codes = np.zeros((self.n_pictures, places.shape[-1], 0), np.int64)
        for group in range(self.shape.n_groups):
            guided_scores = self._guided(hidden, scores, codes, scale)
            if self.allowed_codes is not None:
                allowed = _is_allowed(self.allowed_codes, codes, self.shape.n_codes)
                guided_scores = np.where(allowed, guided_scores, -np.inf)
            temperature = config.detail_temperature if group else config.temperature
            code = draw(guided_scores, uniforms[..., group], temperature, config.top_p)
            codes = np.concatenate([codes, code[..., None]], axis=-1)
        self.known = self._of_all_texts(codes)
        self.known_places = self._of_all_texts(self._of_all_pictures(places))
        return codes

    def log_likelihood(self, places: Ints, codes: Ints, scale: float) -> Floats:
        """How likely the cells at `places` (Q) are to have codes (B, Q, n_groups): nats (B, Q).

        What is known was read before; the cells asked for do not see each other.
        """
        hidden, scores = self._step(places)
        total = np.zeros(codes.shape[:2])
        for group in range(self.shape.n_groups):
            found = self._guided(hidden, scores, codes[..., :group], scale).astype(np.float64)
            found -= found.max(axis=-1, keepdims=True)
            chosen = np.take_along_axis(found, codes[..., group, None], axis=-1)[..., 0]
            total += chosen - np.log(np.exp(found).sum(axis=-1))
        return total

    def _step(self, places: Ints) -> tuple[Any, Floats]:
        """Read what is known and look at `places`: what the network gives of all rows."""
        hidden, scores, fresh = self.network.step(
            self.memory,
            self.cache,
            self.known,
            self.known_places,
            self._of_all_texts(self._of_all_pictures(places)),
            self._masks(),
        )
        self.cache = np.concatenate([self.cache, fresh], axis=4)
        return hidden, scores

    def _guided(self, hidden: Any, first: Floats, codes: Ints, scale: float) -> Floats:
        """Scores (B, Q, V) of the code after codes (B, Q, g); `first` are those of all rows."""
        scores = first
        if codes.shape[-1]:
            scores = self.network.later_scores(hidden, self._of_all_texts(codes))
        if self.n_texts == 1:
            return scores
        return guided(scores[: self.n_pictures], scores[self.n_pictures :], scale)

    def _of_all_texts(self, values: Ints) -> Ints:
        """Values of pictures (B, …) as rows: the same ones with and without the prompt."""
        return np.concatenate([values] * self.n_texts)

    def _of_all_pictures(self, places: Ints) -> Ints:
        return np.broadcast_to(places, (self.n_pictures, places.shape[-1]))

    def _masks(self) -> Bools:
        """What each cell that is read now may see, (n_content_layers, K, P + K)."""
        past, now = self.cache.shape[4], self.known_places.shape[1]
        filled = past + now
        positions: Sequence[int] = range(past, filled)
        dense = np.arange(filled) <= np.arange(past, filled)[:, None]
        return np.stack(
            [
                dense
                if table is None
                else step_mask(table, positions, filled, self.shape.n_cells)[:, :filled]
                for table in self.shape.tables
            ]
        )


def _is_allowed(allowed_codes: Ints, codes: Ints, n_codes: int) -> Bools:
    """Which next codes (B, Q, n_codes) the rows of `allowed_codes` that begin with `codes` have."""
    group = codes.shape[-1]
    allowed = np.zeros((*codes.shape[:2], n_codes), bool)
    for row in allowed_codes:
        allowed[..., row[group]] |= (codes == row[:group]).all(axis=-1)
    return allowed
