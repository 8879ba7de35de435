"""/mcp: the tools for agents, over streamable HTTP and with the keys of the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from limner.errors import MissingExtra
from limner.server.access import credentials
from limner.server.http import scope as scopes
from limner.settings import Settings

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from limner.agent.tools import Tools

PATH = "/mcp"
MAX_BODY_BYTES = 1_000_000
MAX_SESSIONS = 1000
_FORWARDED = ("authorization", "api-key", "x-api-key", "host")


class McpEndpoint:
    """An ASGI application. Its tools send requests through `app` with the same key.

    Its first request loads the package mcp, 0.7 s that servers without agents do not spend.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._stop = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._manager: asyncio.Future[StreamableHTTPSessionManager]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve within the block; ends the sessions."""
        try:
            yield
        finally:
            self._stop.set()
            if self._serving is not None:
                await self._serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the key and forward the request."""
        request = Request(scope, receive)
        serving = scopes.service(request)
        authorization = credentials.authorization(request.headers)
        request.state.holder = await serving.keys.holder(authorization, serving.database_threads)
        if find_spec("mcp") is None:
            raise MissingExtra(
                "This server cannot speak MCP: the package mcp is not installed",
                hint="pip install 'limner[mcp]'",
            )
        manager = await self._loaded()
        await manager.handle_request(scope, receive, send)

    async def _loaded(self) -> StreamableHTTPSessionManager:
        if self._serving is None:
            self._manager = asyncio.get_running_loop().create_future()
            self._serving = asyncio.create_task(self._serve())
        return await asyncio.shield(self._manager)

    async def _serve(self) -> None:
        try:
            manager = await run_in_threadpool(self._build)
            async with manager.run():
                self._manager.set_result(manager)
                await self._stop.wait()
        except Exception as error:
            if self._manager.done():
                raise
            self._serving = None  # the next request tries again
            self._manager.set_exception(error)

    def _build(self) -> StreamableHTTPSessionManager:
        from mcp.server.transport_security import TransportSecuritySettings

        from limner.agent import mcp_server

        server = mcp_server.build(self._connect)
        server.streamable_http_app(
            # Hosts and origins are checked by limner/server/access/guard.py.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            max_request_body_size=MAX_BODY_BYTES,
            max_sessions=MAX_SESSIONS,
        )
        return server.session_manager

    @asynccontextmanager
    async def _connect(self, context: Any) -> AsyncIterator[Tools]:
        from limner.agent import api
        from limner.agent.tools import Tools

        given = context.headers or {}
        headers = {name: given[name] for name in _FORWARDED if name in given}
        host = headers.get("host", "127.0.0.1")
        async with api.connected(f"http://{host}", headers, self._app) as server:
            yield Tools(server)
