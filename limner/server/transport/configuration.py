"""The configuration of uvicorn: how it serves the app within the limits of the settings."""

import asyncio
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from limner.server.transport.connections import Connections
from limner.server.transport.protocol import BoundedProtocol
from limner.settings import Settings

IDLE_S = 5  # between an answer and the next request


def uvicorn_config(app: ASGIApp, settings: Settings, **options: Any) -> uvicorn.Config:
    """How uvicorn serves `app` within the limits of `settings`."""
    connections = Connections(settings)
    return uvicorn.Config(
        app,
        # uvicorn only calls it, so it may be a class with its first argument given
        http=cast("type[asyncio.Protocol]", partial(BoundedProtocol, connections)),
        log_config=None,
        access_log=False,  # the middleware writes the log, without signatures of addresses
        ws="none",
        server_header=False,
        proxy_headers=False,  # the middleware knows which proxies to trust
        timeout_keep_alive=IDLE_S,
        **options,
    )
