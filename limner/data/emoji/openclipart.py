"""The Open Clip Art Library of a Debian package, as an icon package like those of other artists.

Written into the artist's folder: `icons.json` with the drawings that are named in further.json and
can be used, an empty `chars.json`, and `skipped.json` with the reason for every other file.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from limner.data.emoji import clip_art, debian, further
from limner.errors import DataError
from limner.progress import StepProgress
from limner.storage import files

ARTIST = "openclipart"
SKIPPED = "skipped.json"
_ROOT = "usr/share/openclipart/svg/"
_STAMP = ".digest"  # written last, so a folder without it is unfinished
_FORMAT = 1  # raise it when clip_art makes other icons of the same files
# What whole folders of the library hold, by the beginning of a path.
_FOLDERS = (
    (r"computer/(icons|buttons|folders|diagrams)|buttons", "an interface icon"),
    (r"recreation/games/cards", "a playing card"),
    (r"signs_and_symbols/flags", "a flag"),
    (
        r"signs_and_symbols/(map_symbols|led|hazard|disability)|transportation/(aiga|roadsigns)",
        "a sign",
    ),
    (r"special|shapes", "a pattern, a frame or a bare shape"),
    (r"logos", "a trade mark"),
)


def is_ready(folder: Path) -> bool:
    """Whether the artist's folder in `folder` is complete and of today's table of names."""
    try:
        return (folder / ARTIST / _STAMP).read_text(encoding="utf-8") == _digest()
    except OSError:
        return False


def make(package: Path, folder: Path, report: StepProgress) -> None:
    """Make the artist's folder in `folder` of Debian's package.

    Raises DataError if the package cannot be read.
    """
    found = {
        name: content
        for path, content in debian.members(package)
        if (name := _name(path)) is not None
    }
    icons: dict[str, dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    for done, name in enumerate(sorted(found)):
        report(done, len(found))
        try:
            icons[name] = _icon(name, found[name])
        except DataError as error:
            skipped[name] = error.message
    _write(folder / ARTIST, icons, skipped)


def skipped(folder: Path) -> list[tuple[str, str]]:
    """Id and reason of each file that was left out when the artist's folder was made."""
    try:
        table = json.loads((folder / ARTIST / SKIPPED).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"What was left out of {ARTIST} cannot be read from {folder / ARTIST}: {error}",
            hint=f"Delete {folder / ARTIST} and run `limner data build` again.",
        ) from error
    return [(f"{ARTIST}/{name}", reason) for name, reason in table.items()]


def _name(path: str) -> str | None:
    is_drawing = path.startswith(_ROOT) and path.endswith(".svg")
    return str(PurePosixPath(path.removeprefix(_ROOT)).with_suffix("")) if is_drawing else None


def _icon(name: str, content: bytes) -> dict[str, Any]:
    is_named = name in further.things(ARTIST)
    for start, reason in _FOLDERS:
        if re.match(start, name) and not is_named:
            raise DataError(reason)
    drawing = clip_art.clean(content)
    if not is_named:
        raise DataError(further.NO_NAME)
    return clip_art.icon(drawing)


def _digest() -> str:
    names = "\n".join(sorted(further.things(ARTIST)))
    return hashlib.sha256(f"{_FORMAT}|{debian.OPENCLIPART.sha256}|{names}".encode()).hexdigest()


def _write(target: Path, icons: dict[str, dict[str, Any]], skipped: dict[str, str]) -> None:
    with files.wrap_os_errors(target):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
    contents = {"icons.json": {"icons": icons}, "chars.json": {}, SKIPPED: skipped}
    for name, content in contents.items():
        files.write_whole(target / name, json.dumps(content, ensure_ascii=False).encode())
    files.write_whole(target / _STAMP, _digest().encode())
