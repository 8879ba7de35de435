"""The address of this server as the client sees it."""

from __future__ import annotations

import re

from starlette.requests import HTTPConnection

from limner.settings import Settings

_HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?", re.ASCII)
_PAIR = re.compile(r'\s*(proto|host)="?([^";,\s]+)"?\s*', re.I)  # of Forwarded (RFC 7239)


def base(request: HTTPConnection, settings: Settings) -> str:
    """`http://host:port`: as set, as a proxy says, as the client called it, or as it listens.

    What a proxy says is in the headers only if it is trusted (limner/server/http/proxies.py).
    """
    if settings.public_url:
        return settings.public_url
    headers = request.headers
    forwarded = _forwarded(headers.get("forwarded"))
    scheme = _first(headers.get("x-forwarded-proto")) or forwarded.get("proto", "")
    if scheme not in ("http", "https"):
        scheme = str(request.scope["scheme"])
    outer = _first(headers.get("x-forwarded-host")) or forwarded.get("host", "")
    for said in (outer, headers.get("host", "")):
        # It comes from the client and goes into an address, so it must look like a host.
        if _HOST.fullmatch(said):
            return f"{scheme}://{said}"
    host, port = request.scope["server"]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _first(value: str | None) -> str:
    """The first of a list in a header: what the outermost proxy saw."""
    return (value or "").split(",")[0].strip()


def _forwarded(value: str | None) -> dict[str, str]:
    """`proto` and `host` of the first element of a Forwarded header."""
    pairs = (_PAIR.fullmatch(pair) for pair in _first(value).split(";"))
    return {pair[1].lower(): pair[2] for pair in pairs if pair}
