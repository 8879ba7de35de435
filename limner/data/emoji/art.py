"""The open art: vector drawings by artist, read from the icon packages and rendered.

A package holds one `icons.json`: a table from a drawing's name to its SVG body. Drawings are
rasterised on demand, at any size.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limner.data.emoji import further
from limner.errors import DataError, needed

TRAINING_ARTISTS = (
    "noto",
    "twemoji",
    "fluent-emoji",
    "fluent-emoji-flat",
    "streamline-emojis",
    "flat-color-icons",
)
# Never used for the tokenizer or the generator; the independent judge is trained on them.
JUDGE_ARTISTS = ("emojione", "fxemoji", "noto-v1")
ARTISTS = TRAINING_ARTISTS + JUDGE_ARTISTS
# For training alone, in runs that ask for them: evaluation and earlier runs keep ARTISTS.
FURTHER_ARTISTS = (
    "streamline-ultimate-color",
    "streamline-kameleon-color",
    "streamline-stickies-color",
    "fluent-color",
    "icon-park",
    "meteocons",
    "openclipart",
)
ALL_ARTISTS = ARTISTS + FURTHER_ARTISTS
# Left, top, width and height of what an artist's drawings fill, where the page is far larger.
_FRAMES = {"meteocons": (52, 76, 408, 408)}


@dataclass(frozen=True)
class Drawing:
    """One vector drawing of one artist."""

    id: str  # "noto/red-apple"
    artist: str
    concept: str  # an emoji's code points, "1F34E", or "name:idea" if no emoji matches
    name: str  # the artist's own name, "red-apple"; of a further artist what it shows, "red apple"
    svg: str  # a whole SVG document


def load(packages: Path, artists: tuple[str, ...] = ARTISTS) -> list[Drawing]:
    """Every drawing of the given artists, in a stable order.

    `packages` holds one folder an artist with the icon package's files. Raises DataError for a
    package that is not there or cannot be read.
    """
    return [drawing for artist in artists for drawing in _read_package(packages / artist, artist)]


def _read_package(folder: Path, artist: str) -> Iterator[Drawing]:
    try:
        table = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
        chars = json.loads((folder / "chars.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"The drawings of {artist} cannot be read from {folder}: {error}",
            hint="Run `limner data build`, which fetches them.",
        ) from error
    code_points_from_name: dict[str, str] = {}
    for code_points, name in chars.items():
        code_points_from_name.setdefault(name, code_points.upper())
    width, height = table.get("width", 16), table.get("height", 16)
    frame = dict(zip(("left", "top", "width", "height"), _FRAMES.get(artist, ()), strict=False))
    for name in sorted(table["icons"]):
        icon = table["icons"][name] | frame
        said = further.things(artist).get(name) if artist in FURTHER_ARTISTS else name
        if icon.get("hidden") or said is None:
            continue
        yield Drawing(
            id=f"{artist}/{name}",
            artist=artist,
            concept=code_points_from_name.get(name, f"name:{name}"),
            name=said,
            svg=_document(icon, width, height),
        )


def _document(icon: dict[str, Any], width: float, height: float) -> str:
    box = (
        icon.get("left", 0),
        icon.get("top", 0),
        icon.get("width", width),
        icon.get("height", height),
    )
    view = " ".join(f"{side:g}" for side in box)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{view}" color="#333333">{icon["body"]}</svg>'
    )


def render(svg: str, px: int) -> NDArray[np.uint8]:
    """The drawing as premultiplied RGBA, shape (px, px, 4), centred if it is not square.

    Raises DataError if the SVG cannot be drawn or draws nothing, MissingExtra without resvg.
    """
    with needed("Rendering drawings", "limner[train]"):
        import resvg_py  # only needed to build a training set
    try:
        encoded = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=px, height=px))
        straight = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGBA"))
    except (ValueError, OSError) as error:
        raise DataError(f"A drawing cannot be rendered at {px} px: {error}") from error
    if not straight[..., 3].any():
        raise DataError(f"A drawing renders to nothing at {px} px")
    return _centred(_premultiply(straight), px)


def _premultiply(straight: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = straight.astype(np.uint16)
    picture[..., :3] = (picture[..., :3] * picture[..., 3:] + 127) // 255
    return picture.astype(np.uint8)


def _centred(picture: NDArray[np.uint8], px: int) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    if (height, width) == (px, px):
        return picture
    square = np.zeros((px, px, 4), np.uint8)
    top, left = (px - min(height, px)) // 2, (px - min(width, px)) // 2
    square[top : top + height, left : left + width] = picture[:px, :px]
    return square
