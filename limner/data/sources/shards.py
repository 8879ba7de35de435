"""Tar shards: many samples in a few files, for moving a training set.

A sample is two members, KEY.png (straight RGBA) and KEY.txt (captions, one a line), and for a
composed scene KEY.json. Shards are written whole or not at all, and the same samples give the
same bytes.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from limner.data.scenes import SceneSpec
from limner.data.sources.base import (
    Sample,
    captions_from_text,
    check_index,
    text_from_captions,
)
from limner.data.sources.folder import fitted
from limner.errors import DataError
from limner.imaging import codec
from limner.storage import files

MAX_SHARD_BYTES = 15_000_000  # a little under the 16 MiB that one file of a remote run may have
MAX_MEMBER_BYTES = 64_000_000
_UNSAFE = re.compile(r"[^A-Za-z0-9._/-]+")


def write_shards(
    samples: Iterable[Sample],
    folder: Path,
    prefix: str = "samples",
    max_bytes: int = MAX_SHARD_BYTES,
) -> list[Path]:
    """Writes samples into PREFIX-00000.tar, PREFIX-00001.tar, … of at most about `max_bytes`.

    Returns the paths. Raises DataError for two samples of one key, OutputError if a file cannot
    be written.
    """
    with files.wrap_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    seen: set[str] = set()
    for members in _batches(samples, max_bytes, seen):
        path = folder / f"{prefix}-{len(paths):05d}.tar"
        files.write_whole(path, _tar(members))
        paths.append(path)
    return paths


Members = list[tuple[str, bytes]]


def _batches(samples: Iterable[Sample], max_bytes: int, seen: set[str]) -> Iterator[Members]:
    members: Members = []
    n_bytes = 0
    for sample in samples:
        made = _members(sample)
        name = made[0][0]
        if name in seen:
            raise DataError(f"Two samples have the key {sample.key!r}")
        seen.add(name)
        size = sum(len(content) + 1024 for _, content in made)
        if members and n_bytes + size > max_bytes:
            yield members
            members, n_bytes = [], 0
        members += made
        n_bytes += size
    if members:
        yield members


def safe_name(key: str) -> str:
    """A key as a path that every system can hold; changed keys get a hash, so none collide."""
    parts = [part for part in _UNSAFE.sub("_", key).split("/") if part.strip(".")]
    name = "/".join(parts)[-150:].lstrip("/.-")
    if name == key:
        return name
    return f"{name or 'sample'}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


def _members(sample: Sample) -> Members:
    name = safe_name(sample.key)
    picture = codec.encode(codec.unpremultiply(sample.picture), "png")
    members = [
        (f"{name}.png", picture),
        (f"{name}.txt", text_from_captions(sample.captions).encode()),
    ]
    if sample.spec is not None:
        members.append((f"{name}.json", sample.spec.to_json().encode()))
    return members


def _tar(members: Members) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)  # time, owner and mode stay at their fixed defaults
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@dataclass(frozen=True)
class _Place:
    """Where a member's bytes lie."""

    path: Path
    offset: int
    n_bytes: int

    def read(self) -> bytes:
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.offset)
                content = stream.read(self.n_bytes)
        except OSError as error:
            raise DataError(f"The shard {self.path} cannot be read: {error}") from error
        if len(content) != self.n_bytes:
            raise DataError(f"The shard {self.path} is cut short")
        return content


class ShardSource:
    """The samples of all .tar files of a folder, in the order of file and member names."""

    def __init__(self, folder: Path) -> None:
        self._rows: list[tuple[str, dict[str, _Place]]] = []
        for path in sorted(folder.glob("*.tar")):
            self._rows += _index(path)
        if not self._rows:
            raise DataError(f"There is no shard in {folder}", hint="Shards are files NAME.tar.")

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, index: int, px: int) -> Sample:
        """Sample `index`, scaled to px × px. Raises DataError naming the shard's member."""
        check_index(index, len(self))
        name, places = self._rows[index]
        try:
            picture = codec.premultiply(codec.decode(places[".png"].read()))
            captions = captions_from_text(places[".txt"].read().decode())
            spec = (
                SceneSpec.from_json(places[".json"].read().decode()) if ".json" in places else None
            )
        except (DataError, UnicodeDecodeError) as error:
            raise DataError(f"{places['.png'].path}, {name}: {error}") from error
        if picture.shape[:2] != (px, px):
            picture = fitted(picture, px)
        return Sample(picture, captions, name, spec)


def _index(path: Path) -> list[tuple[str, dict[str, _Place]]]:
    rows: dict[str, dict[str, _Place]] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                _check_member(member, path)
                name, dot, ending = member.name.rpartition(".")
                rows.setdefault(name, {})[dot + ending] = _Place(
                    path, member.offset_data, member.size
                )
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"The shard {path} cannot be read: {error}") from error
    for name, places in rows.items():
        for ending in (".png", ".txt"):
            if ending not in places:
                raise DataError(f"The shard {path} has no {name}{ending}")
    return sorted(rows.items())


def _check_member(member: tarfile.TarInfo, path: Path) -> None:
    parts = PurePosixPath(member.name)
    if not member.isfile() or parts.is_absolute() or ".." in parts.parts:
        raise DataError(f"The shard {path} holds {member.name!r}, which is not a plain file")
    if member.size > MAX_MEMBER_BYTES:
        raise DataError(
            f"{path}, {member.name} is {member.size:,} bytes; the limit is {MAX_MEMBER_BYTES:,}"
        )
