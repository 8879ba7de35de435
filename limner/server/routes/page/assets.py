"""The files of the web page: plain modules and a style sheet, at addresses with a common hash.

Because of the hash, browsers may cache them for ever, and relative imports between modules stay
within one version. All are compressed once, at the first request.
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
# No inline scripts or styles, so that a browser never runs anything from a prompt.
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
    """All files of the page by path, plain and with gzip."""

    plain: dict[str, bytes]
    packed: dict[str, bytes]
    version: str  # hash of all files, 16 hexadecimal digits


@cache
def files() -> Files:
    """Read the files; cached."""
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
    """One file, cacheable for ever; 404 for another version than this server's."""
    if version != files().version or path not in files().plain or path == INDEX:
        raise errors.not_found(request.method, request.url.path)
    return _respond(request, path, _FOR_GOOD)


async def icon(request: Request) -> Response:
    """/favicon.ico, which browsers request by default."""
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
    """The HTML page, with the client's path prefix."""
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
