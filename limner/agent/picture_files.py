"""Files of pictures for the tools: a small copy to show, a mask of a box, the ending of a name."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from limner.errors import LimnerError
from limner.imaging import codec, decode_upload

SMALL_PX = 512


class WrongBox(LimnerError):
    """A box that is not within the picture."""


def ending(data: bytes) -> str:
    """The ending of a file's name, by its first bytes."""
    if data.startswith(b"\xff\xd8"):
        return "jpg"
    return "webp" if data[8:12] == b"WEBP" else "png"


def media_type(data: bytes) -> str:
    """The media type of a file, by its first bytes."""
    return f"image/{'jpeg' if ending(data) == 'jpg' else ending(data)}"


def small(data: bytes) -> bytes:
    """A reduced WebP file, with sides of at most SMALL_PX."""
    pixels = decode_upload.read(data).pixels
    height, width = pixels.shape[:2]
    scale = min(1.0, SMALL_PX / max(height, width))
    reduced = codec.resize(pixels, max(1, round(width * scale)), max(1, round(height * scale)))
    return codec.encode(reduced, "webp", quality=80)


def box_mask(data: bytes, box: Sequence[float]) -> bytes:
    """A PNG mask of the picture's size, transparent in `box`: left, top, right, bottom, 0 to 1.

    Raises WrongBox.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise WrongBox(
            f"The box {list(box)} is not left, top, right, bottom with values from 0 to 1"
        )
    size = decode_upload.read(data)
    mask = np.full((size.height, size.width, 4), 255, np.uint8)
    rows = slice(round(top * size.height), max(round(bottom * size.height), 1))
    columns = slice(round(left * size.width), max(round(right * size.width), 1))
    mask[rows, columns] = 0
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()
