"""Tiles: codes of single drawings, of which scenes are composed without rendering.

A tile is a drawing in a colour on a background, in a box of cells. On a clear ground, composed
codes are nearly as good as those of the composed picture: 27.1 dB instead of 28.0 by the decoder of
the shipped weights (docs/experiments.md). A thing has the same codes in every position, unlike in a
picture that is encoded as a whole.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limner.arrays import Bools
from limner.data import colours
from limner.data.emoji import splits
from limner.data.emoji.library import Library
from limner.data.scenes import (
    ObjectSpec,
    SceneSpec,
    colours_allowed,
    render_scene,
)
from limner.model.image_tokenizer import ImageTokenizer
from limner.planning.layout import Layout
from limner.progress import StageProgress
from limner.storage.files import wrap_os_errors, write_whole
from limner.training.tasks.image_tokenizer import to_tensor

Codes = NDArray[np.uint16]

_BATCH = 32
CLEAR = "transparent"


@dataclass(frozen=True)
class Tile:
    """The content of a tile."""

    index: int  # of the drawing in the library
    colour: str | None
    background: str
    side: int  # cells

    def spec(self, library: Library) -> SceneSpec:
        """The scene of the tile alone."""
        entry = library.entries[self.index]
        item = ObjectSpec(entry.drawing.id, entry.concept.key, colour=self.colour)
        return SceneSpec((item,), self.background, artist=entry.drawing.artist)


@dataclass(frozen=True)
class TileConfig:
    """How many tiles are made, by the side of their boxes in cells."""

    clear: tuple[tuple[int, int], ...] = (
        (8, 2500), (10, 2500), (12, 5000), (14, 1500), (16, 2500), (20, 1200), (24, 2400),
    )  # fmt: skip
    coloured: tuple[tuple[int, int], ...] = (  # before each of the eleven backgrounds
        (8, 220), (10, 220), (12, 1200), (14, 60), (16, 160), (20, 60), (24, 90),
    )  # fmt: skip
    every_single: int = 12  # at this side every drawing has a tile besides
    sides: tuple[int, ...] = (8, 10, 12, 14, 16, 20, 24)  # those that are used
    painted: float = 0.3  # share of the tiles that are in a colour not their own


def choose_tiles(
    library: Library, config: TileConfig, weight: Callable[[int], float], seed: int = 0
) -> list[Tile]:
    """Choose the tiles of the training split; drawings are drawn by `weight`."""
    rng = np.random.default_rng(seed)
    known = [
        i for i, e in enumerate(library.entries)
        if splits.belongs("train", e.drawing.artist, e.concept)
    ]  # fmt: skip
    things = [i for i in known if library.entries[i].is_thing]
    sums = np.cumsum([weight(i) for i in things])
    tiles = dict.fromkeys(Tile(i, None, CLEAR, config.every_single) for i in known)
    wanted = [(CLEAR, side, n) for side, n in config.clear]
    wanted += [(name, side, n) for name in colours.NAMES for side, n in config.coloured]
    for background, side, n in wanted:
        for _ in range(n):
            at = np.searchsorted(sums, rng.random() * sums[-1], side="right")
            tile = _painted(rng, library, things[min(int(at), len(things) - 1)], background, side,
                            config.painted)  # fmt: skip
            if tile is not None:
                tiles.setdefault(tile)
    return [tile for tile in tiles if tile.side in config.sides]


def _painted(
    rng: np.random.Generator, library: Library, index: int, background: str, side: int, share: float
) -> Tile | None:
    """A tile that may be seen in training and does not disappear into its background."""
    entry = library.entries[index]
    colour = None
    if rng.random() < share and colours_allowed(entry):
        own = entry.tint.natural
        others = [name for name in colours.NAMES if name != own] if entry.is_tintable else []
        names = ([own] if own is not None and rng.random() < 0.2 else []) or others
        if names:
            colour = names[int(rng.integers(len(names)))]
            noun = splits_noun(library, index)
            if colour != entry.free_colour and (
                splits.is_held_out_colour(noun, colour)
                and f"{colour} {noun}".lower() not in library.labels
            ):
                return None
    if background != CLEAR and (background == colour if colour else entry.tint.is_near(background)):
        return None
    return Tile(index, colour, background, side)


def splits_noun(library: Library, index: int) -> str:
    """The English noun by which held-out colours are known."""
    from limner.data.emoji.words import noun_without_colour

    return noun_without_colour(library.entries[index].concept, "en") or ""


class Bank:
    """Tiles with their codes; scenes are composed of them."""

    def __init__(
        self, tiles: list[Tile], codes: dict[int, Codes], filled: dict[int, Bools]
    ) -> None:
        """codes, filled: by side, (n, side * side, n_groups) and (n, side * side), in order."""
        self.tiles = tiles
        counts: dict[int, int] = {}
        self._row: dict[Tile, int] = {}
        for tile in tiles:
            self._row[tile] = counts.get(tile.side, 0)
            counts[tile.side] = self._row[tile] + 1
        self._codes, self._filled = codes, filled
        self.ground = {
            name: _commonest(
                [self.codes(t) for t in tiles if t.background == name and t.side == 12]
                or [self.codes(t) for t in tiles if t.background == name]
            )
            for name in {t.background for t in tiles}
        }

    def codes(self, tile: Tile) -> Codes:
        """(side * side, n_groups)."""
        codes: Codes = self._codes[tile.side][self._row[tile]]
        return codes

    def filled(self, tile: Tile) -> Bools:
        """(side * side,), True where something is visible."""
        filled: Bools = self._filled[tile.side][self._row[tile]]
        return filled

    def __contains__(self, tile: Tile) -> bool:
        return tile in self._row

    def compose(
        self, layout: Layout, tiles: list[Tile], background: str
    ) -> tuple[Codes, Bools, int]:
        """Codes (n_cells, n_groups) of tiles in a layout's boxes, which cells are filled, and how
        many cells hide something that is filled too, which is not seen through.
        """
        n_groups = self.ground[background].shape[-1]
        codes = np.empty((layout.rows, layout.columns, n_groups), np.uint16)
        codes[...] = self.ground[background]
        filled = np.zeros((layout.rows, layout.columns), bool)
        n_hidden = 0
        for thing, tile in zip(layout.things, tiles, strict=True):
            box = thing.box
            area = (slice(box.y, box.y + box.height), slice(box.x, box.x + box.width))
            own = self.filled(tile).reshape(box.height, box.width)
            there = filled[area].copy()
            n_hidden += int((own & there).sum())
            write = own | ~there
            codes[area][write] = self.codes(tile).reshape(box.height, box.width, n_groups)[write]
            filled[area] = own | there
        return codes.reshape(-1, n_groups), filled.ravel(), n_hidden


def _commonest(tiles: list[Codes]) -> Codes:
    """The code row that is at most corners of tiles."""
    corners = np.concatenate([t[[0, -1]] for t in tiles])
    rows, counts = np.unique(corners, axis=0, return_counts=True)
    best: Codes = rows[counts.argmax()]
    return best


def encode_tiles(
    tiles: list[Tile],
    library: Library,
    tokenizer: ImageTokenizer,
    folder: Path,
    report: StageProgress,
) -> Bank:
    """A bank of tiles. Codes of the same tokenizer are read from the folder, and kept there."""
    codes: dict[int, Codes] = {}
    filled: dict[int, Bools] = {}
    for side in sorted({tile.side for tile in tiles}):
        some = [tile for tile in tiles if tile.side == side]
        kept = folder / f"tiles-{side}-{_fingerprint(some, library, tokenizer)}.npz"
        if not kept.exists():
            made = _encoded(some, library, tokenizer, side, report)
            buffer = io.BytesIO()
            np.savez(buffer, codes=made[0], filled=made[1])
            with wrap_os_errors(kept):
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_whole(kept, buffer.getvalue())
        with np.load(kept) as arrays:
            codes[side], filled[side] = arrays["codes"], arrays["filled"]
    return Bank(tiles, codes, filled)


def _fingerprint(tiles: list[Tile], library: Library, tokenizer: ImageTokenizer) -> str:
    digest = hashlib.sha256()
    for tile in tiles:
        digest.update(tile.spec(library).to_json().encode())
    for value in tokenizer.encoder.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


@torch.no_grad()
def _encoded(
    tiles: list[Tile], library: Library, tokenizer: ImageTokenizer, side: int, report: StageProgress
) -> tuple[Codes, Bools]:
    px = side * (tokenizer.config.image_px // tokenizer.config.grid)
    device = next(tokenizer.parameters()).device
    codes, filled = [], []
    for start in range(0, len(tiles), _BATCH):
        some = [tile.spec(library) for tile in tiles[start : start + _BATCH]]
        pictures = np.stack([render_scene(spec, library, px) for spec in some])
        found = tokenizer.encode(to_tensor(pictures).to(device))
        codes.append(found.cpu().numpy().astype(np.uint16))
        bare = [replace(spec, background=CLEAR) for spec in some]
        seen = np.stack([render_scene(spec, library, px)[..., 3] > 8 for spec in bare])
        cell = px // side
        filled.append(seen.reshape(-1, side, cell, side, cell).any((2, 4)).reshape(len(some), -1))
        report(f"encoding tiles of {side}", start + len(some), len(tiles))
    return np.concatenate(codes), np.concatenate(filled)
