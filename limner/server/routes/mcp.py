"""/mcp: the tools for agents, over streamable HTTP and with the keys of the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from starlette.types import Receive, Scope, Send

from limner.errors import MissingExtra
from limner.server.access import credentials
from limner.server.http import scope as scopes
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.agent.tools import Tools

PATH = "/mcp"
MAX_BODY_BYTES = 1_000_000
MAX_SESSIONS = 1000
_FORWARDED = ("authorization", "api-key", "x-api-key", "host")


class McpEndpoint:
    """An ASGI application. Its tools send requests through `app` with the same key."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._manager: Any = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve within the block, if the package mcp is installed."""
        if find_spec("mcp") is None:
            yield
            return
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
        from mcp.server.transport_security import TransportSecuritySettings

        from limner.agent import mcp_server

        server = mcp_server.build(self._connect)
        server.streamable_http_app(
            # Hosts and origins are checked by limner/server/access/guard.py.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            max_request_body_size=MAX_BODY_BYTES,
            max_sessions=MAX_SESSIONS,
        )
        self._manager = manager = server.session_manager
        assert isinstance(manager, StreamableHTTPSessionManager)
        async with manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the key and forward the request."""
        request = Request(scope, receive)
        serving = scopes.service(request)
        authorization = credentials.authorization(request.headers)
        request.state.holder = await serving.keys.holder(authorization, serving.database_threads)
        if self._manager is None:
            raise MissingExtra(
                "This server cannot speak MCP: the package mcp is not installed",
                hint="pip install 'limner[mcp]'",
            )
        await self._manager.handle_request(scope, receive, send)

    @asynccontextmanager
    async def _connect(self, context: Any) -> AsyncIterator[Tools]:
        from limner.agent import api
        from limner.agent.tools import Tools

        given = context.headers or {}
        headers = {name: given[name] for name in _FORWARDED if name in given}
        host = headers.get("host", "127.0.0.1")
        async with api.connected(f"http://{host}", headers, self._app) as server:
            yield Tools(server)
