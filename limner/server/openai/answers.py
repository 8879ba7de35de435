"""Answer bodies for the three generations of models, and the events of a stream."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limner.engines.base import CountsTokens, Engine
from limner.engines.events import Details, Usage
from limner.server.openai.calls import Call
from limner.server.openai.errors import ApiError
from limner.server.openai.model_rules import Catalogue

Json = dict[str, Any]

# The `created` time of published model names: when limner added them (2026-11-23).
_CREATED = 1_795_392_000

KEEP_ALIVE = b": keep-alive\n\n"  # a comment: clients break on an event without data


@dataclass(frozen=True)
class Drawn:
    """A finished picture as a file, and its address if it was stored."""

    data: bytes
    is_transparent: bool
    url: str | None = None
    details: Details = Details()  # noqa: RUF009  frozen


def dump(body: Json) -> bytes:
    """JSON in ASCII, so that any text of a client can be echoed, even a lone surrogate."""
    return json.dumps(body, separators=(",", ":")).encode()


def page(items: Sequence[Json], *, has_more: bool) -> Json:
    """One page of a list."""
    return {
        "object": "list",
        "data": list(items),
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": has_more,
    }


def images(call: Call, drawn: Sequence[Drawn], engine: Engine) -> Json:
    """The body of a finished request, in the shape of its model's generation."""
    body: Json = {"created": int(time.time())}
    if not call.target.is_gpt:
        body["data"] = [_item(call, picture) for picture in drawn]
        return body | _svg_usage(call)
    body["background"] = _background(any(picture.is_transparent for picture in drawn))
    body["data"] = [_item(call, picture) for picture in drawn]
    body["output_format"] = call.format
    body["quality"] = call.request.quality
    body["size"] = str(call.request.size)
    body |= _svg_usage(call) | usage(call, engine, drawn)
    return body | _identifier(call)


def _item(call: Call, picture: Drawn) -> Json:
    item: Json = {}
    revised = picture.details.revised_prompt
    if call.target.profile == "dalle3" and call.request.prompt:
        revised = revised or call.request.prompt  # the prompt was not revised
    if revised:
        item["revised_prompt"] = revised
    if picture.url is not None:
        item["url"] = picture.url
    else:
        item["b64_json"] = _base64(picture.data)
    return item


def partial_image(call: Call, index: int, picture: Drawn) -> bytes:
    """The stream event of an unfinished picture."""
    return _event(
        f"{call.kind}.partial_image", _streamed(call, picture) | {"partial_image_index": index}
    )


def completed(call: Call, picture: Drawn, engine: Engine) -> bytes:
    """The stream event of a finished picture."""
    body = _streamed(call, picture) | usage(call, engine, [picture]) | _identifier(call)
    return _event(f"{call.kind}.completed", body)


def failed(error: ApiError) -> bytes:
    """The stream event of a failure after the first event; clients only see a nested error."""
    return _event("error", error.body)


def comment(text: str) -> bytes:
    """A comment for people who read the stream; clients ignore it."""
    return f": {' '.join(text.split())}\n\n".encode("utf-8", "replace")


def _streamed(call: Call, picture: Drawn) -> Json:
    return {
        "b64_json": _base64(picture.data),
        "created_at": int(time.time()),
        "size": str(call.request.size),
        "quality": call.request.quality,
        "background": _background(picture.is_transparent),
        "output_format": call.format,
    }


def _event(name: str, body: Json) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), dump({"type": name} | body))


def usage(call: Call, engine: Engine, drawn: Sequence[Drawn]) -> Json:
    """The `usage` of an answer: as reported by an upstream service, or counted by the engine.

    Empty if neither is known; nothing is estimated.
    """
    said = [picture.details.usage for picture in drawn if picture.details.usage]
    if said:
        return _sum(said)
    if not isinstance(engine, CountsTokens):
        return {}
    n_text = engine.count_tokens(call.request.prompt)
    n_cells = engine.count_cells(call.request.size)
    n_read, n_drawn = n_cells if call.request.source else 0, n_cells * len(drawn)
    return _sum([Usage(n_text, n_read, 0, n_drawn)])


def _sum(parts: Sequence[Usage]) -> Json:
    text_in, image_in = sum(u.input_text for u in parts), sum(u.input_image for u in parts)
    text_out, image_out = sum(u.output_text for u in parts), sum(u.output_image for u in parts)
    counted = {
        "input_tokens": text_in + image_in,
        "input_tokens_details": {"image_tokens": image_in, "text_tokens": text_in},
        "output_tokens": text_out + image_out,
        "output_tokens_details": {"image_tokens": image_out, "text_tokens": text_out},
        "total_tokens": text_in + image_in + text_out + image_out,
    }
    return {"usage": counted}


def _svg_usage(call: Call) -> Json:
    """The usage of an SVG document: no tokens, as no language model wrote it."""
    if call.format != "svg":
        return {}
    counts = dict.fromkeys(["input_tokens", "output_tokens", "reasoning_tokens", "total_tokens"], 0)
    return {"svg_usage": {"model": "limner-trace", **counts}}


def _identifier(call: Call) -> Json:
    return {"safety_identifier": call.identifier} if call.identifier else {}


def _background(is_transparent: bool) -> str:
    return "transparent" if is_transparent else "opaque"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def model(id: str, catalogue: Catalogue) -> Json:
    """One model; for the server's own names with the abilities of its engine."""
    owner = "limner" if id in catalogue.own else "system"
    body: Json = {"id": id, "object": "model", "created": _CREATED, "owned_by": owner}
    able = catalogue.capabilities.get(catalogue.own.get(id, ""))
    return body | {"capabilities": able.as_json()} if able else body


def models(ids: Sequence[str], catalogue: Catalogue) -> Json:
    """A list of models, as one page."""
    return {"object": "list", "data": [model(id, catalogue) for id in ids]}
