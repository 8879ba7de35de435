"""The uploads of an edit or a variation, checked by the rules of the model's generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Protocol

from limner.arrays import Pixels
from limner.errors import DataError
from limner.imaging import decode_upload
from limner.request import Edit, Size, Variation
from limner.server.input_pictures import uploads
from limner.server.input_pictures.decoders import (
    Header,
    OpaqueMask,
    Undecodable,
    Upload,
    WrongMarkup,
)
from limner.server.input_pictures.uploads import RawFile
from limner.server.openai import fields as f
from limner.server.openai.errors import ApiError
from limner.server.openai.model_rules import Target

MAX_IMAGES = 16
MAX_PNG_BYTES = 4_000_000  # of DALL·E 2, and of every mask
MAX_IMAGE_BYTES = 50_000_000
MAX_TOTAL_PIXELS = 4 * decode_upload.MAX_PIXELS  # of all pictures of a request
FORMATS = ("image/jpeg", "image/png", "image/webp")


@dataclass(frozen=True)
class Sources:
    """The checked pictures of an edit or a variation; the first is decoded."""

    source: Edit | Variation
    original: Size  # of the first picture as it was sent
    n_images: int
    has_mask: bool = False  # whether one was sent beside them


@dataclass(frozen=True)
class Overlays:
    """Where the first picture is to be edited: a mask or a markup; at most one is allowed."""

    mask: RawFile | None = None
    markup: RawFile | None = None

    @property
    def are_there(self) -> bool:
        """Whether one was sent."""
        return self.mask is not None or self.markup is not None


class Decoder(Protocol):
    """Reads picture files; see `server.decoders.Decoder`."""

    def open(self, name: Upload, file: IO[bytes], max_pixels: int) -> Header:
        """Read the header of a picture to decode."""
        ...

    def edit(self, fit: Size | None) -> Edit:
        """Decode the last opened picture and mask."""
        ...

    def variation(self, fit: Size | None) -> Variation:
        """Decode the last opened picture."""
        ...


def read_sources(
    images: Sequence[RawFile],
    overlays: Overlays,
    target: Target,
    decoder: Decoder,
    *,
    is_edit: bool,
    fit: Callable[[Size], Size | None],
    field: str = "image",
) -> Sources:
    """Check uploads and decode those that the engine uses. Raises ApiError.

    `fit` maps the size of the first picture to the size to draw, or None if unknown. Pictures are
    decoded no larger than that. Of pictures that the engine does not use, only headers are read.
    """
    if overlays.mask and overlays.markup:
        raise f.wrong_value(
            "markup", "'markup' cannot be combined with 'mask': send one of them.", newer=True
        )
    if not images:
        raise f.missing(field)
    is_dalle2 = target.model == "dall-e-2"  # its strict rules apply only if it is named
    first = _first_header(images, decoder, field, is_dalle2=is_dalle2)
    size = fit(Size(first.width, first.height))
    used = images[1 : target.capabilities.max_images] if is_edit else ()
    others = tuple(_other(decoder, raw, field, size) for raw in used)
    if len(images) > 1:  # another one is open; open the first again to decode it
        _open(decoder, "image", images[0], field, decode_upload.MAX_PIXELS)
    if is_dalle2:
        _check_dalle_picture(first, field, needs_alpha=is_edit and not overlays.are_there)
    if overlays.mask:
        _open_mask(decoder, overlays.mask, first)
    if overlays.markup:
        _open_markup(decoder, overlays.markup, first)
    original = Size(first.width, first.height)
    with refused(field):
        if not is_edit:
            return Sources(decoder.variation(size), original, len(images))
        source = decoder.edit(size)
        if others:
            source = replace(source, others=others)
        return Sources(source, original, len(images), overlays.mask is not None)


def _first_header(
    images: Sequence[RawFile], decoder: Decoder, field: str, *, is_dalle2: bool
) -> Header:
    """The first picture's header, after the checks of all files. Leaves the last one open."""
    most = 1 if is_dalle2 else MAX_IMAGES
    if len(images) > most:
        raise ApiError(
            f"Invalid '{field}': too many images. Expected at most {most}, "
            f"but got {len(images)} instead.",
            param=field,
            code="array_above_max_length",
        )
    budget = MAX_TOTAL_PIXELS
    headers: list[Header] = []
    for raw in images:
        check = _check_dalle_file if is_dalle2 else check_file
        check(raw, field)
        headers.append(_open(decoder, "image", raw, field, min(budget, decode_upload.MAX_PIXELS)))
        budget -= headers[-1].n_pixels
    return headers[0]


def _other(decoder: Decoder, raw: RawFile, field: str, size: Size | None) -> Pixels:
    """The pixels of a further picture of an edit, no larger than needed for `size`."""
    _open(decoder, "image", raw, field, decode_upload.MAX_PIXELS)
    with refused(field):
        return decoder.variation(size).pixels


def _check_dalle_file(raw: RawFile, field: str) -> None:
    if raw.mime() != "image/png" or raw.n_bytes >= MAX_PNG_BYTES:
        raise ApiError(
            "Uploaded image must be a PNG and less than 4 MB.",
            param=field,
            code="invalid_image_format",
        )


def check_file(raw: RawFile, field: str) -> None:
    """Raise ApiError unless `raw` is a PNG, JPEG or WebP file within the size limit."""
    mime = raw.mime()
    if what := decode_upload.not_a_picture(raw.head()):
        raise ApiError(
            f"Invalid file '{field}': {what}. "
            f"Supported file formats are {f.listed(FORMATS, 'and')}.",
            param=field,
            code="unsupported_file_mimetype",
        )
    if mime not in FORMATS or uploads.sniff(raw.head()) is None:
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


def _check_dalle_picture(upload: Header, field: str, *, needs_alpha: bool) -> None:
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


def _open_mask(decoder: Decoder, raw: RawFile, image: Header) -> None:
    if raw.mime() != "image/png" or raw.n_bytes >= MAX_PNG_BYTES:
        raise _bad_mask("mask must be a PNG and less than 4 MB")
    mask = _open(decoder, "mask", raw, "mask", decode_upload.MAX_PIXELS)
    if not mask.has_alpha:
        raise _bad_mask("mask image missing alpha channel")
    if (mask.width, mask.height) != (image.width, image.height):
        raise _bad_mask(
            f"mask size does not match image size: {mask.width}x{mask.height}, and the image is "
            f"{image.width}x{image.height}"
        )


def _bad_mask(reason: str) -> ApiError:
    return ApiError(
        f"Invalid mask image format - {reason}", param="mask", code="invalid_mask_image_format"
    )


def _open_markup(decoder: Decoder, raw: RawFile, image: Header) -> None:
    if raw.mime() != "image/png" or raw.n_bytes >= MAX_IMAGE_BYTES:
        raise _bad_markup("markup must be a PNG and less than 50 MB")
    markup = _open(decoder, "markup", raw, "markup", decode_upload.MAX_PIXELS)
    if not markup.has_alpha:
        raise _bad_markup("markup image missing alpha channel")
    if (markup.width, markup.height) != (image.width, image.height):
        raise _bad_markup(
            f"markup is {markup.width}x{markup.height} pixels and the image "
            f"{image.width}x{image.height}"
        )


def _bad_markup(reason: str) -> ApiError:
    return ApiError(
        f"Invalid markup image format - {reason}",
        param="markup",
        code="invalid_markup_image_format",
    )


def _open(decoder: Decoder, name: Upload, raw: RawFile, field: str, max_pixels: int) -> Header:
    with refused(field):
        return decoder.open(name, raw.file, max_pixels)


@contextmanager
def refused(field: str) -> Iterator[None]:
    """Turn a DataError about upload `field` into the ApiError of OpenAI's API."""
    try:
        yield
    except OpaqueMask as error:
        raise _bad_mask(error.message) from error
    except WrongMarkup as error:
        raise _bad_markup(error.message) from error
    except DataError as error:
        if isinstance(error, Undecodable) and error.upload != "image":
            field = error.upload
        why = f"{error.message} ({error.hint})" if error.hint else error.message
        raise ApiError(
            f"Invalid file '{field}': {why}.", param=field, code="invalid_image"
        ) from error
