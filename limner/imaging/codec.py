"""Pictures as arrays and as files.

A picture is `(H, W, 4)` uint8 RGBA with straight alpha, as PNG has it. The model works on
premultiplied pixels, where colour is already scaled by alpha, because there the mean of two
pixels is what the eye sees (Porter and Duff 1984, section 4); straight colour under zero alpha
would leak into every average.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from limner.arrays import Pixels
from limner.errors import DataError, InvalidRequest
from limner.request import FORMATS, Format

Method = Literal["area", "bicubic"]

MAX_PIXELS = 64_000_000  # 8000x8000: four bytes each is 256 MB once decoded
WHITE = (255, 255, 255)

# Accepted input formats: all are common, and their decoders are fuzzed upstream.
_READABLE = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_RESAMPLING = {"area": Image.Resampling.BOX, "bicubic": Image.Resampling.BICUBIC}
# Raised by Pillow's decoders on damaged files, beside OSError.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_XMP = "XML:com.adobe.xmp"  # the name of a packet in a PNG, which is read by `imaging.check`
_MAX_EXIF_BYTES = 65_000  # a JPEG segment holds 65,533 bytes, its header included


def premultiply(pixels: NDArray[Any]) -> NDArray[Any]:
    """Scale colour by alpha: `(..., 4)` uint8, or floats in 0..1; the type is kept."""
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    if pixels.dtype == np.uint8:
        # (c * a + 127) // 255 is c * a / 255 rounded to nearest.
        scaled = (colour.astype(np.uint16) * alpha + 127) // 255
        colour = scaled.astype(np.uint8)
    else:
        colour = colour * alpha
    return np.concatenate([colour, alpha], axis=-1)


def unpremultiply(pixels: NDArray[Any]) -> NDArray[Any]:
    """Undo `premultiply`: `(..., 4)` uint8, or floats in 0..1; under zero alpha colour is zero.

    Colour above alpha, which only a network can produce, is clipped to full strength.
    """
    if pixels.dtype == np.uint8:
        # Most pixels of drawings are clear, or opaque and so equal. For the others a table of
        # quotients takes a quarter of the time of division, which is not vectorised.
        alpha = pixels[..., 3]
        straight = _pixels(np.where(alpha > 0, _words(pixels), np.uint32(0)))
        soft = (alpha > 0) & (alpha < 255)
        mixed = pixels[soft]
        row = mixed[..., 3:].astype(np.uint16) << 8
        straight[soft, :3] = _quotients()[row | mixed[..., :3]]
        return straight
    # The smallest uint8 alpha is 1/255: below half of it nothing is visible, and dividing would
    # only amplify noise.
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    visible = alpha > 0.5 / 255
    divided = np.divide(colour, alpha, out=np.zeros_like(colour), where=visible)
    return np.concatenate([np.clip(divided, 0, 1), alpha], axis=-1)


@cache
def _quotients() -> Pixels:
    """At alpha * 256 + colour: colour / alpha as uint8, rounded to nearest, at most 255."""
    alpha, colour = np.divmod(np.arange(256 * 256, dtype=np.uint32), 256)
    divided = (colour * 255 + alpha // 2) // np.maximum(alpha, 1)
    return np.where(alpha == 0, 0, np.minimum(divided, 255)).astype(np.uint8)


def composite(pixels: Pixels, background: tuple[int, int, int] = WHITE) -> Pixels:
    """Lay straight `(H, W, 4)` over a plain colour: `(H, W, 3)` opaque RGB."""
    return _mixed(pixels, np.array(background, dtype=np.uint16))


def over(pixels: Pixels, behind: Pixels) -> Pixels:
    """Lay straight `(H, W, 4)` over an opaque picture; the result is opaque.

    `behind` is a picture of the same shape, or `(1, 1, 4)`, a plain colour.
    """
    alpha = pixels[..., 3]
    result = _pixels(np.where(alpha == 255, _words(pixels), _words(behind)))
    # Most pixels of drawings are opaque or clear: to mix only the others takes a tenth of the time.
    soft = (alpha > 0) & (alpha < 255)
    under = np.broadcast_to(behind, pixels.shape)[soft, :3].astype(np.uint16)
    result[soft, :3] = _mixed(pixels[soft], under)
    result[..., 3] = 255
    return result


def _words(pixels: Pixels) -> NDArray[np.uint32]:
    """(…, 4) uint8 as (…): a pixel in a word is chosen or copied in a fraction of the time."""
    words: NDArray[np.uint32] = np.ascontiguousarray(pixels).view(np.uint32)[..., 0]
    return words


def _pixels(words: NDArray[np.uint32]) -> Pixels:
    """Undo `_words`."""
    pixels: Pixels = words[..., None].view(np.uint8)
    return pixels


def _mixed(pixels: Pixels, under: NDArray[np.uint16]) -> Pixels:
    alpha = pixels[..., 3:].astype(np.uint16)
    colour = pixels[..., :3].astype(np.uint16)
    return ((colour * alpha + under * (255 - alpha) + 127) // 255).astype(np.uint8)


def resize(
    pixels: Pixels,
    width: int,
    height: int,
    method: Method = "bicubic",
    *,
    premultiplied: bool = False,
    box: tuple[float, float, float, float] | None = None,
) -> Pixels:
    """Resample `(H, W, 4)` to `(height, width, 4)` without colour leaking from clear pixels.

    "area" averages and is meant for reduction; "bicubic" is smooth both ways. `premultiplied` says
    whether input and output are premultiplied; else they are straight. `box` (left, top, right,
    bottom) is the part to resample, in pixels, possibly fractional.
    """
    if premultiplied:
        image = Image.frombytes("RGBa", pixels.shape[1::-1], pixels.tobytes())
    else:
        image = Image.fromarray(pixels)  # Pillow premultiplies this mode itself
    result = np.array(image.resize((width, height), _RESAMPLING[method], box))
    if premultiplied:
        # Bicubic overshoots at edges; colour must not exceed alpha.
        result[..., :3] = np.minimum(result[..., :3], result[..., 3:])
    return result


def encode(
    pixels: Pixels,
    format: Format = "png",
    text: Mapping[str, str] | None = None,
    *,
    quality: int | None = None,
) -> bytes:
    """Make a PNG, JPEG or WebP file of straight `(H, W, 4)` pixels, with `text` stored inside.

    PNG keeps each text under its own key; JPEG and WebP hold them as JSON in the EXIF user
    comment, where values are shortened if all together exceed what a JPEG can hold (64 KB).
    `quality` (0 to 100) applies to JPEG (default 90) and WebP (default 85); PNG is lossless.
    JPEG has no transparency: the picture is laid on white.
    """
    if format not in FORMATS:
        raise InvalidRequest(
            f"Format {format!r} is not written; it must be one of {', '.join(FORMATS)}",
            param="output_format",
        )
    file = io.BytesIO()
    if format == "png":
        # Level 1 is 2 to 4 times as fast as the default 6 for files a tenth to a half larger.
        Image.fromarray(pixels).save(file, "PNG", pnginfo=_png_text(text or {}), compress_level=1)
    elif format == "jpeg":
        Image.fromarray(composite(pixels)).save(
            file, "JPEG", quality=90 if quality is None else quality, exif=_exif(text or {})
        )
    else:
        Image.fromarray(pixels).save(
            file, "WEBP", quality=85 if quality is None else quality, exif=_exif(text or {})
        )
    return file.getvalue()


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read a PNG, JPEG, WebP, GIF or BMP file into straight `(H, W, 4)`, turned upright by EXIF.

    Of an animation, the first frame. Raises DataError for other, damaged and too large files.
    """
    with _open(data) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise DataError(
                f"The picture is {width}x{height}, {width * height:,} pixels; "
                f"the limit is {max_pixels:,}",
                hint="make it smaller first",
            )
        return upright(image)


def upright(image: Image.Image, *, is_turned: bool = True) -> Pixels:
    """The pixels of an open image as straight `(H, W, 4)`, turned upright by EXIF if `is_turned`.

    Modifies the image. Raises DataError for a damaged file.
    """
    try:
        image.load()
        if is_turned:
            ImageOps.exif_transpose(image, in_place=True)
        return np.array(_rgba(image))
    except _BROKEN as error:
        raise _damaged(error) from error


def read_text(data: bytes) -> dict[str, str]:
    """The texts that `encode` stored in a file; empty if there are none."""
    with _open(data) as image:
        try:
            if image.format == "PNG":
                image.load()  # text may follow the pixels
                texts = cast("dict[str, Any]", getattr(image, "text", {}))
                return {key: str(value) for key, value in texts.items() if key != _XMP}
            if image.format == "GIF":
                return _texts_from_json(image.info.get("comment", b""))
            comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
            return _texts_from_comment(comment)
        except _BROKEN as error:
            raise _damaged(error) from error


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=_READABLE)
    except UnidentifiedImageError:
        raise DataError(
            f"The file ({len(data):,} bytes) is not a picture that limner reads",
            hint=f"formats read are {', '.join(_READABLE)}",
        ) from None
    except _BROKEN as error:
        raise _damaged(error) from error


def _damaged(error: BaseException) -> DataError:
    return DataError(f"The picture is damaged: {str(error) or type(error).__name__}")


def _rgba(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit grey; Pillow's own conversion would cut at 255 instead of scaling.
        grey = np.array(image).astype(np.int64) >> 8
        image = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    return image if image.mode == "RGBA" else image.convert("RGBA")


def _png_text(text: Mapping[str, str]) -> PngInfo:
    info = PngInfo()
    for key, value in text.items():
        # iTXt is UTF-8; tEXt only for ASCII, on which all readers agree.
        info.add_text(key, value) if value.isascii() else info.add_itxt(key, value)
    return info


def _exif(text: Mapping[str, str]) -> Image.Exif:
    exif = Image.Exif()
    if not text:
        return exif
    if "Software" in text:
        exif[ExifTags.Base.Software] = text["Software"]
    # JSON escapes all but ASCII, and "ASCII" is the one character code every reader knows
    # (EXIF 2.32, table 9).
    comment = b"ASCII\0\0\0" + _json_within(text, _MAX_EXIF_BYTES)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return exif


def _json_within(text: Mapping[str, str], limit_bytes: int) -> bytes:
    """`text` as JSON, its longest value shortened by quarters until it fits."""
    kept = dict(text)
    while len(data := json.dumps(kept).encode()) > limit_bytes:
        longest = max(kept, key=lambda key: len(kept[key]))
        kept[longest] = kept[longest][: len(kept[longest]) * 3 // 4 - 1] + "…"
    return data


def _texts_from_comment(comment: object) -> dict[str, str]:
    if not isinstance(comment, bytes) or not comment.startswith(b"ASCII\0\0\0{"):
        return {}
    return _texts_from_json(comment[8:])


def _texts_from_json(data: bytes) -> dict[str, str]:
    try:
        texts = dict(json.loads(data))
    except (ValueError, TypeError):
        return {}  # another program's comment that looks like limner's
    return {str(key): str(value) for key, value in texts.items()}
