"""Output of the drawing commands: file names, early checks, and writing."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from limner.engines.base import Picture
from limner.errors import InvalidRequest, OutputError
from limner.request import DEFAULT_OPTIONS, FileFormat, FileOptions, ImageRequest
from limner.storage import files

# With seed, numbers and extension a name stays below the file system limit of 255 bytes.
MAX_SLUG_BYTES = 100
STDOUT = "-"


@dataclass(frozen=True)
class OutputFile:
    """The output file of one picture."""

    path: Path
    format: FileFormat
    named: bool  # by the user, and so overwritten; other names avoid existing files
    is_stdout: bool = False  # the standard output instead of a file

    def write(self, picture: Picture, options: FileOptions = DEFAULT_OPTIONS) -> Path | None:
        """Write `picture` atomically; returns its path, or None for the standard output."""
        return self.put(picture.encode(self.format, options))

    def put(self, data: bytes) -> Path | None:
        """Write a file's bytes atomically; returns its path, or None for the standard output."""
        if self.is_stdout:
            files.write_stdout(data)
            return None
        if self.named:
            files.write_whole(self.path, data)
            return self.path
        path, counter = self.path, 1
        while True:
            try:
                if not os.path.lexists(path):
                    files.write_whole(path, data, overwrite=False)
                    return path
            except FileExistsError:
                pass  # another process took the name just now
            counter += 1
            path = self.path.with_stem(f"{self.path.stem}_{counter}")


def plan(
    output: str | None, request: ImageRequest, name: str, format: FileFormat | None = None
) -> list[OutputFile]:
    """The output file of each picture of `request`, whose seed is set, by index.

    `output` is a file, a folder, "-" for the standard output, or None for the current folder;
    `name` begins the names of files in a folder. `format` applies if no file name determines it,
    PNG by default. Raises OutputError if a file cannot be written, and InvalidRequest if its
    format does not suit the request.
    """
    path = Path(output or "")
    if output == STDOUT:
        targets = [stdout(format or "png")]
        if request.n > 1:
            raise InvalidRequest(
                f"Only one picture fits on the standard output, but n is {request.n}",
                param="n",
                hint="name a file or a folder",
            )
    elif output is None or path.is_dir() or output.endswith(("/", os.sep)):
        targets = _in_folder(path, request, name, format or "png")
    else:
        targets = _as_named(path, request, format)
    if request.background == "transparent" and targets[0].format == "jpeg":
        raise InvalidRequest(
            f"A JPEG cannot be transparent: {output}",
            param="background",
            hint="name a .png, .webp or .svg file, or leave out --background",
        )
    for target in targets:
        if not target.is_stdout:
            files.check_writable(target.path)
    return targets


def stdout(format: FileFormat) -> OutputFile:
    """The standard output. Raises OutputError if it is a terminal."""
    if sys.stdout.isatty():
        raise OutputError(
            "The standard output is a terminal, which would show the bytes of the file",
            hint="send it to a file or a program: limner … -o - > FILE",
        )
    return OutputFile(Path(STDOUT), format, named=True, is_stdout=True)


def slug(prompt: str) -> str:
    """`prompt` as part of a file name: "A red fox!" becomes "a-red-fox"."""
    words = "".join(c if c.isalnum() else " " for c in normalize("NFC", prompt.lower())).split()
    short = "-".join(words).encode()[:MAX_SLUG_BYTES].decode(errors="ignore")
    return short.rstrip("-") or "picture"


def _in_folder(
    folder: Path, request: ImageRequest, name: str, format: FileFormat
) -> list[OutputFile]:
    if not folder.is_dir():
        raise OutputError(f"There is no folder {folder}", hint=f"make it first: mkdir -p {folder}")
    path = folder / f"{name}-{request.seed}{files.ending(format)}"
    return [OutputFile(path, format, named=False) for path in _numbered(path, request.n)]


def _as_named(path: Path, request: ImageRequest, asked: FileFormat | None) -> list[OutputFile]:
    if path.exists() and not path.is_file():  # /dev/null or a pipe: all pictures are written to it
        return [OutputFile(path, asked or "png", named=True)] * request.n
    format = files.format_from_path(path)
    if asked not in (None, format):
        raise InvalidRequest(
            f"{path} is the name of another format than {asked}",
            param="format",
            hint="leave out --format, or name a file that ends in " + files.ending(asked),
        )
    return [OutputFile(path, format, named=True) for path in _numbered(path, request.n)]


def _numbered(path: Path, n: int) -> list[Path]:
    if n == 1:
        return [path]
    return [path.with_stem(f"{path.stem}-{number}") for number in range(1, n + 1)]
