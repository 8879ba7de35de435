"""Downloads of a home: planned first, then fetched whole or not at all, with a manifest.

A download is `downloads/NAME/`. Until all of it is there and checked, it is
`downloads/.NAME.part/`, and a later attempt goes on from there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import DataError, OutputError, needed
from limner.progress import StepProgress
from limner.storage import files
from limner.storage.hub import fetching
from limner.storage.hub.choosing import RemoteFile, chosen
from limner.storage.hub.fetching import Fetched
from limner.storage.hub.source import FileSource, HubSource

FOLDER = "downloads"  # in the home
MANIFEST = "limner-download.json"
_SPARE = 200_000_000  # bytes that stay free on the disk


@dataclass(frozen=True)
class Plan:
    """A download that can begin: what it is, and what it takes."""

    source: str  # with the commit, so that it names the same files for ever
    licence: str  # as the hub says, "unknown" if it does not
    files: tuple[RemoteFile, ...]
    folder: Path  # where it will be
    n_free: int  # bytes on the disk

    @property
    def n_bytes(self) -> int:
        """Of all files."""
        return sum(file.n_bytes for file in self.files)

    @property
    def single(self) -> Path | None:
        """The file, if it is only one."""
        return self.folder / self.files[0].path if len(self.files) == 1 else None

    @property
    def part(self) -> Path:
        """The folder until it is complete."""
        return self.folder.with_name(f".{self.folder.name}.part")

    def n_left(self) -> int:
        """Bytes that are still to be fetched."""
        return sum(max(0, file.n_bytes - fetching.n_there(file, self.part)) for file in self.files)


def plan(source: HubSource | FileSource, name: str, home: Path) -> Plan:
    """Ask what there is to fetch; fetches nothing.

    Raises DataError if it is not there, not reachable, or pickled; OutputError if the disk has not
    enough room; MissingExtra without huggingface_hub.
    """
    with needed("Downloading a model", "limner[hub]"):
        from limner.storage.hub import asking
    folder = home / FOLDER / name
    if folder.exists():
        raise OutputError(
            f"{folder} is there already",
            hint=f"`limner models add NAME {folder}` adds it; or delete it, or take another name",
        )
    with files.wrap_os_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        n_free = shutil.disk_usage(folder.parent).free
    if isinstance(source, FileSource):
        found = asking.file(source)
        planned = Plan(str(source), "unknown", (found,), folder, n_free)
    else:
        told = asking.repository(source)
        named = HubSource(source.repo, source.path, told.commit)
        kept = tuple(chosen(told.files, source.path, str(source)))
        planned = Plan(str(named), told.licence, kept, folder, n_free)
    if (n_left := planned.n_left()) + _SPARE > n_free:
        raise OutputError(
            f"{source} takes {_gb(n_left)} more, and {folder.parent} has {_gb(n_free)} free",
            hint="free some space, or set LIMNER_HOME to a folder on a larger disk",
        )
    return planned


def fetch(plan: Plan, progress: StepProgress) -> Path:
    """Fetch what `plan` says, and check it; returns the folder.

    `progress` is told the bytes that are there, and all. Raises DataError for a lost connection or
    content that is not what the hub said (what is right stays for the next attempt), OutputError
    if it cannot be written.
    """
    with files.wrap_os_errors(plan.folder):
        plan.part.mkdir(parents=True, exist_ok=True)
        fetched = fetching.fetch_all(plan.files, plan.part, progress)
        _write_manifest(plan, fetched)
        os.replace(plan.part, plan.folder)
        files.sync_folder(plan.folder.parent)
    return plan.folder


def told_of(folder: Path) -> Mapping[str, Any] | None:
    """The manifest of a download; None if `folder` is none."""
    try:
        told: Mapping[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return told


def remove(folder: Path, home: Path) -> int:
    """Delete a download of this home; returns its bytes. Raises DataError if it is none."""
    if folder.parent != home / FOLDER or told_of(folder) is None:
        raise DataError(f"{folder} was not downloaded by limner", hint="delete it yourself")
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    with files.wrap_os_errors(folder):
        shutil.rmtree(folder)
    return n_bytes


def _write_manifest(plan: Plan, fetched: list[Fetched]) -> None:
    told = {
        "source": plan.source,
        "licence": plan.licence,
        "files": {one.path: {"n_bytes": one.n_bytes, "sha256": one.sha256} for one in fetched},
    }
    files.write_whole(plan.part / MANIFEST, json.dumps(told, indent=2).encode() + b"\n")


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.2f} GB"
