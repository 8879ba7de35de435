"""Reading a picture file whose name the user gave, with that name in every error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from limner.errors import DataError

T = TypeVar("T")


def read(path: str | Path, parse: Callable[[bytes], T], max_bytes: int = -1) -> T:
    """`parse` the bytes of the file at `path`, at most `max_bytes` of them (-1: all).

    Raises DataError with the file's name, whether it cannot be read or not be parsed.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(max_bytes)
    except (OSError, ValueError) as error:  # ValueError: a name with NUL
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise DataError(f"Cannot read {path}: {reason}") from error
    try:
        return parse(data)
    except DataError as error:
        raise DataError(f"{path}: {error.message}", hint=error.hint) from error
