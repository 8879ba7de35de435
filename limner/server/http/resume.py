"""The headers of a request that is to survive its client and its server."""

from __future__ import annotations

from fastapi import Request

from limner.server.openai import errors
from limner.server.openai.errors import RESUME
from limner.service.queue.jobs import is_id


def is_resumed(request: Request) -> bool:
    """Whether `request` is to be drawn to its end, even if the client leaves or a server stops."""
    said = request.headers.get(RESUME, "false").strip().lower()
    if said not in ("true", "false"):
        raise errors.ApiError(
            f"Invalid '{RESUME}': expected true or false.", param=RESUME, code="invalid_value"
        )
    return said == "true"


def client_id(request: Request) -> str | None:
    """The client's own id of the request, if it can be stored and is not too long."""
    id = request.headers.get("x-client-request-id", "")
    return id if is_id(id) else None
