"""From files that others made to a folder that an engine draws from: who converts is looked up."""

from __future__ import annotations

from pathlib import Path

from limner.engines.openvino import folder as ir_folder
from limner.engines.registry import imported
from limner.errors import DataError


def convert(source: str, folder: str) -> None:
    """Write what is in the folder `source` as `folder`, which must not be there yet.

    Raises DataError if nothing in `source` is known, MissingExtra, and what a converter says.
    """
    given, made = Path(source).expanduser(), Path(folder).expanduser()
    if is_pipeline(given):
        imported("limner.engines.openvino.convert", "Converting", "openvino,diffusion").convert(
            given, made
        )
        return
    if is_dalle_mini(given):
        imported("limner.engines.dalle_mini.convert", "Converting", "dalle_mini").convert(
            given, made
        )
        return
    raise DataError(
        f"{source} holds nothing that limner converts",
        hint="give a folder with the files of DALL·E mini: encoder, decoder and detoker (.pt), or "
        "one of a diffusers pipeline, which has model_index.json",
    )


def is_dalle_mini(folder: Path) -> bool:
    """Whether the public files of DALL·E mini seem to be in `folder`, or in folders of it."""
    places = ("detoker.pt", "*/detoker.pt", "*/*/detoker.pt")
    return any(path.is_file() for place in places for path in folder.glob(place))


def is_pipeline(folder: Path) -> bool:
    """Whether `folder` seems to be that of a diffusers pipeline, and not of OpenVINO IR."""
    return (folder / ir_folder.INDEX).is_file() and not ir_folder.is_ir(folder)
