"""The web page: one HTML document that has the style sheet, one script, and an icon.

The document is drawn from what is in it, without a second request. The script is the modules of
`limner/server/page/` joined; its address holds a hash of all files, so browsers keep it for ever.
All is joined and compressed once.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import Request, Response

from limner.server.http import scope, urls
from limner.server.openai import errors
from limner.server.routes.page.joining import joined

ROUTE = "/page/"
SCRIPT, ICON = "page.js", "icon.svg"

_MEDIA_TYPES = {"js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_FOR_GOOD = "public, max-age=31536000, immutable"
# What stands in the document itself runs only if its hash is named, so that a browser never runs
# anything from a prompt.
_POLICY = (
    "default-src 'none'; script-src 'self' {script}; style-src {style}; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass(frozen=True)
class Files:
    """The files of the page that are served, plain and with gzip, and the policy of the document.

    The document stands for a server without a path prefix.
    """

    plain: dict[str, bytes]
    packed: dict[str, bytes]
    version: str  # hash of all files, 16 hexadecimal digits
    policy: str  # for the header Content-Security-Policy


@dataclass(frozen=True)
class Document:
    """The HTML of one path prefix, plain and with gzip."""

    plain: bytes
    packed: bytes
    tag: str  # for the header ETag


@cache
def sources() -> dict[str, str]:
    """The files as they are edited, by path; cached."""
    return dict(sorted(_under(resources.files("limner.server") / "page")))


@cache
def files() -> Files:
    """Join and compress the files; cached."""
    of = sources()
    modules = {path: text for path, text in of.items() if path.endswith(".js")}
    plain = {SCRIPT: joined(modules, "main.js").encode(), ICON: of[ICON].encode()}
    digest = hashlib.sha256()
    for data in plain.values():
        digest.update(f"{len(data)}\n".encode() + data)
    policy = _POLICY.format(script=_hash(of["before_paint.js"]), style=_hash(_style()))
    packed = {path: _packed(data) for path, data in plain.items()}
    return Files(plain, packed, digest.hexdigest()[:16], policy)


def _under(folder: Traversable, prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _under(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in ("js", "css", "svg", "html"):
            found.append((prefix + entry.name, entry.read_text("utf-8")))
    return found


def _style() -> str:
    """The style sheet: those of the folders one after the other, that of all views first."""
    return "".join(text for path, text in sources().items() if path.endswith(".css"))


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def _hash(text: str) -> str:
    """The source of a Content-Security-Policy that allows exactly `text` (CSP 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


async def file(request: Request, version: str, path: str) -> Response:
    """One file, cacheable for ever; 404 for another version than this server's."""
    if version != files().version or path not in files().plain:
        raise errors.not_found(request.method, request.url.path)
    return _respond(request, path, _FOR_GOOD)


async def icon(request: Request) -> Response:
    """/favicon.ico, which browsers request by default."""
    return _respond(request, ICON, "public, max-age=86400")


def _respond(request: Request, path: str, keep: str) -> Response:
    headers = {"cache-control": keep, "etag": f'"{files().version}"', "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    data = files().plain[path]
    if takes_gzip(request):
        data = files().packed[path]
        headers["content-encoding"] = "gzip"
    return Response(data, headers=headers, media_type=_MEDIA_TYPES[path.rpartition(".")[2]])


def takes_gzip(request: Request) -> bool:
    """Whether the client accepts gzip."""
    return "gzip" in request.headers.get("accept-encoding", "").lower()


def document(request: Request, version: str) -> Document:
    """The HTML for this request's path prefix; `version` is limner's."""
    return _document(urls.prefix(request.headers, scope.service(request).settings), version)


@cache
def _document(prefix: str, version: str) -> Document:
    of = sources()
    values = {
        "STYLE": _style(),
        "EARLY": of["before_paint.js"],
        "FOLDER": f"{prefix}{ROUTE}{files().version}",
        "PREFIX": prefix,
        "VERSION": version,
    }
    text = of["index.html"]
    for mark, value in values.items():
        text = text.replace(f"{{{{{mark}}}}}", value)
    plain = text.encode()
    return Document(plain, _packed(plain), f'"{hashlib.sha256(plain).hexdigest()[:16]}"')
