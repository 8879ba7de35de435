"""The library: every usable drawing with its concept, its colour and its picture at any size.

Drawings are rendered once at 128 px (and at 256 px when larger pictures are asked for) into one
file each, a memory map under the data folder, so that a training step only scales and composes.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.data import art, splits, words
from limner.data.art import Drawing
from limner.data.colours import Tint, tint_of
from limner.data.concepts import Concept, join, load_concepts, reason_to_skip, weight
from limner.errors import DataError

BASE_PX = 128  # analysis, and every picture up to this size
LARGE_PX = 256
_FORMAT = 3  # of the analysis file; raise it when box, tint or digest change

Pixels = NDArray[np.uint8]
Report = Callable[[int, int], None]  # rendered so far, of how many


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
        """Whether it may be painted in another colour; people keep the colour of their skin."""
        return self.is_thing and self.tint.can_change and self.concept.group != "people-body"

    @property
    def extent(self) -> float:
        """The longer visible side, as a fraction of the drawing's square."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


class PictureStore:
    """Renders of a list of drawings at one size, kept in a file or, without a folder, in memory."""

    def __init__(self, drawings: Sequence[Drawing], px: int, folder: Path | None) -> None:
        self.px = px
        self._drawings = drawings
        shape = (len(drawings), px, px, 4)
        if folder is None:
            self._pictures = np.zeros(shape, np.uint8)
            self._done = np.zeros(len(drawings), np.uint8)
            return
        stem = f"renders-{px}-{_digest(drawings)}"
        self._pictures = _open_array(folder / f"{stem}.npy", shape)
        self._done = _open_array(folder / f"{stem}-done.npy", (len(drawings),))

    def __getitem__(self, index: int) -> Pixels:
        """Premultiplied RGBA, shape (px, px, 4); rendered now if it was not yet."""
        if not self._done[index]:
            self._keep(index, art.render(self._drawings[index].svg, self.px))
        picture: Pixels = self._pictures[index]
        return picture

    def _keep(self, index: int, picture: Pixels) -> None:
        self._pictures[index] = picture
        self._done[index] = 1

    def fill(self, workers: int = 1, report: Report | None = None) -> dict[int, str]:
        """Renders what is missing; returns the reason for each drawing that cannot be rendered."""
        missing = [int(index) for index in np.flatnonzero(self._done == 0)]
        failures: dict[int, str] = {}
        chunks = [missing[start : start + 64] for start in range(0, len(missing), 64)]
        jobs = [([self._drawings[index].svg for index in chunk], self.px) for chunk in chunks]
        n_done = len(self._drawings) - len(missing)
        for chunk, pictures in zip(chunks, _render_all(jobs, workers), strict=True):
            for index, picture in zip(chunk, pictures, strict=True):
                if isinstance(picture, str):
                    failures[index] = picture
                else:
                    self._keep(index, picture)
            n_done += len(chunk)
            if report is not None:
                report(n_done, len(self._drawings))
        return failures


def _render_all(jobs: list[tuple[list[str], int]], workers: int) -> Iterable[list[Pixels | str]]:
    if workers <= 1 or len(jobs) <= 1:
        yield from map(_render_chunk, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_render_chunk, jobs)


def _render_chunk(job: tuple[list[str], int]) -> list[Pixels | str]:
    svgs, px = job
    pictures: list[Pixels | str] = []
    for svg in svgs:
        try:
            pictures.append(art.render(svg, px))
        except DataError as error:
            pictures.append(error.message)
    return pictures


def _digest(drawings: Sequence[Drawing]) -> str:
    state = hashlib.sha256()
    for drawing in drawings:
        state.update(f"{drawing.id}\0{len(drawing.svg)}\0".encode())
        state.update(drawing.svg.encode())
    return state.hexdigest()[:12]


def _open_array(path: Path, shape: tuple[int, ...]) -> Pixels:
    """A writable memory map of zeros, made if it is not there (or was cut off while being made)."""
    if path.exists():
        try:
            kept: Pixels = np.load(path, mmap_mode="r+")
            if kept.shape == shape:
                return kept
        except (OSError, ValueError):
            pass  # a file cut short by a crash is made again
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.part")
        np.lib.format.open_memmap(fresh, "w+", np.uint8, shape)
        os.replace(fresh, path)
        made: Pixels = np.load(path, mmap_mode="r+")
    except OSError as error:
        raise DataError(
            f"The rendered drawings cannot be kept in {path}: {error}",
            hint="Free some disk space, or set LIMNER_HOME to a folder with room for 2 GB.",
        ) from error
    return made


class Library:
    """All usable drawings; scenes are made from it."""

    def __init__(
        self,
        entries: Sequence[Entry],
        concepts: Mapping[str, Concept],
        pictures: PictureStore,
        large: Callable[[], PictureStore],
        rows: Sequence[int],
        skipped: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.entries = tuple(entries)
        self.concepts = concepts
        self.skipped = tuple(skipped)  # (drawing id, reason)
        self.index_from_id = {entry.drawing.id: index for index, entry in enumerate(self.entries)}
        self.labels = frozenset(
            words.clean_english(concept.labels["en"]).lower() for concept in concepts.values()
        )
        self._pictures, self._make_large, self._rows = pictures, large, tuple(rows)
        self._large: PictureStore | None = None
        self._pools: dict[
            tuple[str, str, str | None], tuple[NDArray[np.int64], NDArray[np.float64]]
        ] = {}

    @classmethod
    def open(
        cls,
        data: Path,
        artists: tuple[str, ...] = art.ARTISTS,
        workers: int = 1,
        report: Report | None = None,
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
        report: Report | None = None,
    ) -> "Library":
        """The library of any drawings whose concepts are known; in memory if no folder is given."""
        skipped: list[tuple[str, str]] = []
        usable: list[Drawing] = []
        for drawing in drawings:
            reason = reason_to_skip(drawing, concepts[drawing.concept])
            if reason is None:
                usable.append(drawing)
            else:
                skipped.append((drawing.id, reason))
        pictures = PictureStore(usable, BASE_PX, folder)
        failures = pictures.fill(workers, report)
        skipped += [(usable[index].id, reason) for index, reason in failures.items()]
        facts = _facts(usable, pictures, frozenset(failures), folder)
        rows, duplicates = _without_duplicates(usable, facts, concepts)
        skipped += duplicates
        entries = [_entry(usable[row], concepts[usable[row].concept], facts[row]) for row in rows]
        return cls(
            entries,
            concepts,
            pictures,
            lambda: PictureStore(usable, LARGE_PX, folder),
            rows,
            skipped,
        )

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
        if px <= BASE_PX:
            return resized(self._pictures[self._rows[index]], px)
        if px <= LARGE_PX:
            if self._large is None:
                self._large = self._make_large()
            return resized(self._large[self._rows[index]], px)
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


def resized(picture: Pixels, px: int) -> Pixels:
    """A square premultiplied picture scaled to (px, px, 4): by area wherever that is exact."""
    n_px = picture.shape[0]
    if n_px == px:
        return np.array(picture)
    # "CMYK" is Pillow's one mode of four equal channels: nothing is premultiplied a second time.
    image = Image.frombuffer(
        "CMYK", (n_px, n_px), np.ascontiguousarray(picture), "raw", "CMYK", 0, 1
    )
    if n_px % px == 0:
        return np.asarray(image.reduce(n_px // px))  # the same as BOX, three times as fast
    # BOX at a ratio such as 128:120 makes steps in slanting edges; HAMMING does not.
    how = Image.Resampling.HAMMING if px < n_px else Image.Resampling.BICUBIC
    return np.asarray(image.resize((px, px), how))


@dataclass(frozen=True)
class _Facts:
    box: tuple[float, float, float, float]
    tint: Tint
    digest: str  # of the pixels: equal pictures under two names are found by it


def _facts(
    drawings: Sequence[Drawing], pictures: PictureStore, failed: frozenset[int], folder: Path | None
) -> dict[int, _Facts]:
    path = None if folder is None else folder / f"facts-{_FORMAT}-{_digest(drawings)}.json"
    if path is not None and path.exists():
        try:
            return _facts_from_json(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError):
            pass  # cut short by a crash: look again
    facts = {index: _look(pictures[index]) for index in range(len(drawings)) if index not in failed}
    if path is not None:
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(
            json.dumps({str(index): asdict(fact) for index, fact in facts.items()}),
            encoding="utf-8",
        )
        os.replace(part, path)
    return facts


def _facts_from_json(table: dict[str, Any]) -> dict[int, _Facts]:
    return {
        int(index): _Facts(tuple(row["box"]), Tint(**row["tint"]), row["digest"])
        for index, row in table.items()
    }


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


def _without_duplicates(
    drawings: Sequence[Drawing], facts: Mapping[int, _Facts], concepts: Mapping[str, Concept]
) -> tuple[list[int], list[tuple[str, str]]]:
    """Keeps one of each picture; an emoji before a named idea, training art before the judge's."""

    def rank(row: int) -> tuple[bool, bool, int]:
        drawing = drawings[row]
        named = drawing.concept.startswith("name:")
        return (drawing.artist in art.JUDGE_ARTISTS, named or concepts[drawing.concept].gender, row)

    kept: dict[str, int] = {}
    duplicates = []
    for row in sorted(facts, key=rank):
        first = kept.setdefault(facts[row].digest, row)
        if first != row:
            duplicates.append((drawings[row].id, f"the same picture as {drawings[first].id}"))
    return sorted(kept.values()), duplicates


def _entry(drawing: Drawing, concept: Concept, facts: _Facts) -> Entry:
    return Entry(
        drawing, concept, facts.box, facts.tint, weight(concept), words.is_countable(concept)
    )
