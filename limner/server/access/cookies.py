"""The session cookie: how it is set, and which pages may use it.

Only this server's own page may use it. SameSite=Strict keeps other sites from sending it. Pages on
other ports of the host are the same site; `Origin` and `Sec-Fetch-Site`, which no page can forge,
distinguish them. Browsers share cookies between the ports of a host, so the name says which
database the session is of: servers with different databases do not overwrite each other's.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response

from limner.server.http import scope, urls
from limner.server.openai import errors
from limner.storage.db.sessions import LIFETIME_S

NAME = "limner_session"  # and the id of the database that has the sessions

_READING = frozenset({"GET", "HEAD"})
_SAME = frozenset({"same-origin", "none", ""})


def token(request: Request) -> str | None:
    """The session token of `request`, or None. Raises ApiError (403) for a foreign page."""
    found = request.cookies.get(_name(request))
    if found:
        check_page(request)
    return found or None


def check_page(request: Request) -> None:
    """Raise ApiError (403) unless this server's own page sent the request."""
    headers = request.headers
    origin = headers.get("origin")
    if origin is None:
        is_own = request.method in _READING
        is_own &= headers.get("sec-fetch-site", "").strip().lower() in _SAME
    else:
        is_own = origin.strip().lower() in _own_origins(request)
    if not is_own:
        raise errors.foreign_cookie()


def give(request: Request, response: Response, value: str) -> None:
    """Set the cookie to `value`, a fresh token."""
    response.set_cookie(_name(request), value, max_age=int(LIFETIME_S), **_attributes(request))


def take(request: Request, response: Response) -> None:
    """Remove the cookie."""
    response.delete_cookie(_name(request), **_attributes(request))


def _name(request: Request) -> str:
    return f"{NAME}_{scope.service(request).sessions.id}"


def _attributes(request: Request) -> dict[str, Any]:
    base = urlsplit(urls.base(request, scope.service(request).settings))
    return {
        "path": base.path or "/",
        "secure": base.scheme == "https",
        "httponly": True,
        "samesite": "strict",
    }


def _own_origins(request: Request) -> set[str]:
    base = urlsplit(urls.base(request, scope.service(request).settings))
    host = request.headers.get("host", "").strip().lower()
    return {f"{base.scheme}://{base.netloc}".lower(), f"{request.url.scheme}://{host}"}
