"""The folders in which the tools may read and write pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from limner.errors import DataError, LimnerError
from limner.storage import files

MAX_BYTES = 50_000_000
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


class OutsideFolders(LimnerError):
    """A path that the tools may not use."""


class Folders:
    """The allowed folders; pictures are written to the first."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = [path.expanduser().resolve() for path in paths]

    def read(self, path: str) -> bytes:
        """Read a picture file. Raises OutsideFolders, also for links that lead outside."""
        found = self._inside(path)
        try:
            if found.stat().st_size > MAX_BYTES:
                raise DataError(f"{found} is larger than {MAX_BYTES:,} bytes")
            return found.read_bytes()
        except OSError as error:
            raise DataError(
                f"Cannot read {found}: {(error.strerror or str(error)).lower()}"
            ) from error

    def write(self, name: str, data: bytes) -> Path:
        """Write a new file `name`, with a number if it exists; returns its absolute path."""
        folder = self.paths[0]
        with files.wrap_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        stem, ending = Path(name).stem, Path(name).suffix
        path, n = folder / name, 1
        while path.exists():
            n += 1
            path = folder / f"{stem}-{n}{ending}"
        files.write_whole(path, data)
        return path

    def _inside(self, text: str) -> Path:
        path = Path(text).expanduser()
        found = (path if path.is_absolute() else self.paths[0] / path).resolve()
        is_inside = any(found.is_relative_to(folder) for folder in self.paths)
        if not is_inside or found.suffix.lower() not in ENDINGS:
            folders = ", ".join(map(str, self.paths))
            raise OutsideFolders(
                f"{text!r} is no PNG, JPEG or WebP file in the allowed folders: {folders}",
                hint="move it there, or start limner mcp with --folder",
            )
        return found


def slug(text: str) -> str:
    """A short file name from a prompt."""
    words = re.findall(r"\w+", text.lower())
    return "-".join(words)[:40].strip("-") or "picture"
