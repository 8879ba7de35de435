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
        loop="asyncio",  # what the connections are tried on; limner[ray] brings uvloop
        # uvicorn only calls it, so a class with its first argument bound works
        http=cast("type[asyncio.Protocol]", partial(BoundedProtocol, connections)),
        log_config=None,
        access_log=False,  # the middleware logs requests, without signatures of addresses
        ws="none",
        server_header=False,
        proxy_headers=False,  # the middleware handles trusted proxies
        timeout_keep_alive=IDLE_S,
        **options,
    )
