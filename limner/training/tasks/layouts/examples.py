"""Examples for the transformer that draws layouts: scenes composed of tiles, anew at every step."""

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from limner.data import colours, layouts
from limner.data.emoji.library import Library
from limner.data.layouts import Described
from limner.data.scenes import (
    RELATIONS,
    ObjectSpec,
    SceneSpec,
    is_allowed,
)
from limner.errors import DataError
from limner.planning.layout import Box
from limner.training.tasks.examples import shown_number
from limner.training.tasks.layouts.tiles import (
    CLEAR,
    Bank,
    Codes,
    Tile,
)

_TRIES = 400
_GROUP_WEIGHTS = {"people-body": 0.4, "symbols": 0.5}  # many, much alike, and seldom asked for
_MOST_HIDDEN = 6  # cells that may hide a part of another thing, as an edge that touches does


@dataclass(frozen=True)
class Example:
    """A picture as the input of the transformer."""

    described: Described
    codes: Codes  # (n_cells, n_groups), row-major
    filled: NDArray[np.bool_]  # (n_cells,), False where only the ground is seen
    concept: int  # equal where two pictures show the same


Rows = list[tuple[Tile, tuple[Box, ...]]]  # tiles, each with the boxes it stands in
Made = tuple[SceneSpec, list[Tile]]


@dataclass(frozen=True)
class SceneMix:
    """How often each kind of scene is made; the shares are relative."""

    single: float = 0.36  # one thing at any place, of any size
    related: float = 0.32
    counted: float = 0.14
    listed: float = 0.18
    # The starting weights know boxes of 12 cells, so other sizes have higher shares than in use.
    sides: tuple[tuple[int, float], ...] = (
        (12, 0.5), (10, 0.15), (8, 0.12), (14, 0.12), (16, 0.11),
    )  # fmt: skip
    single_sides: tuple[tuple[int, float], ...] = (
        (24, 0.4), (20, 0.15), (16, 0.17), (12, 0.14), (10, 0.07), (8, 0.07),
    )  # fmt: skip
    coloured: float = 0.15  # share of scenes before a background
    one_artist: float = 0.92


class ExampleSource(Protocol):
    """A source of examples."""

    def example(self, rng: np.random.Generator, is_scene: bool) -> Example:
        """A random example: a scene, or a thing that fills a smaller canvas."""


class TileExamples:
    """Random examples of training tiles, or of tiles of a held-out split."""

    def __init__(
        self,
        library: Library,
        bank: Bank,
        weights: dict[str, float],
        canvas: int = 24,
        single: int = 12,
        mix: SceneMix | None = None,
        split: str = "train",
    ) -> None:
        """weights: how often a drawing of each artist is wanted; canvas, single: cells along a
        side.
        """
        self.library, self.bank, self.split = library, bank, split
        self.canvas, self.single, self.mix = canvas, single, mix or SceneMix()
        # An artist of few drawings comes as much less often, so that no drawing comes too often.
        n_drawings = Counter(
            library.entries[i].drawing.artist for i in {tile.index for tile in bank.tiles}
        )
        self._artists = list(weights)
        self._sums = np.cumsum([weights[a] * n_drawings[a] for a in self._artists])
        self._pools: dict[tuple[str, int, str, bool], list[Tile]] = {}
        self._singles: list[Tile] = []
        for tile in bank.tiles:
            artist = library.entries[tile.index].drawing.artist
            self._pools.setdefault((tile.background, tile.side, artist, False), []).append(tile)
            if library.entries[tile.index].is_thing:
                self._pools.setdefault((tile.background, tile.side, artist, True), []).append(tile)
            if tile.side == single:
                self._singles.append(tile)
        shares = [self._share(tile, weights) for tile in self._singles]
        self._single_sums = np.cumsum(shares)

    def _share(self, tile: Tile, weights: dict[str, float]) -> float:
        """Shares of tiles: plain ones by weight; the others were chosen by weight already."""
        entry = self.library.entries[tile.index]
        wanted = weights.get(entry.drawing.artist, 0.0)
        if tile.background == CLEAR and tile.colour is None:
            return wanted * entry.weight * _GROUP_WEIGHTS.get(entry.concept.group, 1.0)
        return 0.7

    def example(self, rng: np.random.Generator, is_scene: bool) -> Example:
        """See `ExampleSource`."""
        return self._scene(rng) if is_scene else self._alone(rng)

    def _alone(self, rng: np.random.Generator) -> Example:
        at = np.searchsorted(self._single_sums, rng.random() * self._single_sums[-1], side="right")
        tile = self._singles[min(int(at), len(self._singles) - 1)]
        made = self._made(rng, tile.spec(self.library), [tile], self.single)
        assert made is not None, "one box hides nothing"
        return made

    def _scene(self, rng: np.random.Generator) -> Example:
        mix = self.mix
        kinds = (self._one, self._related, self._counted, self._listed)
        sums = np.cumsum([mix.single, mix.related, mix.counted, mix.listed])
        for _ in range(_TRIES):
            kind = kinds[int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))]
            clear = rng.random() >= mix.coloured
            ground = CLEAR if clear else colours.NAMES[int(rng.integers(len(colours.NAMES)))]
            made = kind(rng, ground)
            if made is None:
                continue
            spec, tiles = made
            if is_allowed(spec, self.library, self.split):
                example = self._made(rng, spec, tiles, self.canvas)
                if example is not None:
                    return example
        raise DataError(
            f"No scene of split {self.split} can be made of {len(self.bank.tiles)} tiles"
        )

    def _made(
        self, rng: np.random.Generator, spec: SceneSpec, tiles: list[Tile], canvas: int
    ) -> Example | None:
        """The example of a scene, one tile for each box; None if too much would be hidden."""
        described = layouts.describe(rng, spec, self.library.concepts, canvas, self.split)
        codes, filled, n_hidden = self.bank.compose(described.layout, tiles, spec.background)
        if n_hidden > _MOST_HIDDEN:
            return None
        return Example(described, codes, filled, shown_number(spec))

    # --- kinds of scenes: the scene, and a tile for each box --------------------------------

    def _one(self, rng: np.random.Generator, ground: str) -> Made | None:
        tile = self._tile(rng, ground, _pick(rng, self.mix.single_sides), self._artist(rng), False)
        if tile is None:
            return None
        box = layouts.anywhere(rng, tile.side, self.canvas)
        return self._spec(ground, [(tile, (box,))], "none", rng), [tile]

    def _related(self, rng: np.random.Generator, ground: str) -> Made | None:
        tiles = self._several(rng, ground, 2)
        if tiles is None:
            return None
        relation = RELATIONS[1 + int(rng.integers(len(RELATIONS) - 1))]
        visible = [self.library.entries[tile.index].box for tile in tiles]
        sides = [tile.side for tile in tiles]
        boxes = layouts.related(rng, relation, sides, visible, self.canvas)
        if boxes is None:
            return None
        rows: Rows = [(tile, (box,)) for tile, box in zip(tiles, boxes, strict=True)]
        return self._spec(ground, rows, relation, rng), tiles

    def _counted(self, rng: np.random.Generator, ground: str) -> Made | None:
        tile = self._tile(rng, ground, _pick(rng, self.mix.sides), self._artist(rng), True)
        if tile is None:
            return None
        count = int(rng.integers(2, 5))
        boxes = layouts.apart(rng, [tile.side] * count, self.canvas)
        if boxes is None:
            return None
        return self._spec(ground, [(tile, boxes)], "none", rng), [tile] * count

    def _listed(self, rng: np.random.Generator, ground: str) -> Made | None:
        """Two to four kinds of thing in no stated relation; of two, one may come twice."""
        n_kinds = int(rng.integers(2, 5))
        tiles = self._several(rng, ground, n_kinds)
        if tiles is None:
            return None
        counts = [1] * n_kinds
        if n_kinds == 2:
            counts[int(rng.integers(2))] = int(rng.integers(1, 4))
        every = [tile for tile, count in zip(tiles, counts, strict=True) for _ in range(count)]
        boxes = layouts.apart(rng, [tile.side for tile in every], self.canvas)
        if boxes is None:
            return None
        ends = np.cumsum(counts)
        rows = [(t, boxes[end - n : end]) for t, n, end in zip(tiles, counts, ends, strict=True)]
        return self._spec(ground, rows, "none", rng), every

    def _several(self, rng: np.random.Generator, ground: str, n: int) -> list[Tile] | None:
        """Different things, mostly of one artist."""
        artist = self._artist(rng)
        is_mixed = rng.random() >= self.mix.one_artist
        tiles: list[Tile] = []
        for _ in range(n):
            whose = self._artist(rng) if is_mixed else artist
            tile = self._tile(rng, ground, _pick(rng, self.mix.sides), whose, True)
            if tile is None:
                return None
            tiles.append(tile)
        families = {self.library.entries[tile.index].concept.family for tile in tiles}
        return tiles if len(families) == n else None

    def _tile(
        self, rng: np.random.Generator, ground: str, side: int, artist: str, is_thing: bool
    ) -> Tile | None:
        pool = self._pools.get((ground, side, artist, is_thing), [])
        return pool[int(rng.integers(len(pool)))] if pool else None

    def _artist(self, rng: np.random.Generator) -> str:
        at = np.searchsorted(self._sums, rng.random() * self._sums[-1], side="right")
        return self._artists[min(int(at), len(self._artists) - 1)]

    def _spec(
        self,
        ground: str,
        rows: Rows,
        relation: str,
        rng: np.random.Generator,
    ) -> SceneSpec:
        """The scene of tiles in boxes; where two differ in size, a caption may say so."""
        sides = {tile.side for tile, _ in rows}
        say_size = len(rows) == 2 and max(sides) >= 1.3 * min(sides) and rng.random() < 0.4
        objects = []
        for tile, boxes in rows:
            entry = self.library.entries[tile.index]
            size = ("big" if tile.side == max(sides) else "small") if say_size else None
            places = tuple(layouts.placement(box, self.canvas) for box in boxes)
            objects.append(
                ObjectSpec(entry.drawing.id, entry.concept.key, places, tile.colour, size)
            )
        artists = {layouts.artist_of(item) for item in objects}
        artist = artists.pop() if len(artists) == 1 else ""
        return SceneSpec(tuple(objects), ground, relation, artist)


def _pick(rng: np.random.Generator, shares: tuple[tuple[int, float], ...]) -> int:
    """A random value by its share."""
    sums = np.cumsum([share for _, share in shares])
    return shares[int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))][0]
