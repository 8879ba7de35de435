"""The outermost middleware: paths, headers, limits, and unexpected errors.

Plain ASGI around the application: it sees each request before the routes, and each answer after
them, including the framework's errors.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import MutableMapping
from dataclasses import astuple
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.errors import LimnerError
from limner.server.access.guard import Guard
from limner.server.access.proxies import Proxies
from limner.server.bodies.content_encoding import Decoding, encoding_of, without_encoding
from limner.server.http import urls
from limner.server.http.paths import meant
from limner.server.openai import errors
from limner.server.openai.answers import dump
from limner.server.transport.protocol import MIN_BODY_BYTES_PER_S
from limner.service.telemetry.logs import current_request
from limner.service.telemetry.traces import Traces
from limner.settings import Settings

log = logging.getLogger("limner.server")

# A body may pause, as on phones, but must reach this mean rate over SLOW_S.
SLOW_S = 20.0
DRAIN_S = 10.0
_ROUTINE = frozenset({"/health", "/ready", "/metrics"})


class RequestMiddleware:
    """Wraps `app`; limits bodies to `max_body_bytes`, and applies `guard` to each request."""

    def __init__(
        self,
        app: ASGIApp,
        max_body_bytes: int,
        traces: Traces,
        guard: Guard,
        proxies: Proxies,
        settings: Settings,
    ) -> None:
        self.app = app
        self.settings = settings
        self.max_body_bytes = max_body_bytes
        self.traces = traces
        self.guard = guard
        self.proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        believed = self.proxies.believed(scope)
        prefix = urls.prefix(Headers(scope=believed), self.settings)
        visit = _RequestScope(believed, prefix, receive, send, self.max_body_bytes, self.traces)
        current_request.set(visit.request_id)
        try:
            if await self._lets_in(visit):
                await self.app(visit.scope, visit.receive, visit.send)
        except Exception:
            log.exception("%s %s failed (%s)", scope["method"], scope["path"], visit.request_id)
            if visit.status:
                raise  # the answer has begun; the server can only cut it off
            await visit.say(errors.crash(visit.request_id))
        finally:
            visit.end()

    async def _lets_in(self, visit: _RequestScope) -> bool:
        """Whether the request may proceed; if not, an error was sent."""
        scope = visit.scope
        try:
            await self.guard.check(scope["method"], scope["path"], Headers(scope=scope))
        except LimnerError as error:
            await visit.say(errors.from_limner(error, visit.request_id))
            return False
        return True


class _RequestScope:
    """One request and its answer."""

    def __init__(
        self,
        scope: Scope,
        prefix: str,
        receive: Receive,
        send: Send,
        max_body_bytes: int,
        traces: Traces,
    ) -> None:
        path, deployment = astuple(meant(scope["path"], prefix))
        headers = Headers(scope=scope)
        self.request_id = f"req_{secrets.token_hex(16)}"
        self.trace = traces.begin(scope["method"], path, self.request_id, headers)
        state = {
            "request_id": self.request_id,
            "trace": self.trace,
            "deployment": deployment,
        }
        self.scope: Scope = dict(scope) | {
            "path": path,
            "state": {**scope.get("state", {}), **state},
        }
        self.status = 0
        self._receive, self._send = receive, send
        self._max_body_bytes = max_body_bytes
        self._started_s = time.monotonic()
        self._n_bytes = 0
        self._waited_s, self._n_bytes_before = 0.0, 0  # of the current SLOW_S window
        self._declared_bytes = _declared(headers)
        self._body_pending = self._declared_bytes > 0 or "transfer-encoding" in headers
        self.receive: Receive = self._receive_sent
        if encoding := encoding_of(headers):
            self.scope = without_encoding(self.scope)
            self.receive = Decoding(encoding, self._receive_sent, max_body_bytes).receive

    async def _receive_sent(self) -> Message:
        """The next part of the body, within the limits; after it, the disconnect message."""
        if not self._body_pending:
            return await self._receive()
        if self._declared_bytes > self._max_body_bytes:
            raise errors.body_too_large(self._max_body_bytes)
        message = await self._next_part()
        self._n_bytes += len(message.get("body", b""))
        self._body_pending = bool(message.get("more_body"))
        if self._n_bytes > self._max_body_bytes:
            raise errors.body_too_large(self._max_body_bytes)
        return message

    async def _next_part(self) -> Message:
        """The next part of the body. Raises ApiError if too little came in SLOW_S of waiting."""
        while True:
            started_s = time.monotonic()
            message = await self._part_within(SLOW_S - self._waited_s)
            if message is not None:
                self._waited_s += time.monotonic() - started_s
                return message
            if self._n_bytes - self._n_bytes_before < SLOW_S * MIN_BODY_BYTES_PER_S:
                self._body_pending = False
                raise errors.upload_stalled(SLOW_S, MIN_BODY_BYTES_PER_S)
            self._waited_s, self._n_bytes_before = 0.0, self._n_bytes

    async def _part_within(self, timeout_s: float) -> Message | None:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._receive()
        except TimeoutError:
            return None

    async def send(self, message: Message) -> None:
        """Send an answer's message, with headers added."""
        if message["type"] == "http.response.start":
            await self._drain()
            self.status = message["status"]
            self._complete(message)
        await self._send(message)

    async def say(self, error: errors.ApiError) -> None:
        """Answer with `error` without calling the application."""
        body = dump(error.body)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *((name.encode(), value.encode()) for name, value in error.headers.items()),
        ]
        await self.send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def end(self) -> None:
        """Log and trace the request, without its query (may hold a signature) and body."""
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
        # Frequent successful probes would fill the log.
        is_routine = path in _ROUTINE and self.status == 200
        level = logging.DEBUG if is_routine else logging.INFO
        log.log(level, "%s %s %s %.0f ms %s", *line, extra={"fields": fields})
        route = getattr(self.scope.get("route"), "path", "")
        self.trace.answer(self.status, route, {"limner.key": holder.name if holder else ""})

    async def _drain(self) -> None:
        """Read and discard the rest of the body.

        Many clients read the answer only after they have sent everything, and report an earlier
        answer as a broken connection.
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
        # Headers that the route set, for errors too.
        headers.update(self.scope["state"].get("headers", {}))


def _declared(headers: Headers) -> int:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
