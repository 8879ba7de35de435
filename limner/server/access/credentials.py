"""The API key of a request, from any of the headers that clients use."""

from __future__ import annotations

from starlette.datastructures import Headers

_OTHERS = ("api-key", "x-api-key")  # of Azure, and of many gateways


def authorization(headers: Headers) -> str | None:
    """The Authorization header; if it has no Bearer key, one made from another header's key.

    A key in Authorization takes precedence, even if it is not valid.
    """
    given = headers.get("authorization")
    scheme, _, key = (given or "").strip().partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return given
    others = (headers.get(name, "").strip() for name in _OTHERS)
    key = next(filter(None, others), "")
    return f"Bearer {key}" if key else given
