"""The OpenAPI description of each route; bodies are parsed by `openai`, not by FastAPI."""

from __future__ import annotations

from typing import Any

from limner.request import (
    BACKGROUNDS,
    COMPLEXITIES,
    DRAW_OPTIONS,
    FILE_FORMATS,
    MAX_FRAMES,
    MAX_PREVIEWS,
    MIN_FRAMES,
)
from limner.server.openai.model_rules import MAX_PROMPT_CHARS, QUALITY
from limner.server.openai.moderations import MAX_INPUTS

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
    "n": DRAW_OPTIONS["n"].schema(),
    "size": {"type": ["string", "null"], "examples": ["1024x1024", "1536x1024", "auto"]},
    "response_format": {"type": ["string", "null"], "enum": ["url", "b64_json", None]},
    "user": {"type": ["string", "null"]},
    **{
        name: DRAW_OPTIONS[name].schema()
        for name in ("seed", "best_of", "retry_below", "mark", "refine")
    },
}
_DRAWING: dict[str, Schema] = {
    "prompt": {"type": "string", "minLength": 1, "maxLength": MAX_PROMPT_CHARS["gpt"]},
    **_COMMON,
    "quality": {"type": ["string", "null"], "enum": [*QUALITY, None]},
    "background": {"type": ["string", "null"], "enum": [*BACKGROUNDS, None]},
    "moderation": {"type": ["string", "null"], "enum": ["auto", "low", None]},
    "output_format": {
        "type": ["string", "null"],
        "enum": [*FILE_FORMATS, None],
        "description": "svg is one document of paths and gradients: with n of 1, and no stream.",
    },
    "output_compression": {
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": 100,
        "description": "Of JPEG and WebP.",
    },
    "complexity": {
        "type": ["string", "null"],
        "enum": [*COMPLEXITIES, None],
        "description": "Of SVG: at most 8 colours and 40 paths, 16 and 150, or 32 and 400.",
    },
    "frame_count": {
        "type": ["integer", "null"],
        "minimum": MIN_FRAMES,
        "maximum": MAX_FRAMES,
        "default": 9,
        "description": "Of GIF, which has no stream and no mask.",
    },
    "frame_duration_ms": {
        "type": ["integer", "null"],
        "minimum": 1,
        "default": 200,
        "description": "Of each frame of a GIF; rounded to 10 ms.",
    },
    "svg": {
        "type": ["object", "null"],
        "properties": {
            "model": {"type": "string"},
            "reasoning": {
                "type": ["object", "null"],
                "properties": {"effort": {"type": ["string", "null"]}},
            },
        },
        "description": "Checked, but without effect, as no language model draws here. "
        "In a form: svg[model], svg[reasoning][effort].",
    },
    "stream": {"type": ["boolean", "null"], "default": False},
    "partial_images": {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_PREVIEWS},
    "safety_identifier": {"type": ["string", "null"]},
}
_WHERE: Schema = {
    "type": ["string", "null"],
    "description": "Instead of a mask: the thing to draw anew, such as 'the apple'.",
}
_PARENT: Schema = {
    "type": ["string", "null"],
    "pattern": "^[0-9a-f]{64}$",
    "description": "SHA-256 of the picture that the sent one was made from; the parent in the "
    "history. By default that of the sent file. An addition of limner's.",
}
_FILE: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
_MARKUP: Schema = {
    **_FILE,
    "description": "A PNG of the size of the picture, transparent except where to edit. Not "
    "together with a mask.",
}

_TEXT: Schema = {
    "type": "string",
    "description": "A data: URL, base64, or the address of a picture of this server",
}
_JSON_PICTURE: Schema = {
    "anyOf": [
        _TEXT,
        {"type": "object", "properties": {"image_url": _TEXT}, "required": ["image_url"]},
        {
            "type": "object",
            "properties": {
                "image_url": {
                    "type": "object",
                    "properties": {"url": _TEXT},
                    "required": ["url"],
                }
            },
            "required": ["image_url"],
        },
        {"type": "object", "properties": {"b64_json": _TEXT}, "required": ["b64_json"]},
    ]
}
_JSON_PICTURES: Schema = {"anyOf": [_JSON_PICTURE, {"type": "array", "items": _JSON_PICTURE}]}

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
        "output_format": {"enum": list(FILE_FORMATS)},
        "quality": {"enum": ["low", "medium", "high"]},
        "size": {"type": "string"},
        "usage": {"type": "object"},
        "svg_usage": {
            "type": "object",
            "description": "Of an SVG document; there are no tokens, as it is traced.",
            "properties": {
                "model": {"type": "string"},
                "input_tokens": {"type": "integer"},
                "output_tokens": {"type": "integer"},
                "reasoning_tokens": {"type": "integer"},
                "total_tokens": {"type": "integer"},
            },
        },
    },
}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _object(properties: dict[str, Schema], *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _errors(*codes: int) -> dict[int | str, Schema]:
    said = {
        400: "The request is not valid",
        401: "No key, or a wrong one",
        403: "The address has expired or is not signed, or the key lacks the scope",
        404: "Not found",
        408: "The body stopped arriving",
        409: "It is in use; see Retry-After",
        416: "The range is beyond the end of the picture",
        429: "The queue is full, or the key has reached a limit; see Retry-After",
        500: "The server failed",
        503: "The server is stopping, or its database or store is not available",
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
            "schema": _object(
                {
                    **_DRAWING,
                    "image": _FILE,
                    "mask": _FILE,
                    "markup": _MARKUP,
                    "parent": _PARENT,
                    "where": _WHERE,
                },
                "prompt",
                "image",
            )
        },
        **_json(
            {
                "type": "object",
                "properties": {
                    **_DRAWING,
                    "images": _JSON_PICTURES,
                    "image": _JSON_PICTURES,
                    "parent": _PARENT,
                    "where": _WHERE,
                    "mask": {"anyOf": [_JSON_PICTURE, {"type": "null"}]},
                    "markup": {
                        "anyOf": [_JSON_PICTURE, {"type": "null"}],
                        "description": _MARKUP["description"],
                    },
                },
                "required": ["prompt"],
                "anyOf": [{"required": ["images"]}, {"required": ["image"]}],
            }
        ),
    },
)
VARIATIONS = _route(
    "vary",
    "Draw variations of a picture",
    _json(_IMAGES),
    *_DRAW_CODES,
    body={"multipart/form-data": {"schema": _object({**_COMMON, "image": _FILE}, "image")}},
)
CHECK = _route(
    "check",
    "Check the label, parameters and signature in a picture file",
    _json({"type": "object"}),
    400,
    401,
    408,
    429,
    503,
    body={"multipart/form-data": {"schema": _object({"image": _FILE}, "image")}},
)
PICTURE = _route(
    "picture",
    "Fetch a picture, or with Range a part of it, by its address in an answer",
    {
        "image/svg+xml" if format == "svg" else f"image/{format}": {"schema": {"type": "string"}}
        for format in FILE_FORMATS
    },
    403,
    404,
    416,
    503,
)
PICTURE["responses"] |= {206: {"description": "A part"}, 304: {"description": "Not modified"}}
JOB = _route("get_job", "The status of a request", _json({"type": "object"}), 401, 404)
JOB_CANCEL = _route("cancel_job", "Stop a request", _json({"type": "object"}), 401, 404)
_CODES = (400, 401, 403, 404, 503)
HISTORY = _route(
    "list_history",
    "Earlier requests, latest first: limit (1 to 100), after (an id); q (words of prompts), "
    "model, since and until (dates or Unix times), starred (true or false), sha256 and parent (of "
    "files)",
    _json({"type": "object"}),
    *_CODES,
)
HISTORY_ONE = _route("get_history", "One request of it", _json({"type": "object"}), *_CODES)
HISTORY_DELETE = _route(
    "delete_history", "Delete a request and its pictures", _json({"type": "object"}), *_CODES
)
_PICTURE_FILE = {
    f"image/{kind}": {"schema": {"type": "string"}}
    for kind in ("png", "jpeg", "webp", "gif", "svg+xml")
}
KEPT_PICTURE = _route(
    "get_kept_picture",
    "The file of a picture of the history: format (png, jpeg, webp or svg), side (16 to 1024, of a "
    "smaller copy), complexity (low, medium or high, of an SVG)",
    _PICTURE_FILE,
    *_CODES,
    500,
)
KEPT_PICTURE["responses"] |= {304: {"description": "Not modified"}}
KEPT_PICTURE_DELETE = _route(
    "delete_kept_picture",
    "Delete one picture of a request; with its last one, the request",
    _json({"type": "object"}),
    *_CODES,
)
STAR = _route(
    "star_picture",
    "Star a picture, so that it is not deleted by age or size",
    _json({"type": "object"}),
    *_CODES,
)
UNSTAR = _route(
    "unstar_picture", "Remove the star of a picture", _json({"type": "object"}), *_CODES
)
SESSION = _route(
    "get_session", "The name of the key, and its scopes", _json({"type": "object"}), 401, 403, 503
)
SESSION_BEGIN = _route(
    "begin_session",
    "Exchange a key for a session cookie, for the page of this server",
    _json({"type": "object"}),
    400,
    401,
    403,
    408,
    503,
    body=_json(_object({"key": {"type": "string"}}, "key")),
)
SESSION_END = _route("end_session", "End a visit", _json({"type": "object"}), 403, 503)
_ADMIN = (401, 403, 503)
ADMIN_JOBS = _route("admin_jobs", "Running and queued requests", _json({"type": "object"}), *_ADMIN)
ADMIN_KEYS = _route(
    "admin_keys", "Keys, their scopes and limits", _json({"type": "object"}), *_ADMIN
)
ADMIN_USAGE = _route(
    "admin_usage",
    "Pictures by key and day: days (1 to 90)",
    _json({"type": "object"}),
    400,
    *_ADMIN,
)
ADMIN_TRAINING = _route(
    "admin_training", "Training runs in LIMNER_HOME", _json({"type": "object"}), *_ADMIN
)
ADMIN_SHEET = _route(
    "admin_training_sheet",
    "The newest page of samples of a stage",
    {"image/png": {"schema": {"type": "string"}}},
    404,
    *_ADMIN,
)
LOOK = _route(
    "look",
    "Describe what a picture shows, and whether it matches a prompt",
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
    "Draw or edit a picture from a conversation (Responses API, tool image_generation)",
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
    "Draw or edit a picture from a chat; it is returned as message.images",
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
    "Upload a picture, to refer to it by file_id",
    _json({"type": "object"}),
    *_DRAW_CODES,
    404,
    body={
        "multipart/form-data": {
            "schema": _object({"file": _FILE, "purpose": {"type": "string"}}, "file", "purpose")
        }
    },
)
FILES = _route("list_files", "The stored files", _json({"type": "object"}), *_CODES)
FILE = _route("get_file", "The metadata of a file", _json({"type": "object"}), 401, 404, 503)
FILE_DELETE = _route("delete_file", "Delete a file", _json({"type": "object"}), 401, 404, 503)
FILE_CONTENT = _route(
    "file_content",
    "The file itself",
    {f"image/{format}": {"schema": {"type": "string"}} for format in ("png", "jpeg", "webp")},
    401,
    404,
    503,
)
MODELS = _route("list_models", "List the models", _json({"type": "object"}), 401)
MODEL = _route("get_model", "Get a model", _json({"type": "object"}), 401, 404)
MODEL_STOP = _route(
    "stop_model",
    "Unload a model",
    _json({"type": "object"}),
    401,
    403,
    404,
    409,
)
MODERATIONS = _route(
    "moderate",
    "Moderate texts in the same way as prompts",
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
    "Metrics for Prometheus",
    {"text/plain": {"schema": {"type": "string"}}},
    401,
    403,
)
HEALTH = _route("health", "Whether the process is alive", _json({"type": "object"}))
READY = _route("ready", "Whether the server can draw and store", _json({"type": "object"}), 503)
