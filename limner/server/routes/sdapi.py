"""/sdapi/v1: the API of AUTOMATIC1111's web UI, which many programs use."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import Request, Response

from limner.imaging import decode_upload
from limner.request import Size
from limner.server.access import credentials
from limner.server.bodies import read_body
from limner.server.http import scope
from limner.server.http.delivery import WholeDelivery
from limner.server.http.job_headers import client_id
from limner.server.input_pictures import uploads
from limner.server.input_pictures.decoders import Decoder
from limner.server.input_pictures.json_pictures import Reader
from limner.server.input_pictures.uploads import RawFile
from limner.server.openai import answers, calls
from limner.server.openai import fields as f
from limner.server.openai import images as openai_images
from limner.server.openai.calls import Call
from limner.server.openai.fields import Fields
from limner.server.routes.images import drawing
from limner.server.sdapi import shapes
from limner.service.admission import submit
from limner.service.queue.jobs import Status

PREFIX = "/sdapi/v1"
LISTS = tuple(shapes.lists(""))
_JSON = "application/json"


async def txt2img(request: Request) -> Response:
    """Draw pictures from a prompt."""
    with read_body.reading(request):
        sent = (await read_body.read_json(request)).values
    catalogue = replace(scope.catalogue(request), is_lenient=True)
    call = calls.read_generation(Fields(shapes.values_of(sent)), catalogue)
    return await _answer(request, sent, call)


async def img2img(request: Request) -> Response:
    """Edit a picture, or without a prompt draw variations of it."""
    serving = scope.service(request)
    with read_body.reading(request):
        max_bytes = serving.max_upload_bytes
        async with read_body.read_json_pictures(request, max_bytes) as pictures:
            sent = pictures.parsed.value
            values = shapes.values_of(sent)
            values["prompt"] = read_body.short(values["prompt"], "prompt", pictures.parsed)
            files = await to_thread.run_sync(_files, pictures, limiter=serving.readers)
            call = await drawing.decoded(request, partial(_read, request, sent, values, files))
    if call is None:
        return Response(status_code=drawing.CLIENT_LEFT)
    return await _answer(request, sent, call)


async def progress(request: Request) -> Response:
    """The progress of this key's latest request."""
    return _json(shapes.progress(_latest(request)))


async def interrupt(request: Request) -> Response:
    """Cancel this key's latest request, which ends its client's answer."""
    status = _latest(request)
    if status and status.abort:
        status.abort()
    return _json({})


async def set_options(request: Request) -> Response:
    """Accept options; they have no effect."""
    await read_body.read_json(request)
    return _json({})


async def show(request: Request) -> Response:
    """One of the lists for menus."""
    catalogue = scope.catalogue(request)
    model = next(name for name, one in catalogue.own.items() if one == catalogue.default_engine)
    return _json(shapes.lists(model)[request.url.path.rpartition("/")[2]])


async def check_key(request: Request) -> None:
    """Check the key as other routes do; it may also be the password of Basic authentication."""
    serving = scope.service(request)
    authorization = _authorization(request)
    request.state.holder = await serving.keys.holder(authorization, serving.database_threads)
    request.state.headers = serving.limiter.headers(request.state.holder)


def _authorization(request: Request) -> str | None:
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return credentials.authorization(request.headers)
    try:
        user, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return f"Bearer {password or user}"


def _files(pictures: Reader) -> tuple[RawFile, RawFile | None]:
    """The picture and the mask as files. Blocks."""
    sent = pictures.parsed.value
    init = sent.get("init_images")
    if not isinstance(init, list) or not init:
        raise f.missing("init_images")
    mask = sent.get("mask")
    return (
        pictures.picture(init[0], "init_images[0]"),
        pictures.picture(mask, "mask") if mask else None,
    )


def _read(
    request: Request,
    sent: Mapping[str, Any],
    values: dict[str, Any],
    files: tuple[RawFile, RawFile | None],
    decoder: Decoder,
) -> Call:
    """Parse and decode. Blocks."""
    image, mask = files
    catalogue = replace(scope.catalogue(request), is_lenient=True)
    openai_images.check_file(image, "init_images[0]")
    if not values["prompt"]:
        rest = {name: value for name, value in values.items() if name != "prompt"}
        return calls.read_variation(Fields(rest), [image], catalogue, decoder)
    if mask is None:
        return _edit(values, image, None, request, decoder)
    openai_images.check_file(mask, "mask")
    with openai_images.refused("init_images[0]"):
        header = decoder.open("image", image.file, decode_upload.MAX_PIXELS)
    with openai_images.refused("mask"):
        decoder.open("image", mask.file, decode_upload.MAX_PIXELS)
        pixels = decoder.variation(None).pixels
    size = Size(header.width, header.height)
    data = shapes.mask_file(pixels, size, is_inverted=bool(sent.get("inpainting_mask_invert")))
    with uploads.temporary_file(scope.service(request).settings.home) as file:
        uploads.write_all(file, data)
        return _edit(values, image, RawFile("image/png", len(data), file), request, decoder)


def _edit(
    values: dict[str, Any],
    image: RawFile,
    mask: RawFile | None,
    request: Request,
    decoder: Decoder,
) -> Call:
    catalogue = replace(scope.catalogue(request), is_lenient=True)
    name = "init_images[0]"
    return calls.read_edit(Fields(values), [image], mask, catalogue, decoder, name)


async def _answer(request: Request, sent: Mapping[str, Any], call: Call) -> Response:
    serving, holder = scope.service(request), scope.holder(request)
    submission = call.submission(client_id=client_id(request))
    engine = serving.worker(submission).engine
    await drawing.check_prompt(serving, submission)
    trace = scope.trace(request)
    with trace.during("submission"):
        job = await submit(serving, submission, holder, scope.request_id(request), trace)
    request.state.headers = serving.limiter.headers(holder)
    with job:
        working = drawing.finished(request, serving, call, submission, job)
        found = await drawing.unless_left(request, working)
    if found is None:
        return Response(status_code=drawing.CLIENT_LEFT)
    drawn, notices = found
    body = answers.dump(shapes.answer(sent, call, drawn, engine.model))
    ignored = shapes.unused(sent)
    headers = drawing.headers_of(call, [*notices, *([ignored] if ignored else [])])
    return WholeDelivery(body, media_type=_JSON, headers=headers, ticket=job.ticket)


def _latest(request: Request) -> Status | None:
    return scope.service(request).jobs.latest(scope.holder(request))


def _json(body: Any) -> Response:
    return Response(answers.dump(body), media_type=_JSON)
