"""The address of this server as the client sees it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from limner.settings import Settings

_HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?", re.ASCII)
_PREFIX = re.compile(r"(/[\w.~-]+)+", re.ASCII)
# A pair of the Forwarded header (RFC 7239) and its separator.
_PAIR = re.compile(r'\s*([\w.-]+)=("(?:[^"\\]|\\.)*"|[^";,\s]*)\s*(;|,|$)', re.ASCII)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def base(request: HTTPConnection, settings: Settings) -> str:
    """The base URL, such as `http://host:port`, with the path before /v1, if any.

    Taken from the settings, else a proxy's headers, else the Host header, else the listening
    address. Headers of untrusted proxies were removed before (limner/server/access/proxies.py).
    """
    if settings.public_url:
        return _public(settings)
    headers = request.headers
    forwarded = _forwarded(headers.get("forwarded", ""))
    scheme = _first(headers.get("x-forwarded-proto")) or forwarded.get("proto", "")
    if scheme not in _DEFAULT_PORTS:
        scheme = str(request.scope["scheme"])
    path = prefix(headers, settings)
    outer = _first(headers.get("x-forwarded-host")) or forwarded.get("host", "")
    for said in (outer, headers.get("host", "")):
        # Sent by the client and put into a URL, so it must look like a host.
        if match := _HOST.fullmatch(said):
            port = "" if match[2] else _port(headers, scheme)
            return f"{scheme}://{said}{port}{path}"
    host, port = request.scope["server"]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"


def prefix(headers: Headers, settings: Settings) -> str:
    """The path before /v1 by which clients call this server; empty if there is none."""
    if settings.public_url:
        return urlsplit(_public(settings)).path
    said = _first(headers.get("x-forwarded-prefix")).rstrip("/")
    return said if _PREFIX.fullmatch(said) else ""


def _public(settings: Settings) -> str:
    """The configured address, without the /v1 that people copy with it."""
    return settings.public_url.removesuffix("/v1")


def _port(headers: Headers, scheme: str) -> str:
    """`:port` from a proxy's headers; empty if it is the default port of `scheme`."""
    said = _first(headers.get("x-forwarded-port"))
    is_port = said.isascii() and said.isdigit() and len(said) <= 5 and 0 < int(said) < 65_536
    return f":{int(said)}" if is_port and said != _DEFAULT_PORTS[scheme] else ""


def _first(value: str | None) -> str:
    """The first entry of a header's list, which the outermost proxy added."""
    return (value or "").split(",")[0].strip()


def _forwarded(value: str) -> dict[str, str]:
    """The pairs of the first element of a Forwarded header, by name."""
    pairs, at = {}, 0
    while match := _PAIR.match(value, at):
        pairs[match[1].lower()] = match[2].strip('"')
        if match[3] != ";":
            break
        at = match.end()
    return pairs
