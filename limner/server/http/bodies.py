"""Request bodies, read within bounds: JSON objects, and forms with files."""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from limner.server.http.uploads import RawFile
from limner.server.openai import errors
from limner.server.openai import fields as f
from limner.server.openai.errors import ApiError
from limner.server.openai.fields import Fields
from limner.server.openai.images import MAX_IMAGES

JSON = "application/json"
FORM = "multipart/form-data"

MAX_JSON_BYTES = (
    1_000_000  # without pictures: a prompt of 32,000 characters, all escaped, is 384 kB
)
MAX_DATA_URL_CHARS = 20_971_520
MAX_FIELDS = 100

# image, image[], image[0]: all are in use for one picture and for several.
_IMAGE_FIELD = re.compile(r"image(\[\d{0,4}\])?", re.ASCII)
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w=.+-]+)*);base64,", re.ASCII | re.I)


@dataclass(frozen=True)
class Parts:
    """A request with pictures: its values, and its files still unread."""

    fields: Fields
    images: list[RawFile] = field(default_factory=list)
    mask: RawFile | None = None


def media_type(request: Request) -> str:
    """What the request says its body is, without parameters."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def read_json(request: Request, max_bytes: int = MAX_JSON_BYTES) -> Fields:
    """The JSON object of a body of at most `max_bytes`."""
    kind = media_type(request)
    if kind and kind != JSON and not kind.endswith("+json"):
        # A page of a stranger may send text/plain to this machine without asking; JSON it may not.
        raise errors.unsupported_content_type(request.headers["content-type"], JSON)
    chunks, n_bytes = [], 0
    async for chunk in request.stream():
        n_bytes += len(chunk)
        if n_bytes > max_bytes:
            raise errors.body_too_large(max_bytes)
        chunks.append(chunk)
    value = _parse(b"".join(chunks))
    if not isinstance(value, dict):
        raise ApiError(
            f"Invalid type for request body: expected an object, but got {f.kind(value)} instead.",
            code="invalid_type",
        )
    return Fields(value)


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # ValueError: bad JSON, bad UTF-8, giant numbers, NaN
        raise errors.unparsable_json() from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are Python's idea, not JSON's


@asynccontextmanager
async def read_parts(request: Request, *, takes_json: bool, max_bytes: int) -> AsyncIterator[Parts]:
    """The values and pictures of a form or, for edits, of a JSON body; open while in use."""
    kind = media_type(request)
    if kind == JSON and takes_json:
        yield _parts_of_json(await read_json(request, max_bytes))
        return
    if kind != FORM:
        given = request.headers.get("content-type", "none")
        raise errors.unsupported_content_type(given, FORM)
    form = await _parse_form(request)
    try:
        yield _parts_of_form(form.multi_items())
    finally:
        await form.close()


class _FormParser(MultiPartParser):
    """Starlette's parser, which takes a form that breaks off for a whole one, and this does not."""

    is_complete = False

    def on_end(self) -> None:
        self.is_complete = True

    @classmethod
    async def read(cls, request: Request) -> FormData:
        parser = cls(
            request.headers, request.stream(), max_files=MAX_IMAGES + 4, max_fields=MAX_FIELDS
        )
        parser.stream = parser._to_the_end(parser.stream)
        return await parser.parse()

    async def _to_the_end(self, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        async for chunk in chunks:
            yield chunk
        if not self.is_complete:  # raised here, the parser closes the files it has opened
            raise MultiPartException("it ends before its last boundary.")


async def _parse_form(request: Request) -> FormData:
    try:
        return await _FormParser.read(request)
    except MultiPartException as error:  # broken, or of more parts than anyone needs
        raise _bad_form(error.message) from None


def _bad_form(detail: str) -> ApiError:
    if "Too many fields" in detail:
        return ApiError(
            f"Your form has more than {MAX_FIELDS} fields. If you are sending a picture, send it "
            "as a file with a name: raw bytes become one field for every byte.",
            param="image",
            code="invalid_type",
        )
    return ApiError(f"We could not parse the form of your request: {detail}", code="invalid_form")


def _parts_of_form(items: list[tuple[str, str | UploadFile]]) -> Parts:
    values: dict[str, Any] = {}
    images: list[RawFile] = []
    mask: RawFile | None = None
    for name, value in items:
        is_image = _IMAGE_FIELD.fullmatch(name) is not None
        if isinstance(value, str):
            if is_image or name == "mask":
                raise f.wrong_type(name, "a file", value)
            values[name] = value
        elif is_image:
            images.append(_raw(value))
        elif name == "mask":
            mask = _raw(value)
        elif name in ("images", "images[]"):
            raise ApiError(
                "Unknown parameter: 'images'. For multipart/form-data use 'image' or 'image[]'.",
                param="images",
                code="invalid_value",
            )
        else:
            values[name] = f.FilePart()
    return Parts(Fields(values, is_form=True), images, mask)


def _raw(upload: UploadFile) -> RawFile:
    return RawFile(upload.content_type or "", upload.size or 0, upload.file)


def _parts_of_json(fields: Fields) -> Parts:
    values = dict(fields.values)
    for name in ("image", "image[]"):
        if name in values:
            raise ApiError(
                f"Unknown parameter: '{name}'. For application/json on /v1/images/edits, "
                "use 'images' (array).",
                param=name,
                code="invalid_value",
            )
    references = values.pop("images", [])
    if not isinstance(references, list):
        raise f.wrong_type("images", "an array of objects", references)
    if "images" in fields.values and not references:
        raise ApiError(
            "Invalid 'images': empty array. Expected an array with minimum length 1, "
            "but got an empty array instead.",
            param="images",
            code="empty_array",
        )
    images = [
        _referenced(value, f"images[{index}]")
        for index, value in enumerate(references[: MAX_IMAGES + 1])
    ]
    mask = values.pop("mask", None)
    # An edit in JSON is of the GPT era, whatever it names.
    return Parts(Fields(values), images, None if mask is None else _referenced(mask, "mask"))


def _referenced(value: object, name: str) -> RawFile:
    if not isinstance(value, Mapping):
        raise f.wrong_type(name, "an object", value)
    if value.get("file_id") is not None:
        raise f.wrong_value(name, f"'{name}.file_id' cannot be used: this server stores no files.")
    address = value.get("image_url")
    if address is None:
        raise f.missing(f"{name}.image_url")
    if not isinstance(address, str):
        raise f.wrong_type(f"{name}.image_url", "a string", address)
    return _from_data_url(address, f"{name}.image_url")


def _from_data_url(address: str, name: str) -> RawFile:
    match = _DATA_URL.match(address)
    if match is None:
        raise f.wrong_value(
            name, f"Invalid '{name}': expected data:image/png;base64,…; nothing is fetched here."
        )
    if len(address) > MAX_DATA_URL_CHARS:
        raise ApiError(
            f"Invalid '{name}': string too long. Expected a string with maximum length "
            f"{MAX_DATA_URL_CHARS}, but got a string with length {len(address)} instead.",
            param=name,
            code="string_above_max_length",
        )
    try:
        data = base64.b64decode(address[match.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise f.wrong_value(name, f"Invalid '{name}': it is not valid base64.") from None
    return RawFile(match[1] or "", len(data), io.BytesIO(data))
