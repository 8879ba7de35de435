"""Where pictures are kept: a folder, or a bucket that speaks S3. Nobody else knows which it is.

A name is a folder and a file, such as history/img-….png. Both kinds of store lay the names out
alike, so a store is moved by copying it with any tool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from limner.errors import OutputError, StoreError
from limner.settings import Settings
from limner.storage import files

CHUNK_BYTES = 1 << 18
Part = tuple[int, int]  # the first byte, and the one after the last


@dataclass(frozen=True)
class Seen:
    """What a store tells of a picture that it does not hand out."""

    n_bytes: int
    tag: str  # another one if the bytes are others
    changed_s: float  # Unix time by the clock of the store


@dataclass
class Found:
    """A picture, or a part of it, that is being read; `close` it, read or not."""

    chunks: Iterator[bytes]
    close: Callable[[], None] = field(default=lambda: None)

    def read(self) -> bytes:
        """All of it."""
        try:
            return b"".join(self.chunks)
        finally:
            self.close()


@dataclass(frozen=True)
class Entry:
    """One name of a listing."""

    file: str  # without its folder
    changed_s: float  # Unix time by the clock of the store


class Store(Protocol):
    """A place for pictures; safe to share by threads.

    What cannot be written, read or reached is a StoreError, or an OutputError of this disk.
    """

    name: str  # as people may read it
    is_shared: bool  # whether servers with another LIMNER_HOME may write here

    def put(self, name: str, data: bytes) -> None:
        """Store `data`, whole or not at all; it is safe once this returns."""

    def look(self, name: str) -> Seen | None:
        """What is there, unread; None if there is no such name."""

    def get(self, name: str, part: Part | None = None) -> Found | None:
        """Begin to read, all of it or a part; None if there is no such name."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete for good; a name that is not there is no failure."""

    def list(self, folder: str) -> Iterator[Entry]:
        """Everything in `folder`, in any order."""

    def where(self, name: str) -> str:
        """The path or address of `name`, for people."""

    def reach(self) -> None:
        """Raise the StoreError that the next call would raise, if it can be told."""


class Folder:
    """Pictures as files in a folder of this machine."""

    def __init__(self, root: Path, *, is_shared: bool = False) -> None:
        """Folders are made when they are first written to."""
        self.root, self.name, self.is_shared = root, str(root), is_shared

    def put(self, name: str, data: bytes) -> None:
        """See Store."""
        path = self.root / name
        with files.wrap_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, data)

    def look(self, name: str) -> Seen | None:
        """See Store."""
        path = self.root / name
        with _readable(path):
            try:
                about = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Seen(about.st_size, f"{about.st_mtime_ns:x}-{about.st_size:x}", about.st_mtime)

    def get(self, name: str, part: Part | None = None) -> Found | None:
        """See Store."""
        path = self.root / name
        with _readable(path):
            try:
                file = path.open("rb")
            except (FileNotFoundError, NotADirectoryError):
                return None
            start, end = part or (0, file.seek(0, 2))
            file.seek(start)
        return Found(_chunks(path, file, end - start), file.close)

    def delete(self, names: Iterable[str]) -> None:
        """See Store."""
        for name in names:
            try:
                (self.root / name).unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(f"Cannot delete {self.root / name}: {error.strerror}") from error

    def list(self, folder: str) -> Iterator[Entry]:
        """See Store."""
        path = self.root / folder
        for entry in path.iterdir() if path.is_dir() else ():
            try:
                yield Entry(entry.name, entry.stat().st_mtime)
            except FileNotFoundError:  # another server was here
                continue

    def where(self, name: str) -> str:
        """See Store."""
        return str(self.root / name)

    def reach(self) -> None:
        """A folder is always there; what is wrong with it is said when it is used."""


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"Cannot read {path}: {error.strerror}") from error


def _chunks(path: Path, file: BinaryIO, n_left: int) -> Iterator[bytes]:
    with _readable(path):
        while chunk := file.read(min(n_left, CHUNK_BYTES)):
            n_left -= len(chunk)
            yield chunk


def open_store(settings: Settings) -> Store:
    """The store that `settings` name: the home, another folder, or a bucket.

    Nothing is written and nobody is called yet; a bucket without its package is a MissingExtra.
    """
    if settings.store.startswith("s3://"):
        from limner.storage.blobs.s3 import Bucket

        return Bucket(settings.store, settings.store_endpoint, settings.store_credentials)
    if settings.store:
        return Folder(Path(settings.store).expanduser(), is_shared=True)
    return Folder(settings.home)


def outlived(store: Store, folder: str, age_s: float, now_s: float) -> list[str]:
    """The files in `folder` that at `now_s`, a Unix time, have been there for longer than `age_s`.

    In a bucket the age is only as right as the clocks of its server and this machine are alike.
    """
    end_s = now_s - age_s
    return [entry.file for entry in store.list(folder) if entry.changed_s < end_s]
