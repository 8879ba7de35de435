"""`limner data build`: fetch the art, join it with its words, render it, and write a manifest.

Each step keeps finished work, so an interrupted build continues, and a complete one needs no
network.
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.data.emoji import npm, splits
from limner.data.emoji.art import ARTISTS, JUDGE_ARTISTS
from limner.data.emoji.library import Library
from limner.errors import InvalidRequest
from limner.progress import StageProgress
from limner.storage import files

WORDS = "emojibase-data"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class BuildConfig:
    """What to build and where."""

    data: Path  # LIMNER_HOME/data
    artists: tuple[str, ...] = ARTISTS
    workers: int = 1  # processes that render

    def __post_init__(self) -> None:
        for artist in self.artists:
            if artist not in ARTISTS:
                raise InvalidRequest(
                    f"There is no artist {artist!r}; known are {', '.join(ARTISTS)}", param="only"
                )


def main(config: BuildConfig, report: StageProgress = lambda stage, done, total: None) -> Path:
    """Build the training set's library; returns the path of its manifest.

    Raises DataError if a package cannot be fetched or read, OutputError if the disk is full.
    """
    _fetch(config, report)
    library = Library.open(
        config.data, config.artists, config.workers, lambda *done: report("rendering", *done)
    )
    path = config.data / MANIFEST
    text = json.dumps(manifest(library, config.artists), ensure_ascii=False, indent=1)
    files.write_whole(path, text.encode() + b"\n")
    return path


def _fetch(config: BuildConfig, report: StageProgress) -> None:
    wanted = [p for p in npm.PACKAGES if p.folder in config.artists or p.folder == WORDS]
    folder = config.data / "npm"
    with files.wrap_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for index, package in enumerate(wanted):
        report(f"fetching {package.folder}", index, len(wanted))
        npm.fetch(package, folder)
    report("fetching", len(wanted), len(wanted))


def manifest(library: Library, artists: tuple[str, ...] = ARTISTS) -> dict[str, Any]:
    """Every source with version, licence, author and counts; and why drawings were skipped."""
    return {
        "format": 1,
        "sources": [_source(p, library) for p in npm.PACKAGES if p.folder in (*artists, WORDS)],
        "totals": _totals(library),
        "skipped": _skipped(library),
    }


def _source(package: npm.Package, library: Library) -> dict[str, Any]:
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
        for drawing_id, reason in library.skipped
        if drawing_id.partition("/")[0] == package.folder
    )
    return about | {
        "use": "judge only" if package.folder in JUDGE_ARTISTS else "training",
        "drawings": len(own),
        "concepts": len({entry.concept.key for entry in own}),
        "skipped": dict(sorted(left_out.items())),
    }


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


def _skipped(library: Library) -> dict[str, list[str]]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for drawing_id, reason in library.skipped:
        by_reason[reason].append(drawing_id)
    return {reason: sorted(ids) for reason, ids in sorted(by_reason.items())}
