"""What a store of pictures does. `folder` and `s3` are the two kinds, `opening` chooses one.

A name is a folder and a file, such as history/img-….png. Both kinds of store lay the names out
alike, so a store is moved by copying it with any tool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

HISTORY = "history"  # the folder of pictures that have rows
MARKER = "place"  # the file that says which store it is; limner/storage/db/store_id.py
PASSING = "pictures"  # the folder of pictures that are in no history
CHUNK_BYTES = 1 << 18
Part = tuple[int, int]  # the first byte, and the one after the last


@dataclass(frozen=True)
class Seen:
    """Metadata of a stored picture."""

    n_bytes: int
    tag: str  # another one if the bytes are others
    changed_s: float  # Unix time by the clock of the store


@dataclass
class Found:
    """A picture, or a part of it, opened for reading. Always call `close`."""

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
    """One entry of a listing."""

    file: str  # without its folder
    changed_s: float  # Unix time by the clock of the store


class Store(Protocol):
    """Stores pictures by name; thread-safe.

    Failures raise StoreError, or OutputError for the local disk.
    """

    name: str  # as people may read it
    is_shared: bool  # whether servers with another LIMNER_HOME may write here
    is_local: bool  # whether to ask takes no network

    def put(self, name: str, data: bytes) -> None:
        """Store `data`, whole or not at all. It survives a power cut once this returns."""

    def look(self, name: str) -> Seen | None:
        """Metadata of `name`; None if there is no such name."""

    def get(self, name: str, part: Part | None = None) -> Found | None:
        """Open `name`, or a part of it, for reading; None if there is no such name."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete `names`; missing names are ignored."""

    def list(self, folder: str) -> Iterator[Entry]:
        """The files in `folder`, in any order; not links, and not what is in folders below it."""

    def is_empty(self, folder: str) -> bool:
        """Whether there is nothing at all in `folder`."""

    def where(self, name: str) -> str:
        """The path or address of `name`, for people."""

    def reach(self) -> None:
        """Raise StoreError if the store is known to be unreachable."""

    def probe(self, n_bytes: int) -> None:
        """Raise what storing `n_bytes` would raise, where a check leaves no file behind."""

    def tighten(self, folder: str) -> None:
        """Remove group and world permissions that earlier versions left on `folder`."""
