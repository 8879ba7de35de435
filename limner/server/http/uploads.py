"""Files that people send: what they are by their bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import BinaryIO

# What a file is, its first bytes say; names and declared types are often wrong.
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class RawFile:
    """A file as it arrived, its bytes not read yet."""

    content_type: str  # as declared, and not relied upon
    n_bytes: int
    file: BinaryIO

    def read(self) -> bytes:
        """All its bytes."""
        self.file.seek(0)
        return self.file.read()

    def sha256(self) -> str:
        """The hash of all its bytes, in hexadecimal."""
        return hashlib.sha256(self.read()).hexdigest()

    def mime(self) -> str:
        """Its type by its first bytes; the declared one when they say nothing."""
        self.file.seek(0)
        return sniff(self.file.read(16)) or self.content_type or "application/octet-stream"


def sniff(head: bytes) -> str | None:
    """The type of a picture by its first 12 bytes or more; None if it is none we know."""
    if head.startswith(_PNG):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"BM"):
        return "image/bmp"
    return None
