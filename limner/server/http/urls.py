"""The address of this server as the client sees it."""

from __future__ import annotations

import re

from starlette.requests import HTTPConnection

from limner.settings import Settings

_HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?", re.ASCII)


def base(request: HTTPConnection, settings: Settings) -> str:
    """`http://host:port`: as set, as a proxy says, as the client called it, or as it listens."""
    if settings.public_url:
        return settings.public_url
    headers = request.headers
    scheme = _first(headers.get("x-forwarded-proto"))
    if scheme not in ("http", "https"):
        scheme = str(request.scope["scheme"])
    for said in (_first(headers.get("x-forwarded-host")), headers.get("host", "")):
        # It comes from the client and goes into an address, so it must look like a host.
        if _HOST.fullmatch(said):
            return f"{scheme}://{said}"
    host, port = request.scope["server"]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _first(value: str | None) -> str:
    """The first of a list in a header: what the outermost proxy saw."""
    return (value or "").split(",")[0].strip()
