"""From files that others made to a folder that an engine draws from: who converts is looked up."""

from __future__ import annotations

from pathlib import Path

from limner.engines.registry import imported
from limner.errors import DataError


def convert(source: str, folder: str) -> None:
    """Write what is in the folder `source` as `folder`, which must not be there yet.

    Raises DataError if nothing in `source` is known, MissingExtra, and what a converter says.
    """
    given, made = Path(source).expanduser(), Path(folder).expanduser()
    if is_dalle_mini(given):
        imported("limner.engines.dalle_mini.convert", "Converting", "dalle_mini").convert(
            given, made
        )
        return
    raise DataError(
        f"{source} holds nothing that limner converts",
        hint="give a folder with the files of DALL·E mini: encoder, decoder and detoker (.pt)",
    )


def is_dalle_mini(folder: Path) -> bool:
    """Whether the public files of DALL·E mini seem to be in `folder`, or in folders of it."""
    return folder.is_dir() and any(folder.rglob("detoker.pt"))
