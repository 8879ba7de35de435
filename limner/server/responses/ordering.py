"""From a picture that a conversation asks for to a request of the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from anyio import to_thread
from fastapi import Request

from limner.request import Edit
from limner.server.http import scope
from limner.server.input_pictures.json_pictures import Reader
from limner.server.input_pictures.uploads import RawFile
from limner.server.openai import answers, calls
from limner.server.openai import fields as f
from limner.server.openai.answers import Drawn
from limner.server.openai.calls import Call
from limner.server.openai.fields import Fields
from limner.server.openai.images import Decoder
from limner.server.responses.body import Body
from limner.server.responses.sources import Source
from limner.server.routes.images import drawing


async def understood(
    request: Request,
    body: Body,
    origin: Source | None,
    pictures: Reader,
    prompt: str,
    *,
    is_whole: bool = False,
    is_anew: bool = False,
    **more: Any,
) -> Call | None:
    """What to draw by `prompt` and the options of the tool; None if the client disconnects.

    `is_whole`: an edit without a mask may change all of its picture, in its old layout; `is_anew`:
    nothing of it stays. `more` are parameters of the
    Images API. Raises ApiError.
    """
    catalogue = scope.catalogue(request)
    # `moderation` selects the GPT rules if the tool names no model.
    values = {"moderation": "auto", **body.tool.options, **more}
    values |= {"prompt": prompt, "stream": body.is_stream}
    if origin is None:
        values.pop("input_fidelity", None)  # only for edits
        with body.tool.naming():
            call = calls.read_generation(Fields(values), catalogue)
        return replace(call, container="b64_json")
    files, mask = await to_thread.run_sync(
        partial(_files, body, origin, pictures), limiter=scope.service(request).readers
    )

    def read(decoder: Decoder) -> Call:
        with body.tool.naming():
            name = origin.pictures[0][1]
            return calls.read_edit(Fields(values), files, mask, catalogue, decoder, name)

    edit = await drawing.decoded(request, read)
    if edit is None:
        return None
    call = await drawing.with_mask(scope.service(request), edit)
    source = call.request.source
    if (is_whole or is_anew) and isinstance(source, Edit) and source.given_mask is None:
        clear = np.zeros(source.pixels.shape[:2], np.uint8) if is_anew else None
        whole = replace(source, mask=clear, is_own_mask=False, is_whole=not is_anew)
        call = replace(call, request=replace(call.request, source=whole))
    return replace(call, container="b64_json")


def _files(body: Body, source: Source, pictures: Reader) -> tuple[list[RawFile], RawFile | None]:
    """The pictures and the mask. Blocks: not for the event loop."""
    files = [pictures.picture(value, name) for value, name in source.pictures]
    mask = body.tool.mask
    name = f"{body.tool.at}.input_image_mask"
    return files, pictures.picture(mask, name) if mask else None


def check_no_mask(body: Body) -> None:
    """Raise ApiError for a mask without a picture."""
    if body.tool.mask:
        name = f"{body.tool.at}.input_image_mask"
        raise f.wrong_value(name, f"'{name}' needs a picture to edit, and there is none.")


def about(call: Call) -> dict[str, Any]:
    """What the output item of a call says of its picture."""
    drawing = call.request
    return {
        "action": "edit" if isinstance(drawing.source, Edit) else "generate",
        "output_format": call.format,
        "quality": drawing.quality,
        "revised_prompt": drawing.prompt,
        "size": str(drawing.size),
    }


def usage(request: Request, call: Call) -> Mapping[str, Any]:
    """The tokens of one picture; empty for an engine that does not count."""
    engine = scope.service(request).workers[call.target.engine].engine
    found: Mapping[str, Any] = answers.usage(call, engine, [Drawn(b"", is_transparent=False)])
    return dict(found.get("usage", {}))
