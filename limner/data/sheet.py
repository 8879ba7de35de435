"""A page of pictures with captions, for people to look at."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from limner.imaging import codec
from limner.imaging.provenance.label import Label
from limner.storage import files

_PAGE = (240, 240, 242)
_LINES = 3
_LINE_PX = 13
_GAP_PX = 8
_FIRST_EMOJI = 0x1F000
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
# Pillow's own font has no Chinese; these are where Linux and macOS keep one that has.
_CHINESE_FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
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
    label: Label | None = None,
) -> None:
    """Writes premultiplied pictures, all (px, px, 4), row by row with their texts as one PNG.

    `label` is the provenance label of the file.

    Raises OutputError if the file cannot be written.
    """
    px = pictures[0].shape[0]
    cell_width, cell_height = max(px, 150) + _GAP_PX, px + _LINES * _LINE_PX + 2 * _GAP_PX
    n_rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * cell_width, n_rows * cell_height), _PAGE)
    draw = ImageDraw.Draw(page)
    font = ImageFont.truetype(font_path, 11) if font_path else ImageFont.load_default(11)
    width = cell_width - 2 * _GAP_PX
    for index, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        left, top = index % columns * cell_width, index // columns * cell_height
        shown = Image.fromarray(codec.composite(codec.unpremultiply(picture), _PAGE))
        page.paste(shown, (left + (cell_width - px) // 2, top + _GAP_PX // 2))
        for number, line in enumerate(_lines(readable(text), font, width)):
            spot = (left + 4, top + px + _GAP_PX + number * _LINE_PX)
            draw.text(spot, line, fill=(20, 20, 20), font=font)
    straight = np.dstack([np.asarray(page), np.full((page.height, page.width), 255, np.uint8)])
    data = codec.encode(straight, "png")
    files.write_whole(path, label.attach(data) if label else data)


def readable(text: str) -> str:
    """A text with each emoji replaced by its name, as text fonts lack emoji."""
    found = []
    for letter in text:
        if ord(letter) >= _FIRST_EMOJI:
            found.append(f"[emoji {unicodedata.name(letter, hex(ord(letter))).lower()}]")
        else:
            found.append(letter)
    return "".join(found)


def _lines(text: str, font: _Font, width: int) -> list[str]:
    """At most _LINES lines of a text, none wider than `width` px, broken at spaces if possible."""
    lines, line = [], ""
    for letter in text:
        if font.getlength(line + letter) <= width:
            line += letter
            continue
        kept, space, rest = line.rpartition(" ")
        lines.append(kept if space else line)
        line = ((rest if space else "") + letter).lstrip()
    lines.append(line)
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], f"{lines[_LINES - 1][:-1]}…"]
    return lines
