"""Which web pages may use the server, and which host names a server without keys accepts.

A browser sends requests of any page, also to this machine. Headers that no page can forge identify
them: `Origin` and `Sec-Fetch-Site` name the page's site, `Host` the name it called. The name
matters because its owner may point it at 127.0.0.1 (DNS rebinding), so that the page counts as the
server's own. IP addresses cannot be rebound, so all are accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from limner.server.openai import errors
from limner.service.pictures import links
from limner.settings import Settings

# Pages on this machine may call the server; others must be named in a setting.
LOCAL_PAGES = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
ANY = "*"

_LOCAL_PAGE = re.compile(LOCAL_PAGES)
# Any page may link to or embed these: they draw and change nothing, and are public.
_FOR_ALL = frozenset({"/", "/docs", "/openapi.json", "/health", "/ready"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")


class Origins:
    """The origins and host names that `settings` allow."""

    def __init__(self, settings: Settings) -> None:
        self._pages = frozenset(page.rstrip("/").lower() for page in settings.origins_allowed)
        public = urlsplit(settings.public_url)
        if public.hostname:
            self._pages |= {f"{public.scheme}://{public.netloc}".lower()}
        names = {"localhost", public.hostname or "", settings.host, *settings.hosts_allowed}
        self._names = frozenset(_bare(name) for name in names)

    def check_page(self, method: str, path: str, headers: Headers) -> None:
        """Raise ApiError for a foreign page; programs other than browsers send neither header."""
        if method in _READING and (path in _FOR_ALL or path.startswith(links.ROUTE)):
            return
        origin = headers.get("origin")
        if origin is None:
            if headers.get("sec-fetch-site", "").strip().lower() == "cross-site":
                raise errors.foreign_origin("another site")
        elif not self._is_known(origin.strip().lower(), headers.get("host", "").strip().lower()):
            raise errors.foreign_origin(f"{origin!a}")

    def foreign_names(self, hosts: Iterable[str]) -> list[str]:
        """Those of `hosts` (Host header values) that are neither IP addresses nor allowed."""
        return [] if ANY in self._names else [host for host in hosts if not self._is_ours(host)]

    def _is_known(self, origin: str, host: str) -> bool:
        if ANY in self._pages or origin in self._pages or _LOCAL_PAGE.fullmatch(origin):
            return True
        # A page of this server, whatever host name it used.
        return bool(host) and origin in (f"http://{host}", f"https://{host}")

    def _is_ours(self, host: str) -> bool:
        name = _bare(host)
        return name in self._names or name.endswith(".localhost") or _is_address(name)


def _bare(host: str) -> str:
    """A host in lower case, without port, brackets and final dot."""
    found = _HOST.fullmatch(host.strip().lower())
    return (found[1] if found else host).strip("[]").rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
