"""The key of a request, in whichever header its client sends it."""

from __future__ import annotations

from starlette.datastructures import Headers

_OTHERS = ("api-key", "x-api-key")  # of Azure, and of many gateways


def authorization(headers: Headers) -> str | None:
    """The Authorization header; without a Bearer key in it, one made of another header's key.

    A key in Authorization counts even if it is wrong and another header has a right one.
    """
    given = headers.get("authorization")
    scheme, _, key = (given or "").strip().partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return given
    others = (headers.get(name, "").strip() for name in _OTHERS)
    key = next(filter(None, others), "")
    return f"Bearer {key}" if key else given
