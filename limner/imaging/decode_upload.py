"""Pictures that people hand in, to edit or to vary: read within bounds, refused in plain words."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from limner.errors import DataError
from limner.imaging import codec as px

MAX_SIDE_PX = 8192
MAX_PIXELS = 4096 * 4096  # of one picture: 67 MB once decoded
FORMATS = ("PNG", "JPEG", "WEBP")

_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """A picture that was handed in, decoded and turned upright."""

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


def read(data: bytes, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Decode the file `data`; too large, animated, damaged or other ones are a DataError.

    Its header is looked at first: a bomb is refused before a byte of it is unpacked.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            has_alpha = image.mode in _WITH_ALPHA or "transparency" in image.info
            n_frames = getattr(image, "n_frames", 1)
    except UnidentifiedImageError as error:
        raise DataError(
            f"The picture is damaged, or none that is read ({len(data):,} bytes)",
            hint=f"formats read are {', '.join(FORMATS)}",
        ) from error
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
    return DecodedImage(px.decode(data, max_pixels=max_pixels), has_alpha)


def read_file(path: str | Path) -> DecodedImage:
    """Decode the picture at `path`; a DataError names it, also if it is not there."""
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with NUL
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise DataError(f"Cannot read {path}: {reason}") from error
    try:
        return read(data)
    except DataError as error:
        raise DataError(f"{path}: {error.message}", hint=error.hint) from error
