"""The library: every usable drawing with its concept, its colour and its picture at any size.

Drawings are rendered once at 128 px, and at 256 px for larger pictures, so that a training step
only scales and composes (see pictures.py).
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Pixels
from limner.data.colours import Tint, tint_of
from limner.data.emoji import art, splits, words
from limner.data.emoji.art import Drawing
from limner.data.emoji.concepts import (
    Concept,
    join,
    load_concepts,
    reason_to_skip,
    weight,
)
from limner.data.emoji.pictures import PictureStore, digest, resized
from limner.errors import DataError
from limner.progress import StepProgress
from limner.storage import files

BASE_PX = 128  # analysis, and every picture up to this size
LARGE_PX = 256
# Their colour is that of a disc behind the thing, so it is neither said nor changed.
_ON_A_GROUND = frozenset({"streamline-kameleon-color"})
_FORMAT = 4  # of the facts file; raise it when box, tint or digest change


@dataclass(frozen=True)
class Entry:
    """One drawing, ready to be placed in a scene."""

    drawing: Drawing
    concept: Concept
    box: tuple[float, float, float, float]  # left, top, right, bottom of what is visible, 0..1
    tint: Tint
    weight: float
    is_thing: bool  # may be counted and placed next to others

    @property
    def is_tintable(self) -> bool:
        """Whether it may be recoloured; people keep their skin colour."""
        return self.is_thing and self.tint.can_change and self.concept.group != "people-body"

    @property
    def free_colour(self) -> str | None:
        """Its own colour, if it may be said in training although that colour is held out.

        Not in further art: a blue banana, and it has many, would show what is held out.
        """
        return None if self.drawing.artist in art.FURTHER_ARTISTS else self.tint.natural

    @property
    def extent(self) -> float:
        """The longer visible side, as a fraction of the drawing's square."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


@dataclass(frozen=True)
class _Facts:
    """Facts about a drawing's render."""

    box: tuple[float, float, float, float]
    tint: Tint
    digest: str  # of the pixels, to find duplicates


class _Set:
    """One artist's drawings with their renders and facts, kept together whichever are used.

    The files depend only on the artist's drawings: changes of words or of skipped drawings need no
    new rendering.
    """

    def __init__(self, drawings: Sequence[Drawing], folder: Path | None) -> None:
        self.drawings, self._folder = drawings, folder
        self.base = PictureStore(drawings, BASE_PX, folder)
        self._large: PictureStore | None = None

    @property
    def large(self) -> PictureStore:
        if self._large is None:
            self._large = PictureStore(self.drawings, LARGE_PX, self._folder)
        return self._large

    def facts(self, rows: Iterable[int]) -> dict[int, _Facts]:
        """Box, colour and digest of the given rows; computed once and cached."""
        path = None
        known: dict[int, _Facts] = {}
        if self._folder is not None:
            path = self._folder / f"facts-{_FORMAT}-{digest(self.drawings)}.json"
            known = _read_facts(path)
        fresh = {row: _look(self.base[row]) for row in rows if row not in known}
        known |= fresh
        if path is not None and fresh:
            table = {str(row): asdict(fact) for row, fact in sorted(known.items())}
            files.write_whole(path, json.dumps(table).encode())
        return known


def _read_facts(path: Path) -> dict[int, _Facts]:
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {
            int(row): _Facts(tuple(fact["box"]), Tint(**fact["tint"]), fact["digest"])
            for row, fact in table.items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # missing, or of another format: compute again


def _look(picture: Pixels) -> _Facts:
    n_px = picture.shape[0]
    visible = picture[..., 3] > 24
    if not visible.any():
        visible = picture[..., 3] > 0
    columns, rows = np.flatnonzero(visible.any(0)), np.flatnonzero(visible.any(1))
    box = (columns[0] / n_px, rows[0] / n_px, (columns[-1] + 1) / n_px, (rows[-1] + 1) / n_px)
    left, top, right, bottom = (float(side) for side in box)
    digest = hashlib.sha256(picture.tobytes()).hexdigest()[:20]
    return _Facts((left, top, right, bottom), tint_of(picture), digest)


class Library:
    """All usable drawings; scenes are made from it."""

    def __init__(
        self,
        entries: Sequence[Entry],
        concepts: Mapping[str, Concept],
        renders: Sequence[tuple[_Set, int]],
        skipped: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.entries = tuple(entries)
        self.concepts = concepts
        self.skipped = tuple(skipped)  # (drawing id, reason)
        self.index_from_id = {entry.drawing.id: index for index, entry in enumerate(self.entries)}
        self.labels = frozenset(
            words.clean_english(concept.labels["en"]).lower() for concept in concepts.values()
        )
        self._renders = tuple(renders)  # of each entry: its artist's set and the row there
        self._pools: dict[
            tuple[str, str, str | None], tuple[NDArray[np.int64], NDArray[np.float64]]
        ] = {}

    @classmethod
    def open(
        cls,
        data: Path,
        artists: tuple[str, ...] = art.ARTISTS,
        workers: int = 1,
        report: StepProgress | None = None,
    ) -> "Library":
        """The library of the open art under `data` (LIMNER_HOME/data); renders what is missing.

        Raises DataError if the packages are not there.
        """
        packages = data / "npm"
        concepts = load_concepts(packages / "emojibase-data")
        drawings, everything = join(
            art.load(packages, artists), concepts, packages / "emojibase-data"
        )
        return cls.from_drawings(drawings, everything, data / "renders", workers, report)

    @classmethod
    def from_drawings(
        cls,
        drawings: Iterable[Drawing],
        concepts: Mapping[str, Concept],
        folder: Path | None = None,
        workers: int = 1,
        report: StepProgress | None = None,
    ) -> "Library":
        """The library of any drawings whose concepts are known; in memory if no folder is given."""
        sets = [_Set(rows, folder) for rows in _by_artist(drawings).values()]
        wanted, skipped = _sorted_out(sets, concepts)
        skipped += _render(wanted, workers, report)
        seen = [
            (one, row, facts[row])
            for one, rows in wanted
            for facts in [one.facts(rows)]
            for row in rows
        ]
        kept, duplicates = _without_duplicates(seen, concepts)
        entries = [_entry(one.drawings[row], concepts, facts) for one, row, facts in kept]
        renders = [(one, row) for one, row, _ in kept]
        return cls(entries, concepts, renders, skipped + duplicates)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, drawing_id: str) -> Entry:
        try:
            return self.entries[self.index_from_id[drawing_id]]
        except KeyError:
            raise DataError(
                f"The drawing {drawing_id} is not in the library ({len(self)} drawings)",
                hint="Run `limner data build` with the versions that the scene was made with.",
            ) from None

    def picture(self, index: int, px: int) -> Pixels:
        """A whole drawing, premultiplied RGBA, shape (px, px, 4), scaled down by area."""
        one, row = self._renders[index]
        if px <= LARGE_PX:
            return resized((one.base if px <= BASE_PX else one.large)[row], px)
        return art.render(self.entries[index].drawing.svg, px)

    def choose(
        self, rng: np.random.Generator, split: str, kind: str, artist: str | None = None
    ) -> int | None:
        """The index of a random drawing of a split, by weight; None if there is none.

        `kind` is "any", "thing" (may be counted and placed) or "tintable" (a thing that may be
        recoloured).
        """
        key = (split, kind, artist)
        if key not in self._pools:
            self._pools[key] = self._pool(*key)
        members, sums = self._pools[key]
        if not len(members):
            return None
        return int(members[np.searchsorted(sums, rng.random() * sums[-1], side="right")])

    def _pool(
        self, split: str, kind: str, artist: str | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        members = np.array(
            [
                index
                for index, entry in enumerate(self.entries)
                if splits.belongs(split, entry.drawing.artist, entry.concept)
                and (artist is None or entry.drawing.artist == artist)
                and (kind == "any" or entry.is_thing)
                and (kind != "tintable" or entry.is_tintable)
            ],
            np.int64,
        )
        return members, np.cumsum([self.entries[index].weight for index in members])


def _by_artist(drawings: Iterable[Drawing]) -> dict[str, list[Drawing]]:
    by_artist: dict[str, list[Drawing]] = {}
    for drawing in drawings:
        by_artist.setdefault(drawing.artist, []).append(drawing)
    return by_artist


Skipped = list[tuple[str, str]]
Selection = list[tuple[_Set, list[int]]]
_Candidate = tuple[_Set, int, _Facts]


def _sorted_out(sets: Iterable[_Set], concepts: Mapping[str, Concept]) -> tuple[Selection, Skipped]:
    """The rows of each set to use, and the skipped drawings with reasons."""
    wanted: Selection = []
    skipped: Skipped = []
    held_out = splits.held_out_names(concepts.values())
    for one in sets:
        reasons = [
            _reason(drawing, concepts[drawing.concept], held_out) for drawing in one.drawings
        ]
        wanted.append((one, [row for row, reason in enumerate(reasons) if reason is None]))
        skipped += [
            (drawing.id, reason)
            for drawing, reason in zip(one.drawings, reasons, strict=True)
            if reason is not None
        ]
    return wanted, skipped


def _reason(drawing: Drawing, concept: Concept, held_out: re.Pattern[str]) -> str | None:
    is_own_thing = drawing.artist in art.FURTHER_ARTISTS and concept.key.startswith("name:")
    if is_own_thing and held_out.search(concept.labels["en"]):
        return "it names a held-out concept"
    return reason_to_skip(drawing, concept)


def _render(wanted: Selection, workers: int, report: StepProgress | None) -> Skipped:
    """Render every wanted row; removes those that cannot be rendered from `wanted`."""
    failed: Skipped = []
    n_before, n_all = 0, sum(len(rows) for _, rows in wanted)
    for one, rows in wanted:

        def tell(done: int, _: int, before: int = n_before) -> None:
            if report is not None:
                report(before + done, n_all)

        failures = one.base.fill(rows, workers, tell)
        n_before += len(rows)
        failed += [(one.drawings[row].id, reason) for row, reason in failures.items()]
        rows[:] = [row for row in rows if row not in failures]
    return failed


def _without_duplicates(
    seen: Sequence[_Candidate], concepts: Mapping[str, Concept]
) -> tuple[list[_Candidate], Skipped]:
    """Drop duplicates; prefers an emoji to a named idea, and training art to the judge's.

    Further art comes last: whichever is added, the rest of the library stays the same.
    """

    def rank(index: int) -> tuple[bool, bool, bool, int]:
        one, row, _ = seen[index]
        drawing = one.drawings[row]
        named = drawing.concept.startswith("name:")
        return (
            drawing.artist in art.FURTHER_ARTISTS,
            drawing.artist in art.JUDGE_ARTISTS,
            named or concepts[drawing.concept].gender,
            index,
        )

    kept: dict[str, int] = {}
    duplicates: Skipped = []
    for index in sorted(range(len(seen)), key=rank):
        first = kept.setdefault(seen[index][2].digest, index)
        if first != index:
            names = [seen[which][0].drawings[seen[which][1]].id for which in (index, first)]
            duplicates.append((names[0], f"the same picture as {names[1]}"))
    return [seen[index] for index in sorted(kept.values())], duplicates


def _entry(drawing: Drawing, concepts: Mapping[str, Concept], facts: _Facts) -> Entry:
    concept = concepts[drawing.concept]
    tint = facts.tint
    if drawing.artist in _ON_A_GROUND:
        tint = replace(tint, share=0.0, natural=None)
    return Entry(drawing, concept, facts.box, tint, weight(concept), words.is_countable(concept))
