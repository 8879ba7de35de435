"""Request bodies, read within bounds: JSON objects, and forms with files."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    closing,
    nullcontext,
)
from dataclasses import dataclass, field
from typing import Any

from anyio import from_thread, to_thread
from fastapi import Request

from limner.server.bodies import forms, json_body
from limner.server.bodies.body_memory import FREE_BYTES, Held, chunks_of
from limner.server.bodies.json_body import Parsed
from limner.server.bodies.nested import nested
from limner.server.http import scope
from limner.server.input_pictures import file_ids, json_pictures
from limner.server.input_pictures.json_pictures import Reader
from limner.server.input_pictures.uploads import RawFile
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
# Beside long strings, which are pictures and go to files.
_MAX_INLINE_BYTES = MAX_JSON_BYTES + (MAX_IMAGES + 1) * json_body.MAX_INLINE_BYTES
_MAX_TEXT_BYTES = 1_000_000  # of a long string that is not a picture

_OVERLAYS = ("mask", "markup")  # belong to the first picture, and have its size
# Clients use image, image[] and image[0] for one picture and for several.
_IMAGE_FIELD = re.compile(r"image(\[\d{0,4}\])?", re.ASCII)


@dataclass(frozen=True)
class Parts:
    """A request with pictures: its values, and its files, not read yet."""

    fields: Fields
    images: list[RawFile] = field(default_factory=list)
    mask: RawFile | None = None
    markup: RawFile | None = None
    image_field: str = "image"  # the field that has the pictures


def media_type(request: Request) -> str:
    """The declared media type of the body, without parameters."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def reading(request: Request) -> AbstractContextManager[None]:
    """Check the limits of the key before a large body is read.

    Raises ApiError (429) if the request is certain to exceed them; else it counts as in progress.
    """
    declared = request.headers.get("content-length", "0")
    is_small = declared.isdecimal() and len(declared) < 10 and int(declared) <= FREE_BYTES
    if is_small and "transfer-encoding" not in request.headers:
        return nullcontext()  # other errors of the body are reported first
    return scope.service(request).limiter.reading(scope.holder(request))


async def read_json(request: Request) -> Fields:
    """Read a JSON object without pictures, of at most MAX_JSON_BYTES."""
    _check_json(request)
    with scope.body_budget(request).hold() as held:
        parsed = await json_body.read(chunks_of(request, held, MAX_JSON_BYTES), MAX_JSON_BYTES)
    return _fields(request, _object(parsed))


def _check_json(request: Request) -> None:
    kind = media_type(request)
    if kind and kind != JSON and not kind.endswith("+json"):
        # Any web page may send text/plain across origins without a preflight, but not JSON.
        raise errors.unsupported_content_type(request.headers["content-type"], JSON)


def _fields(request: Request, values: dict[str, Any], *, is_form: bool = False) -> Fields:
    """`values`, with the model of the path if they name none."""
    deployment = scope.deployment(request)
    if deployment is not None and values.get("model") in (None, ""):
        values = {**values, "model": deployment}
    return Fields(values, is_form=is_form)


def _object(parsed: Parsed) -> dict[str, Any]:
    if not isinstance(parsed.value, dict):
        kind = f.kind(parsed.value)
        raise ApiError(
            f"Invalid type for request body: expected an object, but got {kind} instead.",
            code="invalid_type",
        )
    return parsed.value


@asynccontextmanager
async def read_parts(request: Request, *, takes_json: bool, max_bytes: int) -> AsyncIterator[Parts]:
    """Read the values and pictures of a form or, if `takes_json`, of JSON; files close on exit."""
    kind = media_type(request)
    serving = scope.service(request)
    with scope.body_budget(request).hold() as held, ExitStack() as files:
        if kind == JSON and takes_json:
            pictures = await _read_json_pictures(request, held, max_bytes, files)
            # The store may hang: reading it has threads of its own.
            readers = serving.readers
            yield await to_thread.run_sync(_parts_of_json, request, pictures, limiter=readers)
            return
        given = request.headers.get("content-type", "none")
        if kind != FORM:
            raise errors.unsupported_content_type(given, FORM)
        form = await forms.read(given, chunks_of(request, held, max_bytes), serving.settings.home)
        files.callback(form.close)
        yield _parts_of_form(request, form.items)


@asynccontextmanager
async def read_json_pictures(request: Request, max_bytes: int) -> AsyncIterator[Reader]:
    """Read a JSON object of at most `max_bytes`; yields a Reader of its pictures."""
    _check_json(request)
    with scope.body_budget(request).hold() as held, ExitStack() as files:
        yield await _read_json_pictures(request, held, max_bytes, files)


async def _read_json_pictures(
    request: Request, held: Held, max_bytes: int, files: ExitStack
) -> Reader:
    serving = scope.service(request)
    folder = serving.settings.home
    chunks = chunks_of(request, held, max_bytes)
    parsed = await json_body.read(chunks, _MAX_INLINE_BYTES, folder)
    files.enter_context(closing(parsed))
    uploaded = await file_ids.addresses(request, _object(parsed))

    def count(n_bytes: int) -> None:
        from_thread.run_sync(held.add, n_bytes)

    return Reader(parsed, serving.links, folder, files, count, uploaded)


def _parts_of_form(request: Request, items: list[tuple[str, str | RawFile]]) -> Parts:
    values: dict[str, Any] = {}
    images: list[RawFile] = []
    others: dict[str, RawFile] = {}
    for name, value in items:
        is_image = _IMAGE_FIELD.fullmatch(name) is not None
        if isinstance(value, str):
            if is_image or name in _OVERLAYS:
                raise f.wrong_type(name, "a file", value)
            values[name] = value
        elif is_image:
            images.append(value)
        elif name in _OVERLAYS:
            others[name] = value
        elif name in ("images", "images[]"):
            raise ApiError(
                "Unknown parameter: 'images'. For multipart/form-data use 'image' or 'image[]'.",
                param="images",
                code="invalid_value",
            )
        else:
            values[name] = f.FilePart()
    fields = _fields(request, nested(values), is_form=True)
    return Parts(fields, images, others.get("mask"), others.get("markup"))


def _parts_of_json(request: Request, pictures: Reader) -> Parts:
    """Blocks: not for the event loop."""
    parsed = pictures.parsed
    sent = _object(parsed)
    read_apart = (*json_pictures.NAMES, *_OVERLAYS)
    values = {
        name: value if name in read_apart else short(value, name, parsed)
        for name, value in sent.items()
    }
    field, images = pictures.pictures(values, MAX_IMAGES + 1)
    for name in json_pictures.NAMES:
        values.pop(name, None)
    others = {
        name: pictures.picture(value, name)
        for name in _OVERLAYS
        if (value := values.pop(name, None)) not in (None, "")
    }
    # An edit in JSON follows the GPT rules, whatever model it names.
    return Parts(_fields(request, values), images, others.get("mask"), others.get("markup"), field)


def short(value: Any, name: str, parsed: Parsed) -> Any:
    """`value`, or the text of a long string. Raises ApiError above _MAX_TEXT_BYTES."""
    text = parsed.texts.get(value) if isinstance(value, str) else None
    if text is None:
        return value
    if text.n_bytes > _MAX_TEXT_BYTES:
        raise ApiError(
            f"Invalid '{f.shown(name)}': string too long. Expected a string of at most "
            f"{_MAX_TEXT_BYTES} bytes, but got one of {text.n_bytes} instead.",
            param=name,
            code="string_above_max_length",
        )
    try:
        return "".join(json_body.pieces(text))
    except ValueError:
        raise errors.unparsable_json() from None
