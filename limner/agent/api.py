"""The HTTP API of a server, as the tools call it: over a connection, or within the process."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from limner.errors import LimnerError

HISTORY = "/v1/images/history"
JOBS = "/v1/images/jobs"
FILES = "/v1/images/files/"
LOOK = "/v1/images/look"
_CONNECT_S = 5.0


class ApiFailure(LimnerError):
    """The server refused a request, or cannot be reached."""


class Api:
    """One server. Every failure is an ApiFailure with the words of the server."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON of a GET."""
        return (await self._send("GET", path, params=query)).json()

    async def bytes(self, path: str) -> bytes:
        """A picture by its path and signature at this server."""
        return (await self._send("GET", path)).content

    async def post(
        self, path: str, id: str | None = None, **values: Any
    ) -> tuple[Any, Mapping[str, str]]:
        """The JSON and the headers of a POST; `id` names the request, to follow or to cancel it."""
        headers = {"x-client-request-id": id} if id else {}
        answer = await self._send("POST", path, headers=headers, **values)
        return answer.json(), answer.headers

    async def job(self, id: str) -> dict[str, Any] | None:
        """How request `id` stands; None if the server does not know it yet."""
        try:
            job: dict[str, Any] = await self.get(f"{JOBS}/{id}")
        except ApiFailure:
            return None
        return job

    async def cancel(self, id: str) -> None:
        """Stop request `id`."""
        await self._send("DELETE", f"{JOBS}/{id}")

    async def _send(self, method: str, path: str, **values: Any) -> httpx2.Response:
        try:
            answer = await self._http.request(method, path, **values)
        except httpx2.TransportError as error:
            raise ApiFailure(
                f"The server at {self._http.base_url} does not answer: {error}",
                hint="start it with limner serve",
            ) from error
        if answer.is_error:
            raise ApiFailure(_message(answer))
        return answer


@asynccontextmanager
async def connected(url: str, headers: Mapping[str, str], app: Any = None) -> AsyncIterator[Api]:
    """The server at `url`, or `app` within this process."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs signatures of addresses
    transport = httpx2.ASGITransport(app=app) if app is not None else None
    timeout = httpx2.Timeout(None, connect=_CONNECT_S)  # a request is cancelled, not timed out
    async with httpx2.AsyncClient(
        base_url=url, headers=dict(headers), transport=transport, timeout=timeout
    ) as http:
        yield Api(http)


def new_id() -> str:
    """An id for a request."""
    return f"mcp-{secrets.token_hex(12)}"


def _message(answer: httpx2.Response) -> str:
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return f"The server answered {answer.status_code}."
    return str(message)
