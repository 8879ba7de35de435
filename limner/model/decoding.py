"""Drawing the cells of pictures, step by step, with whatever runs the network.

NumPy only. The network is called through a small protocol, so that PyTorch and ONNX Runtime draw
by the same loop and, with the same random numbers, the same picture.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from limner.model.sampling import (
    Floats,
    Ints,
    SamplingConfig,
    draw,
    guidance_at,
    guided,
    spread_order,
    step_sizes,
)
from limner.model.scatter import step_mask

Bools = NDArray[np.bool_]


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

    def remember(self, text: Ints) -> Any:
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


def draw_codes(
    network: Network,
    conditional: Ints,
    unconditional: Ints,
    uniforms: Floats,
    config: SamplingConfig,
) -> Iterator[Partial]:
    """Draw pictures' codes, yielding after every step; the last one is whole.

    conditional, unconditional: texts (B, T) and (B, T), with and without the prompt; uniforms
    (B, n_cells, n_groups): the random numbers of every cell, by its place.
    """
    shape = network.shape
    run = _Run(network, np.concatenate([conditional, unconditional]))
    codes = np.zeros((len(conditional), shape.n_cells, shape.n_groups), np.int64)
    drawn = np.zeros(shape.n_cells, bool)
    order = spread_order(shape.grid)
    sizes = step_sizes(shape.n_cells, config.n_steps)
    ends = np.cumsum(sizes)
    for i, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        places = order[end - size : end]
        scale = guidance_at(config, int(end - size), shape.n_cells)
        codes[:, places] = run.draw(places, uniforms[:, places], scale, config)
        drawn[places] = True
        yield Partial(i + 1, len(sizes), codes.copy(), drawn.copy())


def last(partials: Iterator[Partial]) -> Ints:
    """The codes of the finished pictures."""
    *_, finished = partials
    return finished.codes


def filled_in(partial: Partial, grid: int) -> Ints:
    """Codes in which each cell that is not drawn yet repeats the nearest one that is.

    Since cells are drawn spread first, this is a coarse but complete picture at any time.
    """
    places = np.arange(grid * grid)
    known = places[partial.drawn]
    down = places[:, None] // grid - known // grid
    right = places[:, None] % grid - known % grid
    return partial.codes[:, known[np.argmin(down**2 + right**2, axis=1)]]


class _Run:
    """The state of one drawing: what was read, and what was drawn but not read yet."""

    def __init__(self, network: Network, texts: Ints) -> None:
        self.network, self.shape = network, network.shape
        self.memory = network.remember(texts)
        layers, two, heads, d_head = self.shape.cache
        self.cache: Floats = np.zeros((len(texts), layers, two, heads, 0, d_head), np.float32)
        # [BEGIN] is the code after the last one, at the place after the last cell.
        self.known = np.full((len(texts), 1, self.shape.n_groups), self.shape.n_codes)
        self.known_places = np.array([self.shape.n_cells])

    def draw(self, places: Ints, uniforms: Floats, scale: float, config: SamplingConfig) -> Ints:
        """Draw the cells at `places` (Q,): their codes (B, Q, n_groups)."""
        rows = len(self.known)
        hidden, scores, fresh = self.network.step(
            self.memory,
            self.cache,
            self.known,
            np.repeat(self.known_places[None], rows, 0),
            np.repeat(places[None], rows, 0),
            self._masks(),
        )
        self.cache = np.concatenate([self.cache, fresh], axis=4)
        codes = np.zeros((rows // 2, len(places), 0), np.int64)
        for group in range(self.shape.n_groups):
            if group:
                scores = self.network.later_scores(hidden, np.concatenate([codes, codes]))
            conditional, unconditional = np.split(scores, 2)
            mixed = guided(conditional, unconditional, scale)
            temperature = config.detail_temperature if group else config.temperature
            code = draw(mixed, uniforms[..., group], temperature, config.top_p)
            codes = np.concatenate([codes, code[..., None]], axis=-1)
        self.known, self.known_places = np.concatenate([codes, codes]), places
        return codes

    def _masks(self) -> Bools:
        """What each cell that is read now may see, (n_content_layers, K, P + K)."""
        past, now = self.cache.shape[4], len(self.known_places)
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
