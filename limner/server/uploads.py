"""Pictures that people send: what they are by their bytes, and their pixels within bounds."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

from limner.errors import DataError
from limner.model import pixels as px

MAX_SIDE_PX = 8192
MAX_PIXELS = 4096 * 4096  # of one picture: 67 MB once decoded
MAX_TOTAL_PIXELS = 4 * MAX_PIXELS  # of all pictures of a request

# What a file is, its first bytes say; names and declared types are often wrong.
_PNG = b"\x89PNG\r\n\x1a\n"
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")


@dataclass(frozen=True)
class RawFile:
    """A file as it arrived, its bytes not read yet."""

    content_type: str  # as declared, and not relied upon
    n_bytes: int
    file: BinaryIO

    def read(self) -> bytes:
        """All its bytes."""
        self.file.seek(0)
        return self.file.read()

    def mime(self) -> str:
        """Its type by its first bytes; the declared one when they say nothing."""
        self.file.seek(0)
        return sniff(self.file.read(16)) or self.content_type or "application/octet-stream"


@dataclass(frozen=True, eq=False)
class Upload:
    """A picture that was sent, decoded and turned upright."""

    pixels: px.Pixels  # (H, W, 4) straight RGBA
    has_alpha: bool  # whether its file can hold transparency, used or not

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[0])


def sniff(head: bytes) -> str | None:
    """The type of a picture by its first 12 bytes or more; None if it is none we know."""
    if head.startswith(_PNG):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"BM"):
        return "image/bmp"
    return None


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Upload:
    """Decode the file `data`; too large, animated or damaged ones are a DataError.

    Its header is looked at first: a bomb is refused before a byte of it is unpacked.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            width, height = image.size
            has_alpha = image.mode in _WITH_ALPHA or "transparency" in image.info
            n_frames = getattr(image, "n_frames", 1)
    except Image.DecompressionBombError as error:
        raise DataError(f"The picture is too large: {error}") from error
    except Exception as error:  # a header can be wrong in more ways than Pillow's authors list
        raise DataError(f"The picture is damaged: {type(error).__name__}") from error
    if max(width, height) > MAX_SIDE_PX or width * height > max_pixels:
        raise DataError(
            f"The picture is {width}x{height}",
            hint=f"a side may have {MAX_SIDE_PX:,} pixels, and all together {max_pixels:,}",
        )
    if n_frames > 1:
        raise DataError(f"The picture is animated: it has {n_frames} frames; send one of them")
    return Upload(px.decode(data, max_pixels=max_pixels), has_alpha)
