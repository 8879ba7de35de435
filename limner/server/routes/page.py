"""The files of the page: plain modules and a style sheet, found under the hash of all of them.

The hash stands in their addresses, so browsers may keep them for good, and relative imports
between modules stay within one version. They are compressed once, when the first one is asked for.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import Request, Response

from limner.server.http import scope, urls
from limner.server.openai import errors

ROUTE = "/page/"
# No inline script and no inline style: whatever a prompt holds, a browser runs none of it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
INDEX, ICON = "index.html", "icon.svg"

_MEDIA_TYPES = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Files:
    """All files of the page by their paths, as they are and with gzip."""

    plain: dict[str, bytes]
    packed: dict[str, bytes]
    version: str  # 16 hexadecimal digits, of all files together


@cache
def files() -> Files:
    """The files, read once."""
    plain = dict(sorted(_under(resources.files("limner.server") / "page")))
    digest = hashlib.sha256()
    for path, data in plain.items():
        digest.update(f"{path} {len(data)}\n".encode() + data)
    packed = {path: gzip.compress(data, 9, mtime=0) for path, data in plain.items()}
    return Files(plain, packed, digest.hexdigest()[:16])


def _under(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _under(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in (*_MEDIA_TYPES, "html"):
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


async def file(request: Request, version: str, path: str) -> Response:
    """One file, to be kept for good; of another version than this server's, not at all."""
    if version != files().version or path not in files().plain or path == INDEX:
        raise errors.not_found(request.method, request.url.path)
    return _respond(request, path, _FOR_GOOD)


async def icon(request: Request) -> Response:
    """What browsers ask for unasked."""
    return _respond(request, ICON, "public, max-age=86400")


def _respond(request: Request, path: str, keep: str) -> Response:
    headers = {"cache-control": keep, "etag": f'"{files().version}"', "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    media_type = _MEDIA_TYPES[path.rpartition(".")[2]]
    return Response(*_encoded(request, files(), path, headers), media_type=media_type)


def _encoded(
    request: Request, of: Files, path: str, headers: dict[str, str]
) -> tuple[bytes, int, dict[str, str]]:
    if "gzip" in request.headers.get("accept-encoding", "").lower():
        return of.packed[path], 200, headers | {"content-encoding": "gzip"}
    return of.plain[path], 200, headers


def index(request: Request, version: str) -> bytes:
    """The page itself, for the path prefix by which the client calls this server."""
    prefix = urls.prefix(request.headers, scope.service(request).settings)
    return _index(prefix, version)


@cache
def _index(prefix: str, version: str) -> bytes:
    of = files()
    folder = f"{prefix}{ROUTE}{of.version}/"
    modules = [path for path in of.plain if path.endswith(".js") and path != "theme.js"]
    preloads = "\n".join(f'<link rel="modulepreload" href="{folder}{path}">' for path in modules)
    values = {"FOLDER/": folder, "PREFIX": prefix, "VERSION": version, "<!-- MODULES -->": preloads}
    text = of.plain[INDEX].decode()
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text.encode()
