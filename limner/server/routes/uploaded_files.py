"""/v1/files: pictures that are uploaded once and then named by `file_id`."""

from __future__ import annotations

import time
from typing import Any

from anyio import to_thread
from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner.imaging import decode_upload
from limner.request import Format, Size
from limner.server.access import own_rows
from limner.server.bodies import forms, read_body
from limner.server.bodies.body_memory import chunks_of
from limner.server.bodies.forms import Form
from limner.server.http import scope
from limner.server.input_pictures import file_ids
from limner.server.input_pictures.decoders import Decoder
from limner.server.input_pictures.uploads import RawFile
from limner.server.openai import answers, errors
from limner.server.openai import fields as f
from limner.server.openai import images as openai_images
from limner.server.openai.errors import ApiError
from limner.server.openai.fields import Fields
from limner.server.responses import ids
from limner.server.routes.images import drawing
from limner.server.routes.images.history import page_size
from limner.service.pictures import uploads
from limner.service.pictures.links import MEDIA_TYPES
from limner.service.pictures.uploads import Upload
from limner.storage.db.database import Row

PURPOSES = ("vision", "user_data", "assistants")
MIN_EXPIRY_S, MAX_EXPIRY_S = 3600, 2_592_000
_FORMATS: dict[str, Format] = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp"}
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"


async def create(request: Request) -> Response:
    """Store a picture."""
    history = own_rows.history(request)
    serving, holder = scope.service(request), scope.holder(request)
    given = request.headers.get("content-type", "none")
    if read_body.media_type(request) != read_body.FORM:
        raise errors.unsupported_content_type(given, read_body.FORM)
    with read_body.reading(request), scope.body_budget(request).hold() as held:
        chunks = chunks_of(request, held, serving.max_upload_bytes)
        form = await forms.read(given, chunks, serving.settings.home)
        try:
            upload = await _understood(request, form)
        finally:
            form.close()
    if upload is None:
        return Response(status_code=drawing.CLIENT_LEFT)
    ticket = await serving.limiter.acquire_async(holder, 0)
    try:
        id, run = scope.request_id(request), serving.database_threads.run
        row = await run(uploads.add, serving, history, upload, holder, id)
    finally:
        ticket.release()
    return _json(_shown(row))


async def page(request: Request) -> Response:
    """A page of files, latest first; `after` is the last id of the page before."""
    history = own_rows.history(request)
    limit = page_size(request.query_params.get("limit"))
    after = request.query_params.get("after") or None
    before = (await _find(request, after))["id"] if after else None
    only = scope.holder(request).sees_only
    run = scope.service(request).database_threads.run
    rows = await run(history.page, limit + 1, before, only, uploads=True)
    now_s = time.time()
    shown = [_shown(row) for row in rows[:limit] if uploads.is_whole(row, now_s)]
    return _json(answers.page(shown, has_more=len(rows) > limit))


async def show(request: Request, id: str) -> Response:
    """The metadata of a file."""
    return _json(_shown(await _find(request, id)))


async def content(request: Request, id: str) -> Response:
    """The bytes of a file."""
    row = await _find(request, id)
    serving = scope.service(request)
    file = row["pictures"][0]["file"]
    try:
        data = await to_thread.run_sync(serving.kept_picture, file, limiter=serving.readers)
    except FileNotFoundError:
        raise _not_found(id) from None
    return Response(data, media_type=MEDIA_TYPES[file.rpartition(".")[2]])


async def delete(request: Request, id: str) -> Response:
    """Delete a file."""
    row = await _find(request, id)
    await run_in_threadpool(own_rows.history(request).delete, [row["id"]])
    return _json({"id": id, "object": "file", "deleted": True})


async def _understood(request: Request, form: Form) -> Upload | None:
    """The upload in a form; None if the client disconnects."""
    items = dict(form.items)
    raw = items.pop("file", None)
    if raw is None:
        raise f.missing("file")
    if isinstance(raw, str):
        raise f.wrong_type("file", "a file", raw)
    values: dict[str, Any] = {
        name: f.FilePart() if isinstance(value, RawFile) else value for name, value in items.items()
    }
    fields = Fields(values, is_form=True, is_lenient=scope.catalogue(request).is_lenient)
    fields.check_known({"purpose", _ANCHOR, _SECONDS})
    purpose = fields.choice("purpose", PURPOSES)
    if purpose is None:
        raise f.missing("purpose")
    fields.choice(_ANCHOR, ("created_at",))
    seconds = fields.whole_number(_SECONDS, MIN_EXPIRY_S, MAX_EXPIRY_S)
    openai_images.check_file(raw, "file")

    def read(decoder: Decoder) -> Size:
        with openai_images.refused("file"):
            header = decoder.open("image", raw.file, decode_upload.MAX_PIXELS)
        return Size(header.width, header.height)

    size = await drawing.decoded(request, read)
    if size is None:
        return None
    data = await run_in_threadpool(_bytes, raw)
    expires_s = None if seconds is None else time.time() + seconds
    return Upload(data, _FORMATS[raw.mime()], size, _name(raw), purpose, expires_s)


def _bytes(raw: RawFile) -> bytes:
    raw.file.seek(0)
    return b"".join(iter(lambda: raw.file.read(1 << 20), b""))


def _name(raw: RawFile) -> str:
    """The sender's file name, without characters that a database cannot store."""
    kept = [char for char in raw.name if char.isprintable() and not "\ud800" <= char <= "\udfff"]
    return "".join(kept)[:255] or "file"


async def _find(request: Request, id: str) -> Row:
    own_rows.history(request)
    row = await file_ids.find(request, id)
    if row is None:
        raise _not_found(id)
    return row


def _not_found(id: str) -> ApiError:
    return ApiError(f"No such File object: {f.shown(id)}", status=404, param="id")


def _shown(row: Row) -> dict[str, Any]:
    about = row["parameters"]
    expires_s = about["expires_s"]
    return {
        "id": ids.of_request(ids.FILE, row["id"]),
        "object": "file",
        "bytes": row["pictures"][0]["n_bytes"],
        "created_at": int(row["created_s"]),
        "expires_at": None if expires_s is None else int(expires_s),
        "filename": about["filename"],
        "purpose": about["purpose"],
        "status": "processed",
        "status_details": None,
    }


def _json(body: dict[str, Any]) -> Response:
    return Response(answers.dump(body), media_type="application/json")
