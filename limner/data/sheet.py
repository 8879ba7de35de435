"""A page of pictures with a line of text under each, to be looked at."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from limner.model import pixels
from limner.storage import files

_PAGE = (240, 240, 242)
_LINES = 3
_LINE_PX = 13
_GAP_PX = 8
# Pillow's own font has no Chinese; these are where Linux and macOS keep one that has.
_CHINESE_FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/System/Library/Fonts/PingFang.ttc",
)


def chinese_font() -> str | None:
    """The path of a font with Chinese letters, if this machine has one where they usually are."""
    return next((path for path in _CHINESE_FONTS if Path(path).exists()), None)


def write_sheet(
    pictures: Sequence[NDArray[np.uint8]],
    texts: Sequence[str],
    path: Path,
    columns: int = 8,
    font_path: str | None = None,
) -> None:
    """Writes premultiplied pictures, all (px, px, 4), row by row with their texts as one PNG.

    Raises OutputError if the file cannot be written.
    """
    px = pictures[0].shape[0]
    cell_width, cell_height = max(px, 150) + _GAP_PX, px + _LINES * _LINE_PX + 2 * _GAP_PX
    n_rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * cell_width, n_rows * cell_height), _PAGE)
    draw = ImageDraw.Draw(page)
    font = ImageFont.truetype(font_path, 11) if font_path else ImageFont.load_default(11)
    for place, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        left, top = place % columns * cell_width, place // columns * cell_height
        shown = Image.fromarray(pixels.composite(pixels.unpremultiply(picture), _PAGE))
        page.paste(shown, (left + (cell_width - px) // 2, top + _GAP_PX // 2))
        width = cell_width // (12 if any(ord(letter) > 0x2E80 for letter in text) else 6)
        for number, line in enumerate(textwrap.wrap(text, width)[:_LINES]):
            spot = (left + 4, top + px + _GAP_PX + number * _LINE_PX)
            draw.text(spot, line, fill=(20, 20, 20), font=font)
    straight = np.dstack([np.asarray(page), np.full((page.height, page.width), 255, np.uint8)])
    files.write_whole(path, pixels.encode(straight, "png"))
