"""A picture in the terminal, two pixels a character; in grey if colour is switched off."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.style import Style
from rich.text import Text

from limner.arrays import Pixels
from limner.imaging import codec as px

MAX_COLUMNS = 64
SHADES = " ░▒▓█"  # dark to bright, as on a dark terminal
SOLID = 128  # alpha from which a pixel is shown


def print_picture(pixels: Pixels, console: Console | None = None) -> None:
    """Print straight `(H, W, 4)` to stderr, or to `console`, at most MAX_COLUMNS wide."""
    console = console or Console(stderr=True)
    height, width = pixels.shape[:2]
    columns = min(console.width, MAX_COLUMNS, width)
    rows = max(1, round(columns * height / width / 2))
    small = px.resize(pixels, columns, 2 * rows, "area")
    lines = small.reshape(rows, 2, columns, 4)
    in_colour = console.color_system is not None and not console.no_color
    for line in lines:
        text = _blocks(line) if in_colour else _shades(line)
        console.print(text, no_wrap=True, crop=False)


def _blocks(line: Pixels) -> Text:
    """`(2, W, 4)` as half blocks: the upper pixel in front, the lower one behind."""
    text = Text()
    for upper, lower in zip(line[0], line[1], strict=True):
        if upper[3] >= SOLID and lower[3] >= SOLID:
            text.append("▀", Style(color=_hex(upper), bgcolor=_hex(lower)))
        elif upper[3] >= SOLID:
            text.append("▀", Style(color=_hex(upper)))
        elif lower[3] >= SOLID:
            text.append("▄", Style(color=_hex(lower)))
        else:
            text.append(" ")
    return text


def _shades(line: Pixels) -> Text:
    """`(2, W, 4)` by brightness alone (ITU-R BT.601 luma), clear pixels as black."""
    grey = px.composite(line, (0, 0, 0)) @ np.array([0.299, 0.587, 0.114])
    steps = (grey.mean(axis=0) / 256 * len(SHADES)).astype(int)
    return Text("".join(SHADES[step] for step in steps))


def _hex(pixel: Pixels) -> str:
    return f"#{pixel[0]:02x}{pixel[1]:02x}{pixel[2]:02x}"
