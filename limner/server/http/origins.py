"""Which web pages may use the server, and by which names a server without keys may be called.

A browser sends requests for any page that it shows, to this machine too. Two headers that no page
can forge tell them apart: `Origin` and `Sec-Fetch-Site` say whose page asks, `Host` by which name.
The name matters because its owner may point it at 127.0.0.1 (DNS rebinding): the page then counts
as the server's own. An IP address cannot be pointed elsewhere, so any is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from limner.server.openai import errors
from limner.service import links
from limner.settings import Settings

# Pages on this machine may call the server; others must be named in a setting.
LOCAL_PAGES = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
ANY = "*"

_LOCAL_PAGE = re.compile(LOCAL_PAGES)
# What pages of others may link to or embed: nothing of it is drawn, changed or kept secret.
_FOR_ALL = frozenset({"/", "/docs", "/openapi.json", "/health", "/ready"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")


class Origins:
    """The pages and names that `settings` allow."""

    def __init__(self, settings: Settings) -> None:
        self._pages = frozenset(page.rstrip("/").lower() for page in settings.origins_allowed)
        public = urlsplit(settings.public_url)
        if public.hostname:
            self._pages |= {f"{public.scheme}://{public.netloc}".lower()}
        names = {"localhost", public.hostname or "", settings.host, *settings.hosts_allowed}
        self._names = frozenset(_bare(name) for name in names)

    def check_page(self, method: str, path: str, headers: Headers) -> None:
        """Refuse what a foreign page asks; other programs send neither header and may ask."""
        if method in _READING and (path in _FOR_ALL or path.startswith(links.ROUTE)):
            return
        origin = headers.get("origin")
        if origin is None:
            if headers.get("sec-fetch-site", "").strip().lower() == "cross-site":
                raise errors.foreign_origin("another site")
        elif not self._is_known(origin.strip().lower(), headers.get("host", "").strip().lower()):
            raise errors.foreign_origin(f"{origin!a}")

    def foreign_names(self, hosts: Iterable[str]) -> list[str]:
        """Those of `hosts`, as Host headers give them, that are neither addresses nor allowed."""
        return [] if ANY in self._names else [host for host in hosts if not self._is_ours(host)]

    def _is_known(self, origin: str, host: str) -> bool:
        if ANY in self._pages or origin in self._pages or _LOCAL_PAGE.fullmatch(origin):
            return True
        # A page of this very server, by whatever name it was called.
        return bool(host) and origin in (f"http://{host}", f"https://{host}")

    def _is_ours(self, host: str) -> bool:
        name = _bare(host)
        return name in self._names or name.endswith(".localhost") or _is_address(name)


def _bare(host: str) -> str:
    """A host in small letters, without port, brackets and final dot."""
    found = _HOST.fullmatch(host.strip().lower())
    return (found[1] if found else host).strip("[]").rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
