"""What a service says when it does not draw, in the words that a client of limner gets."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from limner.errors import EngineError, Refused, UpstreamError

MAX_CHARS = 500  # of a message of the service
_PASSED = {400: 400, 403: 403, 413: 400, 422: 400, 429: 429}  # its status, and ours
# After these, another service may be asked: the request was refused before anything was drawn.
ASK_ANOTHER = (401, 404, 429)
# Types of an error within a stream that are the client's to mend.
_OF_CLIENT = ("invalid_request_error", "image_generation_user_error")


class Declined(Exception):
    """A service refused before it drew, and another one may be asked."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message)
        self.refused = refused


def from_status(
    status: int, headers: Mapping[str, str], body: bytes, key: str
) -> EngineError | Declined:
    """The error for an answer with a `status` other than 200. `key` is in none of its words."""
    told = _told(body, key)
    if status == 401:
        return Declined(upstream_key_refused())
    if status == 404:
        return Declined(
            Refused(
                f"The upstream knows no such model or address: {told['message']}",
                code="upstream_not_found",
                hint="check LIMNER_UPSTREAM_MODEL and LIMNER_UPSTREAM_URL",
            )
        )
    if status in _PASSED:
        refused = Refused(
            told["message"],
            status=_PASSED[status],
            code=told["code"] or ("rate_limit_exceeded" if status == 429 else "engine_refused"),
            param=told["param"],
            retry_after_s=_retry_after_s(headers) if status == 429 else None,
        )
        return Declined(refused) if status in ASK_ANOTHER else refused
    if 400 <= status < 500:
        return Refused(f"The upstream refused ({status}): {told['message']}")
    return UpstreamError(f"The upstream failed ({status}): {told['message']}")


def from_event(event: Mapping[str, Any], key: str) -> EngineError:
    """The error for an event of a stream that tells of one."""
    told = _words(event, key)
    if told["type"] in _OF_CLIENT:
        code = told["code"] or "engine_refused"
        return Refused(told["message"], status=400, code=code, param=told["param"])
    return UpstreamError(f"The upstream failed: {told['message']}")


def upstream_key_refused() -> Refused:
    """The service does not take our key."""
    return Refused(
        "Upstream key refused",
        code="upstream_key_refused",
        hint="whoever runs this server must check LIMNER_UPSTREAM_KEY",
    )


def unreachable(reason: str) -> Refused:
    """No service could be connected to."""
    return Refused(
        f"The upstream cannot be reached: {reason}",
        status=503,
        code="upstream_unreachable",
        retry_after_s=5,
        hint="check that a server runs at LIMNER_UPSTREAM_URL, or where the model's card says: "
        "limner models show NAME",
    )


def _told(body: bytes, key: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return _words(found, key)
    return {"message": "it gave no reason", "code": None, "param": None, "type": None}


def _words(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Message, code, param and type, in whichever shape the service says them.

    OpenAI's is {"error": {…}}; others say {"error": text}, {"detail": text or list} or
    {"message": text}.
    """
    error = body.get("error")
    inner: Mapping[str, Any] = error if isinstance(error, Mapping) else body
    said = inner.get("message") or inner.get("detail") or error or "it gave no reason"
    message = said if isinstance(said, str) else json.dumps(said, default=str)
    if key:
        message = message.replace(key, "…")
    found = {name: _text(inner.get(name)) for name in ("code", "param", "type")}
    return found | {"message": message[:MAX_CHARS]}


def _text(value: object) -> str | None:
    return value[:100] if isinstance(value, str) and value else None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """When to ask again: a number of seconds, or a date."""
    headers = {name.lower(): value for name, value in headers.items()}
    for name, scale in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name) or "") / scale
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        at = parsedate_to_datetime(headers.get("retry-after") or "")
    except ValueError:
        return None
    return max(0.0, at.timestamp() - time.time())
