"""A checkpoint is a folder: what it is, its tensors and files, and a hash of each.

    config.json      {"format": 1, "kind": "…", …}: everything needed to build the network again
    NAME.safetensors arrays by name
    …                any other file the kind needs: a tokenizer, a graph
    manifest.json    {"format": 1, "files": {NAME: {"bytes": …, "sha256": …}}}, all but itself

It is written into a temporary folder beside its place and renamed: it is there whole or not at
all. Reading checks size and hash of every file, so that a damaged one is refused by name rather
than drawn from.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from limner.errors import OutputError, WeightsError
from limner.storage import files

FORMAT = 1
CONFIG = "config.json"
MANIFEST = "manifest.json"
SHIPPED = Path(__file__).parents[2] / "weights"

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """What the manifest says of one file."""

    n_bytes: int
    sha256: str  # 64 hexadecimal digits


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose manifest has been read."""

    path: Path
    config: dict[str, Any]
    entries: dict[str, Entry]

    @property
    def kind(self) -> str:
        """What it is a checkpoint of, such as "nano"; whoever loads it checks this."""
        return str(self.config["kind"])

    @property
    def n_bytes(self) -> int:
        """Size of all its files together."""
        return sum(entry.n_bytes for entry in self.entries.values())

    def file(self, name: str) -> Path:
        """The path of file `name`; WeightsError when the checkpoint does not list it."""
        if name not in self.entries:
            raise WeightsError(
                f"Checkpoint {self.path} has no file {name}", hint=f"it has {_listed(self.entries)}"
            )
        return self.path / name

    def tensors(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays in `name`.safetensors, by their names."""
        path = self.file(f"{name}.safetensors")
        try:
            return dict(safetensors.numpy.load_file(path))
        except (OSError, safetensors.SafetensorError, KeyError) as error:
            raise _damaged(path, str(error)) from error


def write(
    path: Path,
    config: Mapping[str, Any],
    *,
    tensors: Mapping[str, Mapping[str, NDArray[Any]]] | None = None,
    contents: Mapping[str, bytes] | None = None,
    replace: bool = False,
) -> Checkpoint:
    """Write a checkpoint folder at `path`, whole or not at all, and return it.

    `config` needs a "kind" and gets its "format" here. `tensors` maps a name to arrays, stored
    as NAME.safetensors; `contents` maps a file name to its bytes. An existing `path` is refused
    unless `replace`. Every failure to write is an OutputError.
    """
    if not config.get("kind"):
        raise ValueError('a checkpoint\'s config needs a "kind"')
    if not replace and path.exists():
        raise OutputError(f"Checkpoint {path} exists", hint="choose another name, or remove it")
    parts = {CONFIG: _json_bytes({**config, "format": FORMAT}), **(contents or {})}
    for name, arrays in (tensors or {}).items():
        parts[f"{name}.safetensors"] = _safetensors_bytes(arrays)
    for name in parts:
        if name == MANIFEST or not _PLAIN_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a file in a checkpoint")
    entries = {name: _entry(data) for name, data in sorted(parts.items())}
    parts[MANIFEST] = _manifest_bytes(entries)
    with files.wrap_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_folder(path, parts)
    return Checkpoint(path, json.loads(parts[CONFIG]), entries)


def read(path: Path, *, verify: bool = True) -> Checkpoint:
    """Open the checkpoint at `path` and check the size and hash of its files.

    A missing, damaged or incomplete one, or one of another format, is a WeightsError that names
    the file. `verify=False` reads only config and manifest.
    """
    path = _settled(path)
    if not path.is_dir():
        raise WeightsError(f"There is no checkpoint folder at {path}", hint=_where_weights_are())
    config = _read_json(path / CONFIG)
    _check_format(path / CONFIG, config)
    if not isinstance(config.get("kind"), str):
        raise _damaged(path / CONFIG, 'it has no "kind"')
    checkpoint = Checkpoint(path, config, _read_manifest(path / MANIFEST))
    if verify:
        for name, entry in checkpoint.entries.items():
            _verify(path / name, entry)
    return checkpoint


def exists(path: Path) -> bool:
    """Whether there is a checkpoint folder at `path`, sound or not."""
    return _settled(path).is_dir()


def shipped() -> list[str]:
    """Names of the checkpoints that came with limner."""
    if not SHIPPED.is_dir():
        return []
    return sorted(folder.name for folder in SHIPPED.iterdir() if (folder / CONFIG).is_file())


def find(weights: str) -> Path:
    """The folder for a shipped name or a path; WeightsError when there is neither."""
    if weights in shipped():
        return SHIPPED / weights
    path = Path(weights).expanduser()
    if not _settled(path).is_dir():
        raise WeightsError(
            f"Weights {weights!r} are neither a shipped name nor a folder",
            hint=_where_weights_are(),
        )
    return path


def _where_weights_are() -> str:
    names = _listed(shipped()) or "none"
    return f"shipped weights: {names}; or the path of a folder that limner export wrote"


def _write_folder(path: Path, parts: Mapping[str, bytes]) -> None:
    temporary = files.temporary_beside(path)
    temporary.mkdir()
    try:
        for name, data in parts.items():
            files.write_synced(temporary / name, data)
        files.sync_folder(temporary)
        _put_in_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    files.sync_folder(path.parent)


def _put_in_place(temporary: Path, path: Path) -> None:
    if not path.exists():
        temporary.rename(path)
        return
    # A folder with files in it cannot be renamed over. Between these two renames the earlier
    # checkpoint is found under its second name, so a crash here loses nothing.
    earlier = _earlier(path)
    shutil.rmtree(earlier, ignore_errors=True)
    path.rename(earlier)
    try:
        temporary.rename(path)
    except BaseException:
        earlier.rename(path)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def _earlier(path: Path) -> Path:
    return path.parent / f".{path.name}.earlier"


def _settled(path: Path) -> Path:
    """`path`, or where a replacement that was cut short has left its checkpoint."""
    return path if path.exists() or not _earlier(path).is_dir() else _earlier(path)


def _safetensors_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    # The library reads memory as if it were contiguous, and would store a transposed view wrong.
    return safetensors.numpy.save({key: np.asarray(a, order="C") for key, a in arrays.items()})


def _manifest_bytes(entries: Mapping[str, Entry]) -> bytes:
    listed = {name: {"bytes": e.n_bytes, "sha256": e.sha256} for name, e in entries.items()}
    return _json_bytes({"format": FORMAT, "files": listed})


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _entry(data: bytes) -> Entry:
    return Entry(len(data), hashlib.sha256(data).hexdigest())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise WeightsError(f"Checkpoint file {path} is missing") from None
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(value, dict):
        raise _damaged(path, "it is not a JSON object")
    return value


def _check_format(path: Path, value: Mapping[str, Any]) -> None:
    if value.get("format") != FORMAT:
        from limner import __version__

        raise WeightsError(
            f"Checkpoint file {path} has format {value.get('format')!r}; "
            f"limner {__version__} reads format {FORMAT}",
            hint="use weights made for this version, or the limner that wrote them",
        )


def _read_manifest(path: Path) -> dict[str, Entry]:
    manifest = _read_json(path)
    _check_format(path, manifest)
    entries = {}
    with suppress(AttributeError, KeyError, TypeError):  # any other structure than ours
        for name, listed in manifest["files"].items():
            n_bytes, sha256 = listed["bytes"], listed["sha256"]
            # The manifest may be a stranger's: no name in it leads out of the folder.
            if _PLAIN_NAME.fullmatch(name) and isinstance(n_bytes, int):
                entries[name] = Entry(n_bytes, str(sha256))
    if CONFIG not in entries or len(entries) != len(manifest["files"]):
        raise _damaged(path, "its list of files is not one that limner wrote")
    return entries


def _verify(path: Path, entry: Entry) -> None:
    try:
        n_bytes = path.stat().st_size
        if n_bytes != entry.n_bytes:
            raise _damaged(path, f"it has {n_bytes:,} bytes instead of {entry.n_bytes:,}")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise WeightsError(f"Checkpoint file {path} is missing") from None
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    if sha256 != entry.sha256:
        raise _damaged(path, "its SHA-256 is not the one in manifest.json")


def _damaged(path: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"Checkpoint file {path} is damaged: {reason}",
        hint="copy or download the checkpoint again",
    )


def _listed(names: Any) -> str:
    return ", ".join(names)
