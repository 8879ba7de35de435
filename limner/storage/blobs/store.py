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
