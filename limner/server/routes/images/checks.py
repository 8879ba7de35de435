"""/v1/images/check: the provenance data in a picture file, and whether they are intact."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from limner.server.bodies import read_body
from limner.server.bodies.read_body import Parts
from limner.server.http import scope
from limner.server.input_pictures.decoders import Decoder
from limner.server.openai import answers
from limner.server.openai import fields as f
from limner.server.openai.errors import ApiError
from limner.server.openai.images import MAX_IMAGE_BYTES, refused
from limner.server.routes.images.drawing import CLIENT_LEFT, decoded


async def check(request: Request) -> Response:
    """Check the one file of a form; nothing is stored."""
    serving = scope.service(request)
    max_bytes = serving.max_upload_bytes
    with read_body.reading(request):
        async with read_body.read_parts(request, takes_json=False, max_bytes=max_bytes) as parts:
            report = await decoded(request, lambda decoder: _checked(parts, decoder))
    if report is None:
        return Response(status_code=CLIENT_LEFT)
    return Response(answers.dump(report), media_type="application/json")


def _checked(parts: Parts, decoder: Decoder) -> dict[str, Any]:
    parts.fields.check_known(("model",))  # set if the path names one
    if parts.mask or len(parts.images) > 1:
        raise ApiError(
            "Send one file, as 'image': each is checked by itself.",
            param="image",
            code="array_above_max_length",
        )
    if not parts.images:
        raise f.missing("image")
    [raw] = parts.images
    if raw.n_bytes >= MAX_IMAGE_BYTES:
        raise ApiError(
            f"Invalid file 'image': {raw.n_bytes:,} bytes; the limit is 50 MB.",
            param="image",
            code="image_too_large",
        )
    with refused("image"):
        return decoder.check(raw.file)
