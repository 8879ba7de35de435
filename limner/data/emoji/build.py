"""`limner data build`: fetch the art, join it with its words, render it, and write a manifest.

Each step keeps finished work, so an interrupted build continues, and a complete one needs no
network.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.data.emoji import debian, further, npm, openclipart, splits
from limner.data.emoji.art import ALL_ARTISTS, FURTHER_ARTISTS, JUDGE_ARTISTS
from limner.data.emoji.library import Library
from limner.errors import DataError, InvalidRequest
from limner.progress import StageProgress
from limner.storage import files

WORDS = "emojibase-data"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class BuildConfig:
    """What to build and where."""

    data: Path  # LIMNER_HOME/data
    artists: tuple[str, ...] = ALL_ARTISTS
    workers: int = 1  # processes that render

    def __post_init__(self) -> None:
        for artist in self.artists:
            if artist not in ALL_ARTISTS:
                raise InvalidRequest(
                    f"There is no artist {artist!r}; known are {', '.join(ALL_ARTISTS)}",
                    param="only",
                )


def main(config: BuildConfig, report: StageProgress = lambda stage, done, total: None) -> Path:
    """Build the training set's library; returns the path of its manifest.

    Raises DataError if a package cannot be fetched or read, OutputError if the disk is full.
    """
    _fetch(config, report)
    left_out = _fetch_clip_art(config, report)
    artists = tuple(artist for artist in config.artists if artist not in left_out)
    library = Library.open(
        config.data, artists, config.workers, lambda *done: report("rendering", *done)
    )
    unnamed = _unnamed(config.data / "npm", artists)
    path = config.data / MANIFEST
    table = manifest(library, artists, unnamed) | ({"missing": left_out} if left_out else {})
    text = json.dumps(table, ensure_ascii=False, indent=1)
    files.write_whole(path, text.encode() + b"\n")
    return path


def missing(manifest_path: Path) -> dict[str, str]:
    """The artists that a build had to leave out, with the reason."""
    table: dict[str, Any] = json.loads(manifest_path.read_text(encoding="utf-8"))
    left_out: dict[str, str] = table.get("missing", {})
    return left_out


def _fetch(config: BuildConfig, report: StageProgress) -> None:
    wanted = [p for p in npm.PACKAGES if p.folder in config.artists or p.folder == WORDS]
    folder = config.data / "npm"
    with files.wrap_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for index, package in enumerate(wanted):
        report(f"fetching {package.folder}", index, len(wanted))
        npm.fetch(package, folder)
    report("fetching", len(wanted), len(wanted))


def _fetch_clip_art(config: BuildConfig, report: StageProgress) -> dict[str, str]:
    """The clip art of Debian's package; the reason if it cannot be had, by artist.

    Not every machine has a Debian client, and the other art is worth building without it.
    """
    artist, folder = openclipart.ARTIST, config.data / "npm"
    if artist not in config.artists or openclipart.is_ready(folder):
        return {}
    try:
        package = debian.fetch(debian.OPENCLIPART, config.data / "debian")
    except DataError as error:
        if config.artists == (artist,):
            raise
        return {artist: error.message}
    openclipart.make(package, folder, lambda *done: report("reading clip art", *done))
    return {}


def _unnamed(packages: Path, artists: tuple[str, ...]) -> list[tuple[str, str]]:
    """Id and reason of each drawing of the further artists that the library never saw."""
    rows = []
    for artist in artists:
        if artist == openclipart.ARTIST:
            rows += openclipart.skipped(packages)
        elif artist in FURTHER_ARTISTS:
            icons = json.loads((packages / artist / "icons.json").read_text(encoding="utf-8"))
            names = sorted(set(icons["icons"]) - set(further.things(artist)))
            rows += [(f"{artist}/{name}", further.NO_NAME) for name in names]
    return rows


def manifest(
    library: Library,
    artists: tuple[str, ...] = ALL_ARTISTS,
    unnamed: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Every source with version, licence, author and counts; and why drawings were skipped."""
    skipped = (*library.skipped, *unnamed)
    packages: list[npm.Package | debian.DebianPackage] = [*npm.PACKAGES, debian.OPENCLIPART]
    wanted = [package for package in packages if package.folder in (*artists, WORDS)]
    return {
        "format": 1,
        "sources": [_source(package, library, skipped) for package in wanted],
        "totals": _totals(library),
        "skipped": _skipped(skipped),
    }


def _source(
    package: npm.Package | debian.DebianPackage,
    library: Library,
    skipped: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    about: dict[str, Any] = {
        "package": package.name,
        "version": package.version,
        "licence": package.licence,
        "author": package.author,
        "integrity": package.integrity,
    }
    if package.folder == WORDS:
        return about | {"use": "captions: labels and tags, which come from Unicode CLDR"}
    own = [entry for entry in library.entries if entry.drawing.artist == package.folder]
    left_out = Counter(
        "a duplicate" if reason.startswith("the same picture") else reason
        for drawing_id, reason in skipped
        if drawing_id.partition("/")[0] == package.folder
    )
    return about | {
        "use": _use(package.folder),
        "drawings": len(own),
        "concepts": len({entry.concept.key for entry in own}),
        "skipped": dict(sorted(left_out.items())),
    }


def _use(artist: str) -> str:
    if artist in JUDGE_ARTISTS:
        return "judge only"
    return "training that asks for more-art" if artist in FURTHER_ARTISTS else "training"


def _totals(library: Library) -> dict[str, Any]:
    concepts = {entry.concept.key: entry.concept for entry in library.entries}
    training = [
        entry
        for entry in library.entries
        if splits.may_train_on(entry.drawing.artist, entry.concept)
    ]
    return {
        "drawings": len(library),
        "concepts": len(concepts),
        "concepts_with_chinese": sum("zh" in concept.labels for concept in concepts.values()),
        "training_drawings": len(training),
        "training_concepts": len({entry.concept.key for entry in training}),
        "held_out_concepts": sum(splits.is_held_out_concept(c) for c in concepts.values()),
        "recolourable_drawings": sum(entry.is_tintable for entry in library.entries),
        "placeable_drawings": sum(entry.is_thing for entry in library.entries),
    }


def _skipped(skipped: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for drawing_id, reason in skipped:
        by_reason[reason].append(drawing_id)
    return {reason: sorted(ids) for reason, ids in sorted(by_reason.items())}
