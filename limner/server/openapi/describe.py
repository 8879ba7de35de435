"""What the OpenAPI description says of each route; bodies are read by `wire`, not by FastAPI."""

from __future__ import annotations

from typing import Any

from limner.request import (
    BACKGROUNDS,
    FORMATS,
    MAX_BEST_OF,
    MAX_PICTURES,
    MAX_PREVIEWS,
    MAX_SEED,
)
from limner.server.openai.moderations import MAX_INPUTS
from limner.server.openai.profiles import MAX_PROMPT_CHARS, QUALITY

Schema = dict[str, Any]

ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}

_COMMON: dict[str, Schema] = {
    "model": {
        "type": ["string", "null"],
        "description": "Any published name, or one of this server's own. It decides the shape "
        "of the answer; left out, the answer has the shape of DALL·E 2.",
    },
    "n": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_PICTURES, "default": 1},
    "size": {"type": ["string", "null"], "examples": ["1024x1024", "1536x1024", "auto"]},
    "response_format": {"type": ["string", "null"], "enum": ["url", "b64_json", None]},
    "user": {"type": ["string", "null"]},
    "seed": {
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": MAX_SEED,
        "description": "The same seed draws the same pictures. An addition of limner's.",
    },
    "best_of": {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": MAX_BEST_OF,
        "description": "So many are drawn for each picture, and the one is kept that fits the "
        "prompt best by the model's own score. By default as many as the quality says. An "
        "addition of limner's.",
    },
    "retry_below": {
        "type": ["number", "null"],
        "minimum": -1,
        "maximum": 1,
        "description": "A picture whose best score is below it is drawn once more, and the better "
        "one kept. An addition of limner's.",
    },
}
_DRAWING: dict[str, Schema] = {
    "prompt": {"type": "string", "minLength": 1, "maxLength": MAX_PROMPT_CHARS["gpt"]},
    **_COMMON,
    "quality": {"type": ["string", "null"], "enum": [*QUALITY, None]},
    "background": {"type": ["string", "null"], "enum": [*BACKGROUNDS, None]},
    "moderation": {"type": ["string", "null"], "enum": ["auto", "low", None]},
    "output_format": {"type": ["string", "null"], "enum": [*FORMATS, None]},
    "output_compression": {"type": ["integer", "null"], "minimum": 0, "maximum": 100},
    "stream": {"type": ["boolean", "null"], "default": False},
    "partial_images": {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_PREVIEWS},
    "safety_identifier": {"type": ["string", "null"]},
}
_FILE: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}

_IMAGES: Schema = {
    "type": "object",
    "required": ["created", "data"],
    "properties": {
        "created": {"type": "integer"},
        "data": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "url": {"type": "string", "format": "uri"},
                    "b64_json": {"type": "string"},
                    "revised_prompt": {"type": "string"},
                },
            },
        },
        "background": {"enum": ["transparent", "opaque"]},
        "output_format": {"enum": list(FORMATS)},
        "quality": {"enum": ["low", "medium", "high"]},
        "size": {"type": "string"},
        "usage": {"type": "object"},
    },
}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _object(properties: dict[str, Schema], *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _errors(*codes: int) -> dict[int | str, Schema]:
    said = {
        400: "Something in the request is wrong",
        401: "No key, or a wrong one",
        403: "The address has ended or is not signed, or the key is not for this",
        404: "There is no such thing",
        408: "The body stopped arriving",
        416: "The picture has nothing in that range",
        429: "The queue is full, or the key over a limit; Retry-After says when to come back",
        500: "The server failed",
        503: "The server is stopping, or its database or store out of reach",
    }
    return {code: {"description": said[code], "content": _json(ERROR)} for code in codes}


def _route(
    name: str, summary: str, ok: Schema, *codes: int, body: Schema | None = None
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operation_id": name,
        "summary": summary,
        "responses": {200: {"description": "As asked", "content": ok}, **_errors(*codes)},
    }
    if body:
        described["openapi_extra"] = {"requestBody": {"required": True, "content": body}}
    return described


_DRAW_CODES = (400, 401, 403, 408, 429, 500, 503)

_IMAGES_OR_STREAM = {**_json(_IMAGES), "text/event-stream": {"schema": {"type": "string"}}}

GENERATIONS = _route(
    "generate",
    "Draw pictures from a prompt",
    _IMAGES_OR_STREAM,
    *_DRAW_CODES,
    body=_json(_object(_DRAWING, "prompt")),
)
EDITS = _route(
    "edit",
    "Change a picture by a prompt, where its mask is clear",
    _IMAGES_OR_STREAM,
    *_DRAW_CODES,
    body={
        "multipart/form-data": {
            "schema": _object({**_DRAWING, "image": _FILE, "mask": _FILE}, "prompt", "image")
        },
        **_json(
            _object(
                {**_DRAWING, "images": {"type": "array"}, "mask": {"type": ["object", "null"]}},
                "prompt",
                "images",
            )
        ),
    },
)
VARIATIONS = _route(
    "vary",
    "Draw pictures like another",
    _json(_IMAGES),
    *_DRAW_CODES,
    body={"multipart/form-data": {"schema": _object({**_COMMON, "image": _FILE}, "image")}},
)
PICTURE = _route(
    "picture",
    "Fetch a picture, or with Range a part of it, by the address that an answer gave",
    {f"image/{format}": {"schema": {"type": "string"}} for format in FORMATS},
    403,
    404,
    416,
    503,
)
PICTURE["responses"] |= {206: {"description": "A part"}, 304: {"description": "As you have it"}}
JOB = _route("get_job", "How a request stands", _json({"type": "object"}), 401, 404)
JOB_CANCEL = _route("cancel_job", "Stop a request", _json({"type": "object"}), 401, 404)
_CODES = (400, 401, 404, 503)
HISTORY = _route(
    "list_history",
    "What was drawn, the latest first: limit (1 to 100), after (an id)",
    _json({"type": "object"}),
    *_CODES,
)
HISTORY_ONE = _route("get_history", "One request of it", _json({"type": "object"}), *_CODES)
HISTORY_DELETE = _route(
    "delete_history", "Delete a request and its pictures", _json({"type": "object"}), *_CODES
)
LOOK = _route(
    "look",
    "Say what a picture shows, and whether it is what was asked for",
    _json({"type": "object"}),
    *_DRAW_CODES,
    body={
        "multipart/form-data": {
            "schema": _object({"image": _FILE, "asked": {"type": "string"}}, "image")
        },
        **_json(_object({"image": {}, "asked": {"type": ["string", "null"]}}, "image")),
    },
)
RESPONSES = _route(
    "create_response",
    "Draw or edit a picture as a conversation says (Responses API, tool image_generation)",
    {**_json({"type": "object"}), "text/event-stream": {"schema": {"type": "string"}}},
    *_DRAW_CODES,
    404,
    body=_json(
        _object(
            {
                "model": {"type": "string"},
                "input": {"anyOf": [{"type": "string"}, {"type": "array"}]},
                "tools": {"type": "array"},
                "tool_choice": {"type": ["string", "object", "null"]},
                "previous_response_id": {"type": ["string", "null"]},
                "store": {"type": ["boolean", "null"], "default": True},
                "stream": {"type": ["boolean", "null"], "default": False},
            },
            "model",
            "input",
            "tools",
        )
    ),
)
CHAT = _route(
    "complete_chat",
    "Draw or edit a picture as a chat says; it comes as message.images",
    {**_json({"type": "object"}), "text/event-stream": {"schema": {"type": "string"}}},
    *_DRAW_CODES,
    body=_json(
        _object(
            {
                "model": {"type": "string"},
                "messages": {"type": "array"},
                "modalities": {"type": ["array", "null"]},
                "stream": {"type": ["boolean", "null"], "default": False},
            },
            "model",
            "messages",
        )
    ),
)
RESPONSE = _route("get_response", "A stored answer", _json({"type": "object"}), *_CODES)
RESPONSE_DELETE = _route(
    "delete_response",
    "Delete an answer, its prompt and its picture",
    _json({"type": "object"}),
    *_CODES,
)
FILES_CREATE = _route(
    "upload_file",
    "Upload a picture, to name it by file_id",
    _json({"type": "object"}),
    *_DRAW_CODES,
    404,
    body={
        "multipart/form-data": {
            "schema": _object({"file": _FILE, "purpose": {"type": "string"}}, "file", "purpose")
        }
    },
)
FILES = _route("list_files", "The files that are kept", _json({"type": "object"}), *_CODES)
FILE = _route("get_file", "What is known of a file", _json({"type": "object"}), 401, 404, 503)
FILE_DELETE = _route("delete_file", "Delete a file", _json({"type": "object"}), 401, 404, 503)
FILE_CONTENT = _route(
    "file_content",
    "The file itself",
    {f"image/{format}": {"schema": {"type": "string"}} for format in FORMATS},
    401,
    404,
    503,
)
MODELS = _route("list_models", "List the models", _json({"type": "object"}), 401)
MODEL = _route("get_model", "Look a model up", _json({"type": "object"}), 401, 404)
MODERATIONS = _route(
    "moderate",
    "Judge texts as prompts are judged",
    _json({"type": "object"}),
    400,
    401,
    408,
    body=_json(
        _object(
            {
                "input": {
                    "anyOf": [
                        {"type": "string"},
                        {"type": "array", "minItems": 1, "maxItems": MAX_INPUTS},
                    ]
                },
                "model": {"type": ["string", "null"]},
            },
            "input",
        )
    ),
)
METRICS = _route(
    "metrics",
    "What the server counts, for Prometheus",
    {"text/plain": {"schema": {"type": "string"}}},
    401,
    403,
)
HEALTH = _route("health", "Whether the process answers", _json({"type": "object"}))
READY = _route("ready", "Whether a request would be drawn", _json({"type": "object"}), 503)
