"""Drawing the cells of pictures step by step, with any backend. NumPy only.

The network is called through a small protocol, so that PyTorch and ONNX Runtime share this loop
and, with the same random numbers, draw the same picture.
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
    """The shape of a network, as needed by the loop."""

    grid: int  # cells along one side
    n_codes: int  # values of one code
    n_groups: int  # codes a cell
    cache: tuple[int, ...]  # (n_layers, 2, H, D_head) of one element's keys and values
    tables: tuple[Ints | None, ...]  # block table of each content layer, None if dense

    @property
    def n_cells(self) -> int:
        """The number of cells of a picture."""
        return self.grid**2


class Network(Protocol):
    """A transformer in any backend. R is the number of rows: texts being drawn."""

    @property
    def shape(self) -> Shape:
        """The network's shape."""

    def encode_prompt(self, text: Ints) -> Any:
        """Encode texts (R, T) for the decoder."""

    def step(
        self,
        memory: Any,
        cache: Floats,
        known: Ints,
        known_positions: Ints,
        positions: Ints,
        masks: Bools,
    ) -> tuple[Any, Floats, Floats]:
        """Read known cells, query others: (hidden, first scores (R, Q, V), new cache columns)."""

    def later_scores(self, hidden: Any, codes: Ints) -> Floats:
        """Scores (R, Q, V) of the next code of cells with known codes (R, Q, g)."""


@dataclass(frozen=True)
class Partial:
    """Pictures after `done` of `total` steps."""

    done: int
    total: int
    codes: Ints  # (B, n_cells, n_groups), row-major; zeros where not drawn yet
    drawn: Bools  # (n_cells,)


@dataclass(frozen=True)
class Known:
    """Cells that are kept, and read before any is drawn."""

    codes: Ints  # (n_cells, n_groups), row-major; ignored where `mask` is False
    mask: Bools  # (n_cells,), True where known; at least one is False


def count_steps(config: SamplingConfig, n_hidden: int, n_cells: int) -> int:
    """Decoder passes to draw `n_hidden` of `n_cells` cells, in proportion to a whole picture."""
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
    """Draw pictures' codes, yielding after every step; the last Partial is complete.

    conditional, unconditional: texts (B, T) and (B, T), with and without the prompt; without the
    second there is no guidance, and half the work. uniforms (B, n_cells, n_groups): random numbers
    of the cells, by position. `known` cells are not drawn, and visible to all. With `allowed_codes`
    (P, n_groups) each cell gets the codes of one of its rows.
    """
    shape = network.shape
    state = DecodeState(network, conditional, unconditional, allowed_codes)
    codes = np.zeros((len(conditional), shape.n_cells, shape.n_groups), np.int64)
    drawn = np.zeros(shape.n_cells, bool)
    order = spread_order(shape.grid)
    if known is not None:
        drawn |= known.mask
        codes[:, drawn] = known.codes[drawn]
        positions = order[drawn[order]]
        state.read(codes[:, positions], positions)
        order = order[~drawn[order]]
    n_known = shape.n_cells - len(order)
    sizes = step_sizes(len(order), count_steps(config, len(order), shape.n_cells))
    ends = np.cumsum(sizes)
    for i, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        positions = order[end - size : end]
        scale = guidance_at(config, int(n_known + end - size), shape.n_cells)
        codes[:, positions] = state.draw(positions, uniforms[:, positions], scale, config)
        drawn[positions] = True
        yield Partial(i + 1, len(sizes), codes.copy(), drawn.copy())


def last(partials: Iterator[Partial]) -> Ints:
    """Run to the end; returns the codes of the finished pictures."""
    *_, finished = partials
    return finished.codes


def filled_in(partial: Partial, columns: int) -> Ints:
    """The codes, with each undrawn cell copied from the nearest drawn one.

    Since cells are drawn in spread order, this is a coarse but complete picture. `columns` is its
    number of cells per row.
    """
    positions = np.arange(len(partial.drawn))
    known = positions[partial.drawn]
    down = positions[:, None] // columns - known // columns
    right = positions[:, None] % columns - known % columns
    return partial.codes[:, known[np.argmin(down**2 + right**2, axis=1)]]


class DecodeState:
    """The state of a drawing: cells read by the network, and known cells not read yet.

    B pictures are drawn from one or two texts each, R rows in all. Positions are (n,), shared by
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
        """Drop all cells; keep the texts."""
        layers, two, heads, d_head = self.shape.cache
        n_rows = self.n_texts * self.n_pictures
        self.cache: Floats = np.zeros((n_rows, layers, two, heads, 0, d_head), np.float32)
        # [BEGIN] is the code after the last one, at the position after the last cell.
        self.known: Ints = np.full((n_rows, 1, self.shape.n_groups), self.shape.n_codes)
        self.known_positions: Ints = np.full((n_rows, 1), self.shape.n_cells)

    def read(self, codes: Ints, positions: Ints) -> None:
        """Add known codes (B, K, n_groups) at `positions` (K); the next step reads them."""
        self.known = np.concatenate([self.known, self._of_all_texts(codes)], axis=1)
        rows = self._of_all_texts(self._of_all_pictures(positions))
        self.known_positions = np.concatenate([self.known_positions, rows], axis=1)

    def draw(self, positions: Ints, uniforms: Floats, scale: float, config: SamplingConfig) -> Ints:
        """Draw the cells at `positions` (Q), add them as known, return codes (B, Q, n_groups)."""
        hidden, scores = self._step(positions)
        codes = np.zeros((self.n_pictures, positions.shape[-1], 0), np.int64)
        for group in range(self.shape.n_groups):
            guided_scores = self._guided(hidden, scores, codes, scale)
            if self.allowed_codes is not None:
                allowed = _is_allowed(self.allowed_codes, codes, self.shape.n_codes)
                guided_scores = np.where(allowed, guided_scores, -np.inf)
            temperature = config.detail_temperature if group else config.temperature
            code = draw(guided_scores, uniforms[..., group], temperature, config.top_p)
            codes = np.concatenate([codes, code[..., None]], axis=-1)
        self.known = self._of_all_texts(codes)
        self.known_positions = self._of_all_texts(self._of_all_pictures(positions))
        return codes

    def log_likelihood(self, positions: Ints, codes: Ints, scale: float) -> Floats:
        """Log-likelihood, in nats (B, Q), of codes (B, Q, n_groups) at `positions` (Q).

        It is conditional on the known cells; the queried cells do not see each other.
        """
        hidden, scores = self._step(positions)
        total = np.zeros(codes.shape[:2])
        for group in range(self.shape.n_groups):
            found = self._guided(hidden, scores, codes[..., :group], scale).astype(np.float64)
            found -= found.max(axis=-1, keepdims=True)
            chosen = np.take_along_axis(found, codes[..., group, None], axis=-1)[..., 0]
            total += chosen - np.log(np.exp(found).sum(axis=-1))
        return total

    def _step(self, positions: Ints) -> tuple[Any, Floats]:
        """Read the known cells and query `positions`; returns the network's output for all rows."""
        hidden, scores, fresh = self.network.step(
            self.memory,
            self.cache,
            self.known,
            self.known_positions,
            self._of_all_texts(self._of_all_pictures(positions)),
            self._masks(),
        )
        self.cache = np.concatenate([self.cache, fresh], axis=4)
        return hidden, scores

    def _guided(self, hidden: Any, first: Floats, codes: Ints, scale: float) -> Floats:
        """Guided scores (B, Q, V) after codes (B, Q, g); `first`: first scores of all rows."""
        scores = first
        if codes.shape[-1]:
            scores = self.network.later_scores(hidden, self._of_all_texts(codes))
        if self.n_texts == 1:
            return scores
        return guided(scores[: self.n_pictures], scores[self.n_pictures :], scale)

    def _of_all_texts(self, values: Ints) -> Ints:
        """Repeat values of pictures (B, …) for the rows with and without the prompt."""
        return np.concatenate([values] * self.n_texts)

    def _of_all_pictures(self, positions: Ints) -> Ints:
        return np.broadcast_to(positions, (self.n_pictures, positions.shape[-1]))

    def _masks(self) -> Bools:
        """The masks of the K cells read now, (n_content_layers, K, P + K)."""
        past, now = self.cache.shape[4], self.known_positions.shape[1]
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
    """Mask (B, Q, n_codes) of next codes in the rows of `allowed_codes` that start with `codes`."""
    group = codes.shape[-1]
    allowed = np.zeros((*codes.shape[:2], n_codes), bool)
    for row in allowed_codes:
        allowed[..., row[group]] |= (codes == row[:group]).all(axis=-1)
    return allowed
