"""Checks before any route: the host name of a request, and the page that sent it."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from limner.server.access.origins import Origins
from limner.server.openai.errors import ApiError, foreign_host
from limner.service.access.auth import Keys
from limner.service.telemetry.metrics import Metrics
from limner.settings import Settings


class Guard:
    """Refuses foreign pages, and foreign host names while there are no keys."""

    def __init__(self, settings: Settings, keys: Keys, metrics: Metrics) -> None:
        self._origins = Origins(settings)
        self._keys = keys
        self._metrics = metrics

    async def check(self, method: str, path: str, headers: Headers) -> None:
        """Raise ApiError if the request is refused, or DatabaseError."""
        try:
            foreign = self._origins.foreign_names(headers.getlist("host"))
            if foreign and await self._is_open():
                raise foreign_host(foreign[0])
            self._origins.check_page(method, path, headers)
        except ApiError as error:
            self._metrics.refused(error.code or "", "")
            raise

    async def _is_open(self) -> bool:
        if self._keys.is_stale:
            await run_in_threadpool(self._keys.read)
        return self._keys.is_open
