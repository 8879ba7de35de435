"""What every request and every answer goes through: paths, headers, limits, the last resort.

Plain ASGI, around the application: it sees a request before any route does and an answer after
any of them, errors of the framework included.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.server.openai import errors
from limner.server.openai.answers import dump
from limner.service.telemetry.logs import current_request
from limner.service.telemetry.traces import Traces

log = logging.getLogger("limner.server")

STALL_S = 60.0  # without a byte of a body that is not finished
DRAIN_S = 10.0
_ROUTINE = frozenset({"/health", "/ready", "/metrics"})
_SLASHES = re.compile("/{2,}")
_WITHOUT_V1 = re.compile(r"/(images|models|moderations)(/|$)")


class RequestMiddleware:
    """Wraps `app`; no body may be larger than `max_body_bytes`."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, traces: Traces) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit = _RequestScope(scope, receive, send, self.max_body_bytes, self.traces)
        current_request.set(visit.request_id)
        try:
            await self.app(visit.scope, visit.receive, visit.send)
        except Exception:
            log.exception("%s %s failed (%s)", scope["method"], scope["path"], visit.request_id)
            if visit.status:
                raise  # an answer has begun; the server can only cut it off
            await visit.say(errors.crash(visit.request_id))
        finally:
            visit.end()


class _RequestScope:
    """One request and its answer."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, max_body_bytes: int, traces: Traces
    ) -> None:
        path = canonical_path(scope["path"])
        headers = Headers(scope=scope)
        self.request_id = f"req_{secrets.token_hex(16)}"
        self.trace = traces.begin(scope["method"], path, self.request_id, headers)
        state = {"request_id": self.request_id, "trace": self.trace}
        self.scope = dict(scope) | {"path": path, "state": {**scope.get("state", {}), **state}}
        self.status = 0
        self._receive, self._send = receive, send
        self._max_body_bytes = max_body_bytes
        self._started_s = time.monotonic()
        self._n_bytes = 0
        self._declared_bytes = _declared(headers)
        self._body_pending = self._declared_bytes > 0 or "transfer-encoding" in headers

    async def receive(self) -> Message:
        """The next part of the body, within the limits; after it, word that the client left."""
        if not self._body_pending:
            return await self._receive()
        if self._declared_bytes > self._max_body_bytes:
            raise errors.body_too_large(self._max_body_bytes)
        try:
            message = await asyncio.wait_for(self._receive(), STALL_S)
        except TimeoutError:
            self._body_pending = False
            raise errors.upload_stalled(STALL_S) from None
        self._n_bytes += len(message.get("body", b""))
        self._body_pending = bool(message.get("more_body"))
        if self._n_bytes > self._max_body_bytes:
            raise errors.body_too_large(self._max_body_bytes)
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on, its headers completed."""
        if message["type"] == "http.response.start":
            await self._drain()
            self.status = message["status"]
            self._complete(message)
        await self._send(message)

    async def say(self, error: errors.ApiError) -> None:
        """Answer with `error`, past the application."""
        body = dump(error.body)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await self.send(
            {"type": "http.response.start", "status": error.http_status, "headers": headers}
        )
        await self.send({"type": "http.response.body", "body": body})

    def end(self) -> None:
        """Log and trace it: no query, which may be a signature, and nothing of the body."""
        ms = (time.monotonic() - self._started_s) * 1000
        method, path = self.scope["method"], self.scope["path"]
        holder = self.scope["state"].get("holder")
        fields = {
            "method": method,
            "path": path,
            "status": self.status,
            "ms": round(ms),
            "key": holder.name if holder else None,
        }
        line = (method, ascii(path), self.status, ms, self.request_id)
        # What asks every few seconds, and is answered as ever, would drown the rest.
        is_routine = path in _ROUTINE and self.status == 200
        level = logging.DEBUG if is_routine else logging.INFO
        log.log(level, "%s %s %s %.0f ms %s", *line, extra={"fields": fields})
        route = getattr(self.scope.get("route"), "path", "")
        self.trace.answer(self.status, route, {"limner.key": holder.name if holder else ""})

    async def _drain(self) -> None:
        """Read what the client still sends, and forget it.

        Many clients read no answer before they have sent everything, and take an answer in the
        middle for a broken connection.
        """
        try:
            async with asyncio.timeout(DRAIN_S):
                while self._body_pending and self._n_bytes <= 2 * self._max_body_bytes:
                    message = await self._receive()
                    self._n_bytes += len(message.get("body", b""))
                    self._body_pending = bool(message.get("more_body"))
        except TimeoutError:
            pass
        self._body_pending = False

    def _complete(self, message: MutableMapping[str, Any]) -> None:
        headers = MutableHeaders(scope=message)
        headers["x-request-id"] = self.request_id
        headers["openai-version"] = "2020-10-01"
        headers["openai-processing-ms"] = str(round((time.monotonic() - self._started_s) * 1000))
        headers["x-content-type-options"] = "nosniff"
        # What a route wants on its answer, be it a refusal.
        headers.update(self.scope["state"].get("headers", {}))


def canonical_path(path: str) -> str:
    """The path a client meant: slashes doubled, left out or at the end, and /v1 left out."""
    path = _SLASHES.sub("/", path)
    if path.startswith("/v1images"):
        path = "/v1/images" + path.removeprefix("/v1images")
    if _WITHOUT_V1.match(path):
        path = "/v1" + path
    return path.rstrip("/") or "/"


def _declared(headers: Headers) -> int:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
