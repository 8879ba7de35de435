"""Pictures as files in a folder of this machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from limner.errors import OutputError, SettingsError, StoreError
from limner.storage import files
from limner.storage.blobs import names
from limner.storage.blobs.store import CHUNK_BYTES, MARKER, Entry, Found, Part, Seen


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
        """Raise StoreError if the root or its marker file has disappeared since the start."""
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
