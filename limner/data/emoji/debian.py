"""Art from a Debian package, fetched with the machine's Debian client and read without root.

The client uses the archives that it is set up for; limner names no host. The package is never
installed: a .deb is an `ar` archive, and the files lie in its member data.tar.xz.
"""

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from limner.data.emoji.client import Runner, runner
from limner.errors import DataError
from limner.storage import files

MAX_PACKAGE_BYTES = 100_000_000
MAX_FILES = 50_000
MAX_FILE_BYTES = 20_000_000
_MAGIC = b"!<arch>\n"
_HEAD = 60  # bytes before each member of an ar archive


@dataclass(frozen=True)
class DebianPackage:
    """A Debian package at one version, with its licence data."""

    name: str
    version: str
    sha256: str
    licence: str
    author: str
    folder: str  # the artist's name

    @property
    def integrity(self) -> str:
        """The hash as the manifest writes it."""
        return f"sha256:{self.sha256}"

    @property
    def file(self) -> str:
        """The name its file is kept under; the archive's epoch ("1:") is not part of it."""
        return f"{self.name}_{self.version.partition(':')[2] or self.version}.deb"


OPENCLIPART = DebianPackage(
    "openclipart-svg",
    "1:0.18+dfsg-19",
    "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
    "public domain",
    "the artists of the Open Clip Art Library",
    "openclipart",
)

_run = runner("Copy the folder LIMNER_HOME/data/debian from a machine that has it.")


def fetch(package: DebianPackage, folder: Path, run: Runner | None = None) -> Path:
    """The package's file in `folder`, fetched if it is not there.

    Raises DataError if there is no Debian client, if it fails, or if the hash is not the pinned
    one.
    """
    path = folder / package.file
    if not path.exists():
        _download(package, path, run or _run)
    _check(path, package)
    return path


def _download(package: DebianPackage, path: Path, run: Runner) -> None:
    spec = f"{package.name}={package.version}"
    with files.wrap_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-") as folder:
            result = run(["apt-get", "download", spec], Path(folder))
            made = sorted(Path(folder).glob("*.deb"))
            if result.returncode != 0 or len(made) != 1:
                said = (result.stderr or result.stdout).strip().splitlines()
                last = said[-1] if said else f"it ended with code {result.returncode}"
                raise DataError(
                    f"apt-get cannot fetch {spec}: {last}",
                    hint=f"Put the package's file here yourself: {path}",
                )
            os.replace(made[0], path)


def _check(path: Path, package: DebianPackage) -> None:
    with files.wrap_os_errors(path), path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != package.sha256:
        raise DataError(
            f"{path.name} is not the pinned package: its hash is {found}, "
            f"expected {package.sha256}",
            hint=f"Delete {path} and run `limner data build` again.",
        )


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of each plain file in a package; links are left out.

    Raises DataError if the package is broken or beyond the limits of this module.
    """
    packed = _data(path)
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:xz") as archive:
            for number, member in enumerate(archive):
                if number >= MAX_FILES:
                    raise DataError(f"{path.name} holds more than {MAX_FILES:,} files")
                if not member.isfile():
                    continue
                if member.size > MAX_FILE_BYTES:
                    raise DataError(
                        f"{path.name} holds {member.name} with {member.size:,} bytes; "
                        f"the limit is {MAX_FILE_BYTES:,}"
                    )
                stream = archive.extractfile(member)
                yield member.name.removeprefix("./"), b"" if stream is None else stream.read()
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{path.name} cannot be unpacked: {error}") from error


def _data(path: Path) -> bytes:
    """The member data.tar.xz of an ar archive."""
    with files.wrap_os_errors(path):
        if path.stat().st_size > MAX_PACKAGE_BYTES:
            raise DataError(f"{path.name} is larger than {MAX_PACKAGE_BYTES:,} bytes")
        content = path.read_bytes()
    start = len(_MAGIC)
    while content.startswith(_MAGIC) and start + _HEAD <= len(content):
        head = content[start : start + _HEAD]
        size = head[48:58].strip()
        if not size.isdigit():
            break
        start += _HEAD
        if head[:16].rstrip(b" /") == b"data.tar.xz":
            return content[start : start + int(size)]
        start += int(size) + int(size) % 2
    raise DataError(f"{path.name} is no Debian package with a data.tar.xz")
