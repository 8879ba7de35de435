"""Animations as GIF files, after the GIF89a specification (CompuServe, 1990).

Pillow compresses each frame. The file is assembled here, because Pillow drops equal frames and so
would change their number.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

from limner.arrays import Pixels

MAX_DELAY_MS = 655_350  # the delay is a 16-bit number of hundredths of a second
_CLEAR = 255  # the index of clear pixels; the others are colours
_N_COLOURS = 255
HALF = 128  # alpha below it is clear: a pixel of a GIF is clear or it is not
_KEEP, _RESTORE = 1, 2  # disposal of a frame after its delay
_MAX_BLOCK = 255


def encode(frames: Iterable[Pixels], delay_ms: int, text: Mapping[str, str] | None = None) -> bytes:
    """A GIF file of straight RGBA frames (H, W, 4), of one shape, that loops for ever.

    All frames have the palette of the first: 255 colours, without dithering. The delay is rounded
    to 10 ms, and is 10 to MAX_DELAY_MS. `text` is stored as JSON in a comment.
    """
    file = bytearray()
    palette: Image.Image | None = None
    is_clear = False
    for pixels in frames:
        if palette is None:
            palette, is_clear = _palette(pixels), bool((pixels[..., 3] < HALF).any())
            height, width = pixels.shape[:2]
            file += _head(width, height, palette, text or {})
        file += _control(delay_ms, is_clear=is_clear) + _image(pixels, palette)
    return bytes(file + b";")


def _palette(pixels: Pixels) -> Image.Image:
    """An image whose palette has the colours of the visible pixels."""
    seen = pixels[pixels[..., 3] >= HALF][:, :3]
    if not len(seen):
        seen = np.zeros((1, 3), np.uint8)
    colours = Image.fromarray(np.ascontiguousarray(seen[None]))
    return colours.quantize(_N_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _head(width: int, height: int, palette: Image.Image, text: Mapping[str, str]) -> bytes:
    colours = bytes(palette.getpalette() or ())[: 3 * _N_COLOURS].ljust(3 * 256, b"\0")
    # A global palette of 256 colours, 8 bits each; no background, square pixels.
    screen = struct.pack("<HHBBB", width, height, 0b1111_0111, 0, 0)
    loop = b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    comment = b"!\xfe" + _blocks(json.dumps(dict(text)).encode("ascii")) if text else b""
    return b"GIF89a" + screen + colours + loop + comment


def _control(delay_ms: int, *, is_clear: bool) -> bytes:
    delay = max(1, (min(delay_ms, MAX_DELAY_MS) + 5) // 10)
    flags = ((_RESTORE if is_clear else _KEEP) << 2) | is_clear
    return b"!\xf9\x04" + struct.pack("<BHB", flags, delay, _CLEAR) + b"\0"


def _image(pixels: Pixels, palette: Image.Image) -> bytes:
    """The image block of a frame."""
    colours = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    indices = np.array(colours.quantize(palette=palette, dither=Image.Dither.NONE))
    indices[pixels[..., 3] < HALF] = _CLEAR
    frame = Image.fromarray(indices, "L")
    frame.putpalette(bytes(3 * 256))
    file = io.BytesIO()
    frame.save(file, "GIF", optimize=False)
    return _image_block(file.getvalue())


def _image_block(data: bytes) -> bytes:
    """The image block of a GIF file with one frame and a global palette."""
    at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    while data[at] == 0x21:  # an extension
        at = _end_of_blocks(data, at + 2)
    end = _end_of_blocks(data, at + 11)  # a descriptor of 10 bytes, and the size of codes
    return data[at:end]


def _end_of_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1


def _blocks(data: bytes) -> bytes:
    parts = [data[at : at + _MAX_BLOCK] for at in range(0, len(data), _MAX_BLOCK)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
