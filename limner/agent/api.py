"""A client of a server's HTTP API for the tools: over a connection, or within the process."""

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
_KEY_HINT = "limner keys create makes one; start this program with limner mcp --key KEY"


class ApiFailure(LimnerError):
    """The server refused a request or cannot be reached."""


class Api:
    """One server. Methods raise ApiFailure with the server's message."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def get(self, path: str, **query: Any) -> Any:
        """GET `path`; returns its JSON."""
        return (await self._send("GET", path, params=query)).json()

    async def bytes(self, path: str) -> bytes:
        """Fetch a picture by its path and signature."""
        return (await self._send("GET", path)).content

    async def post(
        self, path: str, id: str | None = None, **values: Any
    ) -> tuple[Any, Mapping[str, str]]:
        """POST `values`; returns JSON and headers. `id`: request id for `job` and `cancel`."""
        headers = {"x-client-request-id": id} if id else {}
        answer = await self._send("POST", path, headers=headers, **values)
        return answer.json(), answer.headers

    async def job(self, id: str) -> dict[str, Any] | None:
        """The status of request `id`; None if the server does not know it yet."""
        try:
            job: dict[str, Any] = await self.get(f"{JOBS}/{id}")
        except ApiFailure:
            return None
        return job

    async def cancel(self, id: str) -> None:
        """Cancel request `id`."""
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
            hint = None if answer.status_code != 401 else _KEY_HINT
            raise ApiFailure(_message(answer), hint=hint)
        return answer


@asynccontextmanager
async def connected(url: str, headers: Mapping[str, str], app: Any = None) -> AsyncIterator[Api]:
    """Connect to the server at `url`, or to `app` within this process."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # else it logs signatures of addresses
    transport = httpx2.ASGITransport(app=app) if app is not None else None
    timeout = httpx2.Timeout(None, connect=_CONNECT_S)  # requests are cancelled and never time out
    async with httpx2.AsyncClient(
        base_url=url, headers=dict(headers), transport=transport, timeout=timeout
    ) as http:
        yield Api(http)


def new_id() -> str:
    """A new request id."""
    return f"mcp-{secrets.token_hex(12)}"


def _message(answer: httpx2.Response) -> str:
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return f"The server answered {answer.status_code}."
    return str(message)
