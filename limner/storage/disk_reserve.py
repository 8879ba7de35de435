"""A reserve of disk space in LIMNER_HOME, released so that a full disk does not stop a deletion.

SQLite writes to its log before anything is freed, so a deletion needs some space itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from limner.errors import DatabaseError, OutputError
from limner.storage import files

FILE = "reserve"
N_BYTES = 4_000_000  # the log of SQLite at its usual longest
T = TypeVar("T")


class Reserve:
    """The file in `home` that holds the room."""

    def __init__(self, home: Path, n_bytes: int = N_BYTES) -> None:
        self._path, self._n_bytes = home / FILE, n_bytes

    def fill(self) -> bool:
        """Allocate the reserve if the disk has room; returns whether it is held."""
        with suppress(OSError):
            if self._path.lstat().st_size == self._n_bytes:
                return True
        try:
            handle = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, files.PRIVATE_FILE
            )
        except OSError:
            return False
        try:
            files.allocate(handle, self._n_bytes)
        except OSError:
            self._path.unlink(missing_ok=True)
            return False
        finally:
            os.close(handle)
        return True

    def spend(self) -> bool:
        """Release the reserve; returns whether there was one."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def with_room(self, action: Callable[[], T]) -> T:
        """Run `action`; if the disk is full, release the reserve and run it once more."""
        try:
            return action()
        except (DatabaseError, OutputError) as error:
            if not files.is_full(error) or not self.spend():
                raise
            return action()
