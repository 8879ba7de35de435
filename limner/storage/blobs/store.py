"""Where pictures are kept: a folder, or a bucket that speaks S3. Nobody else knows which it is.

A name is a folder and a file, such as history/img-….png. Both kinds of store lay the names out
alike, so a store is moved by copying it with any tool.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from limner.errors import OutputError, SettingsError, StoreError
from limner.settings import Settings
from limner.storage import files
from limner.storage.blobs import names

HISTORY = "history"  # the folder of pictures that have rows
MARKER = "place"  # the file that says which store it is; limner/storage/db/store_id.py
PASSING = "pictures"  # the folder of pictures that are in no history
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
    is_local: bool  # whether to ask takes no network

    def put(self, name: str, data: bytes) -> None:
        """Store `data`, whole or not at all; it is safe once this returns."""

    def look(self, name: str) -> Seen | None:
        """What is there, unread; None if there is no such name."""

    def get(self, name: str, part: Part | None = None) -> Found | None:
        """Begin to read, all of it or a part; None if there is no such name."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete for good; a name that is not there is no failure."""

    def list(self, folder: str) -> Iterator[Entry]:
        """The files in `folder`, in any order; not links, and not what is in folders below it."""

    def is_empty(self, folder: str) -> bool:
        """Whether there is nothing at all in `folder`."""

    def where(self, name: str) -> str:
        """The path or address of `name`, for people."""

    def reach(self) -> None:
        """Raise the StoreError that the next call would raise, if it can be told."""

    def probe(self, n_bytes: int) -> None:
        """Raise what storing `n_bytes` would raise, if it can be told without leaving a trace."""

    def tighten(self, folder: str) -> None:
        """Take from others the permissions that an earlier limner left on `folder`."""


class Folder:
    """Pictures as files in a folder of this machine, for its owner alone (0700 and 0600)."""

    is_local = True

    def __init__(self, root: Path, *, is_shared: bool = False) -> None:
        """Folders are made when they are first written to."""
        self.root, self.name, self.is_shared = root, str(root), is_shared
        self._seen: set[Path] = set()  # of the root and the mark, those that were there once

    def put(self, name: str, data: bytes) -> None:
        """See Store."""
        path = self.root / name
        self._check_root()
        with files.wrap_os_errors(path):
            if self.root not in self._seen:
                files.make_private_folder(self.root)
            folder = self._checked(path.parent)
            files.make_private_folder(folder)
        beside = folder / names.temporary(path.name) if folder != self.root else None
        files.write_private(path, data, temporary=beside)

    def look(self, name: str) -> Seen | None:
        """See Store."""
        path = self.root / name
        with _readable(path):
            try:
                about = path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        if not stat.S_ISREG(about.st_mode):
            return None
        return Seen(about.st_size, f"{about.st_mtime_ns:x}-{about.st_size:x}", about.st_mtime)

    def get(self, name: str, part: Part | None = None) -> Found | None:
        """See Store."""
        path = self.root / name
        with _readable(path):
            try:
                file = open(path, "rb", opener=_no_link)  # noqa: SIM115 (`Found` closes it)
            except (FileNotFoundError, NotADirectoryError):
                return None
            start, end = part or (0, file.seek(0, 2))
            file.seek(start)
        return Found(_chunks(path, file, end - start), file.close)

    def delete(self, names: Iterable[str]) -> None:
        """See Store."""
        for name in names:
            path = self.root / name
            self._checked(path.parent)
            try:
                path.unlink(missing_ok=True)
            except NotADirectoryError:
                continue
            except OSError as error:
                raise OutputError(f"Cannot delete {path}: {error.strerror}") from error

    def list(self, folder: str) -> Iterator[Entry]:
        """See Store."""
        path = self._checked(self.root / folder)
        if not path.is_dir():
            return
        with _readable(path), os.scandir(path) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another server was here
                    if entry.is_file(follow_symlinks=False):
                        changed_s = entry.stat(follow_symlinks=False).st_mtime
                        yield Entry(entry.name, changed_s)

    def is_empty(self, folder: str) -> bool:
        """See Store."""
        path = self._checked(self.root / folder)
        with _readable(path):
            return not path.is_dir() or not any(path.iterdir())

    def where(self, name: str) -> str:
        """See Store."""
        return str(self.root / name)

    def reach(self) -> None:
        """See Store."""
        self._check_root()

    def probe(self, n_bytes: int) -> None:
        """See Store."""
        self._check_root()
        files.check_room(self.root, n_bytes)

    def tighten(self, folder: str) -> None:
        """See Store."""
        path = self._checked(self.root / folder)
        if not path.is_dir() or not stat.S_IMODE(path.stat().st_mode) & 0o077:
            return
        with files.wrap_os_errors(path):
            for entry in self.list(folder):
                if names.PATTERN.fullmatch(entry.file):
                    with suppress(FileNotFoundError), open(path / entry.file, opener=_no_link) as f:
                        os.fchmod(f.fileno(), files.PRIVATE_FILE)
            path.chmod(files.PRIVATE_FOLDER)

    def _check_root(self) -> None:
        """Refuse to go on where the root, or the mark in it, was there once and is no more."""
        for path in (self.root, self.root / MARKER):
            if path.exists():
                self._seen.add(path)
            elif path in self._seen:
                raise StoreError(
                    f"{path} was removed while it was used, or its disk is not mounted",
                    hint="put it back, and restart the server",
                )

    def _checked(self, folder: Path) -> Path:
        """`folder`, unless it is a link: what a link leads to is not limner's to change."""
        if folder != self.root and folder.is_symlink():
            raise SettingsError(
                f"{folder} is a link, and limner writes and deletes only in folders of its own",
                hint="remove the link, and set LIMNER_STORE to the folder that shall hold "
                f"{folder.name}/",
            )
        return folder


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


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
