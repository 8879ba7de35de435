"""Decoding uploaded pictures within limits, with plain error messages.

The header is checked before decoding: sides, pixels, frames, and for a JPEG its scans and the
memory that its decoder needs. A JPEG of more than `max_pixels` pixels, such as a photo of 24 or 48
megapixels, is decoded at a half, a quarter or an eighth of its sides, so it takes no more memory
than a small one.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from limner.arrays import Pixels
from limner.errors import DataError
from limner.imaging import codec as px
from limner.imaging import named_file
from limner.imaging.jpeg_cost import coefficient_bytes, count_scans

MAX_SIDE_PX = 8192
MAX_PIXELS = 4096 * 4096  # of one picture: 67 MB once decoded
MAX_JPEG_SIDE_PX = 16_384  # a JPEG can be decoded at a reduced size
MAX_JPEG_PIXELS = 120_000_000
MAX_JPEG_SCANS = 100  # cameras write 1, programs up to about 20; each passes over the whole picture
MAX_JPEG_COEFFICIENT_BYTES = 160_000_000  # in memory at once if there are several scans
FORMATS = ("PNG", "JPEG", "WEBP")
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<svg")

_JPEG = b"\xff\xd8\xff"
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap the sides


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An uploaded picture, decoded and turned upright."""

    pixels: Pixels  # (H, W, 4) straight RGBA
    has_alpha: bool  # whether its file can hold transparency, used or not

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True, eq=False)
class Opened:
    """A picture file whose header is within the limits; not decoded yet."""

    image: Image.Image
    width: int  # in pixels, upright; of the file, even if it is decoded smaller
    height: int
    has_alpha: bool
    is_turned: bool  # whether EXIF in its header may rotate it
    shrink: int = 1  # 1, 2, 4 or 8: divisor of each side when decoded

    @property
    def n_pixels(self) -> int:
        """The number of pixels after decoding."""
        return self.width * self.height // self.shrink**2

    def decode(self) -> Pixels:
        """Decode to (H, W, 4) straight RGBA, upright. Raises DataError for a damaged file."""
        if self.shrink > 1:
            width, height = self.image.size
            self.image.draft("RGB", (width // self.shrink, height // self.shrink))
        return px.upright(self.image, is_turned=self.is_turned)


def open_file(file: BinaryIO, *, max_pixels: int = MAX_PIXELS) -> Opened:
    """Read a picture's header. Raises DataError if too large, animated, damaged or no picture.

    Keep `file` open until the picture is decoded.
    """
    with _reported(file):
        file.seek(0)
        is_jpeg = file.read(len(_JPEG)) == _JPEG
        file.seek(0)
        # Image.open treats a JPEG followed by another picture, as cameras write, as an animation
        # (MPO).
        image = JpegImageFile(file) if is_jpeg else Image.open(file, formats=FORMATS)
        has_alpha = image.mode in _WITH_ALPHA or "transparency" in image.info
        width, height = image.size
        _check_sides(width, height, max_pixels, is_jpeg=is_jpeg)
        if is_jpeg:
            _check_jpeg(image, file)
        elif (n_frames := getattr(image, "n_frames", 1)) > 1:
            raise DataError(f"The picture is animated: it has {n_frames} frames; send one of them")
        # To find EXIF data after the pixels of a PNG, Pillow would decode the pixels.
        is_told = image.format != "PNG" or "exif" in image.info
        if is_told and image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
            width, height = height, width
    shrink = 1
    while width * height // shrink**2 > max_pixels:
        shrink *= 2
    return Opened(image, width, height, has_alpha, is_told, shrink)


def read(data: bytes, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Decode the file `data`. Raises DataError if too large, animated, damaged or no picture.

    The header is checked first, so a decompression bomb is refused before decoding.
    """
    opened = open_file(io.BytesIO(data), max_pixels=max_pixels)
    return DecodedImage(opened.decode(), opened.has_alpha)


def read_file(path: str | Path) -> DecodedImage:
    """Decode the picture at `path`. Raises DataError with its name."""
    return named_file.read(path, read)


def not_a_picture(head: bytes) -> str:
    """A message about common files that are no pictures, by the first bytes; empty if unknown."""
    if not head:
        return "The file is empty: it has 0 bytes"
    if head.lstrip().lower().startswith(_MARKUP):
        return "The file is a page of text (HTML or XML), whatever its name says"
    return ""


@contextmanager
def _reported(file: BinaryIO) -> Iterator[None]:
    """Turn Pillow's errors on headers into DataError."""
    try:
        yield
    except DataError:
        raise
    except UnidentifiedImageError as error:
        n_bytes = file.seek(0, io.SEEK_END)
        file.seek(0)
        what = not_a_picture(file.read(64))
        raise DataError(
            what or f"The picture is damaged, or none that is read ({n_bytes:,} bytes)",
            hint=f"formats read are {', '.join(FORMATS)}",
        ) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"The picture is too large: {error}") from error
    except Exception as error:  # Pillow raises undocumented errors on bad headers
        raise DataError(f"The picture is damaged: {type(error).__name__}") from error


def _check_sides(width: int, height: int, max_pixels: int, *, is_jpeg: bool) -> None:
    # A picture that fits in full may also be reduced; a smaller budget, left over by other
    # pictures of the request, must not be exceeded.
    if is_jpeg and max_pixels >= MAX_PIXELS:
        most_side, most = MAX_JPEG_SIDE_PX, MAX_JPEG_PIXELS
    else:
        most_side, most = MAX_SIDE_PX, max_pixels
    if max(width, height) > most_side or width * height > most:
        raise DataError(
            f"The picture is {width}x{height}",
            hint=f"a side may have {most_side:,} pixels, and all together {most:,}",
        )


def _check_jpeg(image: Image.Image, file: BinaryIO) -> None:
    with _contents(file) as data:
        n_scans = count_scans(data, MAX_JPEG_SCANS)
    if n_scans > MAX_JPEG_SCANS:
        raise DataError(
            f"The picture is a JPEG of more than {MAX_JPEG_SCANS} scans",
            hint="save it again as a baseline JPEG, or as PNG",
        )
    held = coefficient_bytes(image)
    if n_scans > 1 and held > MAX_JPEG_COEFFICIENT_BYTES:
        raise DataError(
            f"The picture is a progressive JPEG of {image.width}x{image.height} pixels, which "
            f"takes {held // 1_000_000} MB to decode; "
            f"the limit is {MAX_JPEG_COEFFICIENT_BYTES // 1_000_000} MB",
            hint="save it as a baseline JPEG, or make it smaller",
        )


@contextmanager
def _contents(file: BinaryIO) -> Iterator[bytes | mmap.mmap]:
    """All bytes of `file`, memory-mapped if it is a real file."""
    if isinstance(file, io.BytesIO):
        yield file.getvalue()
        return
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        yield mapped
    finally:
        # A regex match in a live exception keeps the map open until the exception is freed.
        with suppress(BufferError):
            mapped.close()
