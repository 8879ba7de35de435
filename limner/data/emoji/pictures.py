"""A cache of rendered drawings: each is rendered once per size.

A set of drawings has one file per size, a memory map with a row for each drawing, and beside it a
byte for each drawing: whether its row is filled. Unused rows take no disk space.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from limner.arrays import Pixels
from limner.data.emoji import art
from limner.data.emoji.art import Drawing
from limner.errors import DataError
from limner.progress import StepProgress

_CHUNK = 64  # drawings a process renders before it reports


class PictureStore:
    """Renders of a list of drawings at one size, in a file or, without a folder, in memory."""

    def __init__(self, drawings: Sequence[Drawing], px: int, folder: Path | None) -> None:
        self.px = px
        self._drawings = drawings
        shape = (len(drawings), px, px, 4)
        if folder is None:
            self._pictures = np.zeros(shape, np.uint8)
            self._done = np.zeros(len(drawings), np.uint8)
            return
        stem = f"renders-{px}-{digest(drawings)}"
        self._pictures = _open_array(folder / f"{stem}.npy", shape)
        self._done = _open_array(folder / f"{stem}-done.npy", (len(drawings),))

    def __getitem__(self, row: int) -> Pixels:
        """Premultiplied RGBA, shape (px, px, 4); rendered now if it was not yet."""
        if not self._done[row]:
            self._keep(row, art.render(self._drawings[row].svg, self.px))
        picture: Pixels = self._pictures[row]
        return picture

    def _keep(self, row: int, picture: Pixels) -> None:
        self._pictures[row] = picture
        self._done[row] = 1

    def missing(self, rows: Iterable[int]) -> list[int]:
        """Those of `rows` that are not rendered yet."""
        return [row for row in rows if not self._done[row]]

    def fill(
        self, rows: Iterable[int], workers: int = 1, report: StepProgress | None = None
    ) -> dict[int, str]:
        """Render the missing `rows`; returns the reason for each that cannot be rendered."""
        wanted = list(rows)
        missing = self.missing(wanted)
        failures: dict[int, str] = {}
        chunks = [missing[start : start + _CHUNK] for start in range(0, len(missing), _CHUNK)]
        jobs = [([self._drawings[row].svg for row in chunk], self.px) for chunk in chunks]
        n_done = len(wanted) - len(missing)
        for chunk, pictures in zip(chunks, _render_all(jobs, workers), strict=True):
            for row, picture in zip(chunk, pictures, strict=True):
                if isinstance(picture, str):
                    failures[row] = picture
                else:
                    self._keep(row, picture)
            n_done += len(chunk)
            if report is not None:
                report(n_done, len(wanted))
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


def digest(drawings: Sequence[Drawing]) -> str:
    """A digest of the drawings, to recognise their renders."""
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
