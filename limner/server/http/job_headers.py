"""The headers of a request that is finished without its client, and resumed after a restart."""

from __future__ import annotations

from fastapi import Request

from limner.server.openai import errors
from limner.server.openai.errors import RESUME
from limner.service.queue.jobs import is_id


def is_resumed(request: Request) -> bool:
    """Whether `request` asks to be finished even if the client leaves or the server stops."""
    said = request.headers.get(RESUME, "false").strip().lower()
    if said not in ("true", "false"):
        raise errors.ApiError(
            f"Invalid '{RESUME}': expected true or false.", param=RESUME, code="invalid_value"
        )
    return said == "true"


def client_id(request: Request) -> str | None:
    """The client's id for the request; None if it is absent, too long or cannot be stored."""
    id = request.headers.get("x-client-request-id", "")
    return id if is_id(id) else None
