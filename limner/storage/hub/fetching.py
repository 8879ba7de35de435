"""Fetching files: resumed where an earlier attempt ended, each checked before it counts."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from limner.errors import DataError
from limner.progress import StepProgress
from limner.storage.hub.choosing import RemoteFile

PARTS = ".parts"  # in the folder of a download, until all of its files are complete
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Fetched:
    """A file that is there and was checked."""

    path: str
    n_bytes: int
    sha256: str


def n_there(file: RemoteFile, folder: Path) -> int:
    """Bytes of a file that earlier attempts fetched."""
    part = _part(file, folder)
    return part.stat().st_size if part.is_file() else 0


def fetch_all(files: Sequence[RemoteFile], folder: Path, progress: StepProgress) -> list[Fetched]:
    """Fetch `files` into `folder`, one after the other; see `downloads.fetch`."""
    counter = _Counter(sum(file.n_bytes for file in files), progress)
    (folder / PARTS).mkdir(exist_ok=True)
    fetched = [_fetched(file, folder, counter) for file in files]
    for file in files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(_part(file, folder), target)
    shutil.rmtree(folder / PARTS)
    return fetched


class _Counter:
    """Adds up bytes of all files for `progress`."""

    def __init__(self, n_all: int, progress: StepProgress) -> None:
        self._n_done, self._n_all, self._progress = 0, n_all, progress

    def add(self, n_bytes: int) -> None:
        self._n_done += n_bytes
        self._progress(min(self._n_done, self._n_all), self._n_all)


class _Counted:
    """A file that is written, as huggingface_hub writes it, and counted."""

    def __init__(self, file: BinaryIO, counter: _Counter) -> None:
        self._file, self._counter = file, counter

    def write(self, data: bytes) -> int:
        self._counter.add(len(data))
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, at: int, whence: int = 0) -> int:
        return self._file.seek(at, whence)

    def truncate(self) -> int:
        """To where it stands: the server began anew."""
        n_before = os.fstat(self._file.fileno()).st_size
        n_left = self._file.truncate()
        self._counter.add(n_left - n_before)
        return n_left


def _fetched(file: RemoteFile, folder: Path, counter: _Counter) -> Fetched:
    part = _part(file, folder)
    counter.add(n_there(file, folder))
    _complete(file, part, counter)
    return Fetched(file.path, file.n_bytes, _checked(file, part))


def _complete(file: RemoteFile, part: Path, counter: _Counter) -> None:
    """Fetch what `part` lacks."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers, disable_progress_bars

    from limner.storage.hub.asking import said

    disable_progress_bars()
    # A token is for the hub that the hashes come from, and for no other server.
    is_of_hub = bool(file.sha256 or file.git_id)
    headers = build_hf_headers(token=None if is_of_hub else False)
    with part.open("ab") as opened:
        n_there = opened.tell()
        if n_there > file.n_bytes:
            opened.truncate(0)
            counter.add(-n_there)
            n_there = 0
        try:
            with said(file.path):
                http_get(
                    file.url,
                    _Counted(opened, counter),
                    resume_size=n_there,
                    headers=headers,
                    expected_size=file.n_bytes,
                )
        finally:
            opened.flush()
            os.fsync(opened.fileno())


def _checked(file: RemoteFile, part: Path) -> str:
    """The SHA-256 of a complete file. One that is not what the hub said is deleted: DataError."""
    n_bytes = part.stat().st_size
    sha256, git_id = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % n_bytes, usedforsecurity=False)
    with part.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            sha256.update(chunk)
            git_id.update(chunk)
    found = sha256.hexdigest()
    is_right = n_bytes == file.n_bytes and file.sha256 in ("", found)
    if not is_right or file.git_id not in ("", git_id.hexdigest()):
        part.unlink()
        raise DataError(
            f"{file.path} came with other content than the hub says it has",
            hint="it was deleted; the next attempt fetches it anew, and keeps the other files",
        )
    return found


def _part(file: RemoteFile, folder: Path) -> Path:
    """Where a file grows: of another content, it is another file."""
    about = f"{file.path}\0{file.sha256}\0{file.git_id}\0{file.n_bytes}"
    return folder / PARTS / hashlib.sha256(about.encode()).hexdigest()[:32]
