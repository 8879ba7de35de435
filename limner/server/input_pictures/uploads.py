"""Uploaded files: their type by content, and their storage while in use.

An upload and its decoded pixels are in unnamed files in LIMNER_HOME: the system removes them when
the server ends, even by a crash, and queued requests take no memory.
"""

from __future__ import annotations

import hashlib
import mmap
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from limner.errors import OutputError
from limner.imaging.provenance.containers import MEDIA_TYPES, raster_of

if TYPE_CHECKING:
    from limner.arrays import Pixels


@dataclass(frozen=True)
class RawFile:
    """A file as it arrived, not read yet."""

    content_type: str  # as declared, and not relied upon
    n_bytes: int
    file: IO[bytes]
    name: str = ""  # the sender's file name

    def head(self) -> bytes:
        """Its first 16 bytes."""
        self.file.seek(0)
        return self.file.read(16)

    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        self.file.seek(0)
        return hashlib.file_digest(cast("Any", self.file), "sha256").hexdigest()

    def mime(self) -> str:
        """Its media type by its first bytes, or the declared one if they are unknown."""
        return sniff(self.head()) or self.content_type or "application/octet-stream"


def sniff(head: bytes) -> str | None:
    """The media type by the first 12 bytes or more; None if unknown.

    Names and declared types are often wrong.
    """
    if found := raster_of(head):
        return MEDIA_TYPES[found]
    if head.startswith(b"BM"):
        return "image/bmp"
    return None


def temporary_file(folder: Path) -> IO[bytes]:
    """Open an unnamed, unbuffered file in `folder`. Raises OutputError."""
    try:
        return cast("IO[bytes]", tempfile.TemporaryFile(dir=folder, buffering=0))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"Cannot write to {folder}: {reason}") from error


def write_all(file: IO[bytes], data: bytes | bytearray) -> None:
    """Write `data` to an unbuffered file. Raises OutputError if the disk is full."""
    left = memoryview(data)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"Cannot keep what was sent: {reason}") from error


def mapped(
    file: IO[bytes], width: int, height: int, *, has_mask: bool
) -> tuple[Pixels, Pixels | None]:
    """The pixels (H, W, 4) and mask (H, W) that a decoder wrote to `file`, memory-mapped.

    The arrays are read-only and stay valid after the file is closed.
    """
    n_pixels = width * height
    data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    assert data.size == n_pixels * (5 if has_mask else 4)
    mask = data[n_pixels * 4 :].reshape(height, width) if has_mask else None
    return data[: n_pixels * 4].reshape(height, width, 4), mask


def release(array: Pixels) -> None:
    """Free the pages of a `mapped` array; they are read again on use."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    held = base.obj if isinstance(base, memoryview) else base
    if isinstance(held, mmap.mmap) and hasattr(held, "madvise"):
        held.madvise(mmap.MADV_DONTNEED)
