"""Files written whole or not at all: into a temporary file beside the target, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from limner.errors import OutputError
from limner.request import FileFormat

ENDINGS: dict[str, FileFormat] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".gif": "gif",
    ".svg": "svg",
}
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700  # prompts and pictures are their owner's alone
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def format_from_path(path: Path) -> FileFormat:
    """The picture format that the ending of `path` asks for; an unknown one is an OutputError."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        said = f"the ending {path.suffix!r} is not known" if ending else "its name has no ending"
        raise OutputError(
            f"Cannot tell the format of {path}: {said}", hint=f"use one of {', '.join(ENDINGS)}"
        )
    return ENDINGS[ending]


def ending(format: FileFormat) -> str:
    """The ending of file names of a format, with its dot."""
    return next(ending for ending, known in ENDINGS.items() if known == format)


def write_stdout(data: bytes) -> None:
    """Write all of `data` to the standard output, past its buffer. Raises OutputError."""
    with (
        wrap_os_errors(Path("standard output")),
        open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as file,
    ):
        _write_all(file, data)


def write_whole(path: Path, data: bytes, *, overwrite: bool = True) -> None:
    """Write `data` to `path`, whole or not at all, whatever crashes or fills the disk.

    An existing file keeps its permissions and a link is followed, as with `cp`. A device or a
    pipe is written to directly, as it cannot be replaced. With `overwrite=False` an existing
    path raises FileExistsError; every other failure is an OutputError.
    """
    with wrap_os_errors(path, passing=() if overwrite else (FileExistsError,)):
        target = Path(os.path.realpath(path)) if overwrite else path
        if target.exists() and not target.is_file() and overwrite:
            _write_into(target, data)
            return
        temporary = temporary_beside(target)
        try:
            write_synced(temporary, data)
            _put_in_place(temporary, target, overwrite)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        sync_folder(target.parent)


def write_private(path: Path, data: bytes, *, temporary: Path | None = None) -> None:
    """Write `data` to `path`, whole or not at all, for the owner alone (0600).

    What was there is replaced, even a link. `temporary` is the path, beside `path`, of the file
    that is written first; a crash may leave it. Raises OutputError.
    """
    with wrap_os_errors(path):
        temporary = temporary or temporary_beside(path)
        write_synced(temporary, data, PRIVATE_FILE)
        try:
            temporary.replace(path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        sync_folder(path.parent)


def make_private_folder(folder: Path) -> None:
    """Make `folder` for its owner alone (0700), safe from a power cut; one that is there is left.

    Missing parents are made with the usual permissions. Raises OSError.
    """
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent.parent)
    try:
        folder.mkdir(PRIVATE_FOLDER)
        folder.chmod(PRIVATE_FOLDER)  # a umask may take more away
    except FileExistsError:
        if not folder.is_dir():  # else another process was first
            raise
    sync_folder(folder.parent)


def check_writable(path: Path) -> None:
    """Raise OutputError now if `path` could not be written later, without leaving a trace."""
    with wrap_os_errors(path):
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if target.exists() and not target.is_file():
            os.close(os.open(target, os.O_WRONLY | os.O_NONBLOCK))
            return
        # Only creating a file tells the truth on read-only mounts, quotas and for root.
        temporary = temporary_beside(target)
        write_synced(temporary, b"")
        temporary.unlink()


def check_room(folder: Path, n_bytes: int) -> None:
    """Raise OutputError if a file of `n_bytes` could not be written in `folder` now."""
    temporary = temporary_beside(folder / "room")
    with wrap_os_errors(folder):
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        try:
            allocate(handle, n_bytes)
        finally:
            os.close(handle)
            temporary.unlink()


def allocate(handle: int, n_bytes: int) -> None:
    """Give an open file `n_bytes` of its disk. Raises OSError where there is no room."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, n_bytes)
    else:  # macOS
        os.write(handle, bytes(n_bytes))


def is_full(error: BaseException | None) -> bool:
    """Whether `error` or one of its causes can come from a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            return True
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        # SQLite meets it in its files of shared memory, too, and then speaks of input and output.
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
            return True
        error = error.__cause__
    return False


def temporary_beside(path: Path) -> Path:
    """A fresh hidden name in the folder of `path`, short enough for every file system."""
    return path.parent / f".limner-{secrets.token_hex(8)}.part"


def write_synced(path: Path, data: bytes, mode: int | None = None) -> None:
    """Create `path`, which must not exist, and return once `data` is on the disk.

    `mode` are its permissions whatever the umask is; None leaves them to the umask.
    """

    def opener(name: str, flags: int) -> int:
        handle = os.open(name, flags, 0o666 if mode is None else mode)
        if mode is not None:
            os.fchmod(handle, mode)
        return handle

    with open(path, "xb", opener=opener) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def wrap_os_errors(path: Path, *, passing: tuple[type[OSError], ...] = ()) -> Iterator[None]:
    """Turn an OSError into an OutputError that names `path`; those in `passing` go through."""
    try:
        yield
    except passing:
        raise
    except OSError as error:
        raise output_error(path, error) from error


def output_error(path: Path, error: OSError) -> OutputError:
    """The OutputError for a system error met while writing `path`, with a way out."""
    reason = (error.strerror or str(error)).lower()
    hint = None
    if error.errno in _NO_SPACE:
        hint = "free some space, or write to another disk"
    elif error.errno == errno.ENOENT:
        hint = f"make the folder first: mkdir -p {path.parent}"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "choose a folder that you may write to"
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        folders = (path, *path.parents)
        in_the_way = next((one for one in folders if one.exists() and not one.is_dir()), path)
        hint = f"{in_the_way} is a file where a folder must be"
    return OutputError(f"Cannot write {path}: {reason}", hint=hint)


def _put_in_place(temporary: Path, target: Path, overwrite: bool) -> None:
    if overwrite:
        with suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
        return
    try:
        os.link(temporary, target)  # the one way to name a finished file that never overwrites
    except FileExistsError:
        raise
    except OSError:
        # No hard links here (FAT, some network folders): the best left is to look first.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "it exists", str(target)) from None
        temporary.rename(target)


def _write_into(target: Path, data: bytes) -> None:
    with open(target, "wb", buffering=0) as file:
        _write_all(file, data)


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
