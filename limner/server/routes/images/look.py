"""/v1/images/look: what a picture shows, and whether it matches a prompt."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request, Response

from limner.arrays import Pixels
from limner.imaging import decode_upload
from limner.server.bodies import read_body
from limner.server.bodies.read_body import Parts
from limner.server.http import scope
from limner.server.input_pictures.decoders import Decoder
from limner.server.openai import answers
from limner.server.openai import fields as f
from limner.server.openai import images as openai_images
from limner.server.openai.errors import ApiError
from limner.server.routes.images import drawing

MAX_ASKED_CHARS = 4000


@dataclass(frozen=True, eq=False)
class _Asked:
    pixels: Pixels
    asked: str | None


async def look(request: Request) -> Response:
    """Look at a picture of a form or of a JSON body."""
    serving, holder = scope.service(request), scope.holder(request)
    max_bytes = serving.max_upload_bytes
    with read_body.reading(request):
        async with read_body.read_parts(request, takes_json=True, max_bytes=max_bytes) as parts:
            sent = await drawing.decoded(request, lambda decoder: _read(parts, decoder))
    if sent is None:
        return Response(status_code=drawing.CLIENT_LEFT)
    ticket = await serving.limiter.acquire_async(holder, 0)
    try:
        found = await serving.look(sent.pixels, sent.asked)
    finally:
        ticket.release()
    body = {"object": "image.look", **found.to_dict()}
    return Response(answers.dump(body), media_type="application/json")


def _read(parts: Parts, decoder: Decoder) -> _Asked:
    """Parse and decode. Blocks."""
    fields = parts.fields
    fields.check_known({"asked", "model"})
    asked = fields.text("asked")
    if asked is not None and len(asked) > MAX_ASKED_CHARS:
        raise f.too_long("asked", MAX_ASKED_CHARS, len(asked))
    name = parts.image_field
    if not parts.images:
        raise f.missing(name)
    if len(parts.images) > 1:
        raise ApiError(
            f"Invalid '{name}': one picture is looked at, but {len(parts.images)} came.",
            param=name,
            code="array_above_max_length",
        )
    [raw] = parts.images
    openai_images.check_file(raw, name)
    with openai_images.refused(name):
        decoder.open("image", raw.file, decode_upload.MAX_PIXELS)
        return _Asked(decoder.variation(None).pixels, asked)
