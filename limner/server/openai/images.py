"""Which uploads an edit or a variation takes, by the rules of the model's era."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limner.errors import DataError
from limner.imaging import decode_upload
from limner.imaging.decode_upload import DecodedImage
from limner.server.http import uploads
from limner.server.http.uploads import RawFile
from limner.server.openai import fields as f
from limner.server.openai.errors import ApiError
from limner.server.openai.profiles import Target

MAX_IMAGES = 16
MAX_PNG_BYTES = 4_000_000  # of DALL·E 2, and of every mask
MAX_IMAGE_BYTES = 50_000_000
MAX_TOTAL_PIXELS = 4 * decode_upload.MAX_PIXELS  # of all pictures of a request
FORMATS = ("image/jpeg", "image/png", "image/webp")


@dataclass(frozen=True)
class Sources:
    """The pictures of an edit or a variation, checked."""

    images: list[DecodedImage]
    mask: DecodedImage | None = None


def read_sources(
    images: Sequence[RawFile],
    mask: RawFile | None,
    target: Target,
    *,
    needs_alpha: bool,
    field: str = "image",
) -> Sources:
    """Decode and check uploads; `needs_alpha` if without a mask clear pixels say what to edit."""
    if not images:
        raise f.missing(field)
    is_dalle = not (target.is_gpt or target.own)
    most = 1 if is_dalle else MAX_IMAGES
    if len(images) > most:
        raise ApiError(
            f"Invalid '{field}': too many images. Expected at most {most}, "
            f"but got {len(images)} instead.",
            param=field,
            code="array_above_max_length",
        )
    budget = MAX_TOTAL_PIXELS
    opened: list[DecodedImage] = []
    for raw in images:
        check = _check_dalle_file if is_dalle else _check_file
        check(raw, field)
        opened.append(_decode(raw, field, min(budget, decode_upload.MAX_PIXELS)))
        budget -= opened[-1].width * opened[-1].height
    if is_dalle:
        _check_dalle_picture(opened[0], field, needs_alpha=needs_alpha and mask is None)
    return Sources(opened, _read_mask(mask, opened[0]) if mask else None)


def _check_dalle_file(raw: RawFile, field: str) -> None:
    if raw.mime() != "image/png" or raw.n_bytes >= MAX_PNG_BYTES:
        raise ApiError(
            "Uploaded image must be a PNG and less than 4 MB.",
            param=field,
            code="invalid_image_format",
        )


def _check_file(raw: RawFile, field: str) -> None:
    mime = raw.mime()
    if mime not in FORMATS or uploads.sniff(raw.read()[:16]) is None:
        raise ApiError(
            f"Invalid file '{field}': unsupported mimetype ('{f.shown(mime)}'). "
            f"Supported file formats are {f.listed(FORMATS, 'and')}.",
            param=field,
            code="unsupported_file_mimetype",
        )
    if raw.n_bytes >= MAX_IMAGE_BYTES:
        raise ApiError(
            f"Invalid file '{field}': {raw.n_bytes:,} bytes; the limit is 50 MB.",
            param=field,
            code="image_too_large",
        )


def _check_dalle_picture(upload: DecodedImage, field: str, *, needs_alpha: bool) -> None:
    if upload.width != upload.height:
        raise ApiError(
            "Invalid input image - it must be square, "
            f"but it is {upload.width}x{upload.height} pixels.",
            param=field,
            code="invalid_image_format",
        )
    if needs_alpha and not upload.has_alpha:
        raise ApiError(
            "Invalid input image - format must be in ['RGBA', 'LA', 'L'], got RGB.", param=field
        )


def _read_mask(raw: RawFile, image: DecodedImage) -> DecodedImage:
    if raw.mime() != "image/png" or raw.n_bytes >= MAX_PNG_BYTES:
        raise _bad_mask("mask must be a PNG and less than 4 MB")
    mask = _decode(raw, "mask", decode_upload.MAX_PIXELS)
    if not mask.has_alpha:
        raise _bad_mask("mask image missing alpha channel")
    if (mask.width, mask.height) != (image.width, image.height):
        raise _bad_mask("mask size does not match image size")
    if np.all(mask.pixels[..., 3] > 0):
        raise _bad_mask("no pixel of it is fully transparent, so there is nothing to edit")
    return mask


def _bad_mask(reason: str) -> ApiError:
    return ApiError(
        f"Invalid mask image format - {reason}", param="mask", code="invalid_mask_image_format"
    )


def _decode(raw: RawFile, field: str, max_pixels: int) -> DecodedImage:
    try:
        return decode_upload.read(raw.read(), max_pixels=max_pixels)
    except DataError as error:
        why = f"{error.message} ({error.hint})" if error.hint else error.message
        raise ApiError(
            f"Invalid file '{field}': {why}.", param=field, code="invalid_image"
        ) from error
