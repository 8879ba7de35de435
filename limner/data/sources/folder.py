"""A folder of one's own pictures as training data.

Captions are beside each picture in a text file of the same name (one caption per line), or for all
in `captions.jsonl` at the top: {"file": "cats/tom.png", "text": "a grey cat"}, where "text" may be
a list. Pictures are fitted into a transparent square.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limner.data.sources.base import Sample, captions_from_text, check_index
from limner.errors import DataError
from limner.imaging import codec

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"})
CAPTIONS_FILE = "captions.jsonl"

Captions = dict[str, tuple[str, ...]]


class FolderSource:
    """The captioned pictures below a folder, in the order of their paths.

    Every picture is decoded once at the start, so that a broken one is found before training: it
    raises DataError, or with `skip` is left out and listed with its reason in `skipped`.
    """

    def __init__(self, folder: Path, skip: bool = False) -> None:
        if not folder.is_dir():
            raise DataError(f"There is no folder {folder}", hint="Name a folder with pictures.")
        self.folder = folder
        self.skipped: list[tuple[str, str]] = []  # path within the folder, reason
        self._rows: list[tuple[str, Captions]] = []
        listed = listed_captions(folder)
        paths = list(picture_files(folder))
        if not skip:
            _check_captions(folder, paths, listed)
        for path in paths:
            key = path.relative_to(folder).as_posix()
            try:
                captions = listed.pop(key, None) or _sidecar(path)
                decode_square(path, 16)
            except DataError as error:
                if not skip:
                    raise
                self.skipped.append((key, error.message))
            else:
                self._rows.append((key, captions))
        self._check(listed, skip)

    def _check(self, unused: dict[str, Captions], skip: bool) -> None:
        for key in unused:
            message = f"{CAPTIONS_FILE} names {key}, which is not a picture in {self.folder}"
            if not skip:
                raise DataError(message, hint="Paths are relative to the folder, with / between.")
            self.skipped.append((key, message))
        if not self._rows:
            raise DataError(
                f"There is no captioned picture in {self.folder}",
                hint=f"Put NAME.txt beside NAME.png, or write {CAPTIONS_FILE}.",
            )

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, index: int, px: int) -> Sample:
        """Picture `index`, fitted into px × px."""
        check_index(index, len(self))
        key, captions = self._rows[index]
        return Sample(decode_square(self.folder / key, px), captions, key)


def picture_files(folder: Path) -> Iterator[Path]:
    """The pictures below a folder, by path; hidden ones are left out."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in ENDINGS and path.is_file() and not hidden:
            yield path


def _sidecar(path: Path) -> Captions:
    beside = _beside(path)
    try:
        captions = captions_from_text(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        captions = {}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The captions {beside} cannot be read: {error}") from error
    if not captions:
        raise DataError(f"{path} has no caption", hint=_HOW_TO_CAPTION)
    return captions


_HOW_TO_CAPTION = (
    f"Write captions into NAME.txt beside NAME.png, one a line, or into {CAPTIONS_FILE}. Where the "
    "file names say what is seen, `limner data captions FOLDER` writes them."
)


def _check_captions(folder: Path, paths: Sequence[Path], listed: dict[str, Captions]) -> None:
    """Raise DataError with the number of pictures that have no file of captions."""
    alone = [path for path in paths if not _beside(path).exists()]
    without = [key for p in alone if (key := p.relative_to(folder).as_posix()) not in listed]
    if without:
        raise DataError(
            f"{len(without)} of {len(paths)} pictures in {folder} have no caption; the first is "
            f"{without[0]}",
            hint=_HOW_TO_CAPTION,
        )


def _beside(path: Path) -> Path:
    return path.with_suffix(".txt")


def listed_captions(folder: Path) -> dict[str, Captions]:
    """The captions in the folder's captions.jsonl, by path within it. Raises DataError."""
    path = folder / CAPTIONS_FILE
    if not path.exists():
        return {}
    captions: dict[str, Captions] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The captions {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            key, said = _listed_row(line, f"{path}, line {number}")
            captions[key] = said
    return captions


def _listed_row(line: str, where: str) -> tuple[str, Captions]:
    try:
        row = json.loads(line)
        text = row["text"]
        said = captions_from_text(text if isinstance(text, str) else "\n".join(text))
        key = str(row["file"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{where} is not a caption: {error!r}",
            hint='A line is {"file": "cats/tom.png", "text": "a grey cat"}.',
        ) from error
    if not said:
        raise DataError(f"{where} has an empty caption for {key}")
    return key, said


def decode_square(path: Path, px: int) -> NDArray[np.uint8]:
    """A picture file fitted into (px, px, 4) premultiplied RGBA, centred, transparent around.

    Raises DataError with the file's name if it is not a picture.
    """
    try:
        picture = codec.premultiply(codec.decode(path.read_bytes()))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    except DataError as error:
        raise DataError(f"{path}: {error.message}", hint=error.hint) from error
    return fitted(picture, px)


def fitted(picture: NDArray[np.uint8], px: int) -> NDArray[np.uint8]:
    """A premultiplied picture, (H, W, 4), scaled to fit (px, px, 4) with its shape kept."""
    height, width = picture.shape[:2]
    scale = px / max(height, width)
    to_height, to_width = max(round(height * scale), 1), max(round(width * scale), 1)
    method: codec.Method = "area" if scale < 1 else "bicubic"
    small = codec.resize(picture, to_width, to_height, method, premultiplied=True)
    square = np.zeros((px, px, 4), np.uint8)
    top, left = (px - to_height) // 2, (px - to_width) // 2
    square[top : top + to_height, left : left + to_width] = small
    return square
