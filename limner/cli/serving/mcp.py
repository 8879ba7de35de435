"""`limner mcp`: the tools for an agent on this machine, as MCP over stdin and stdout."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner import settings as settings_module
from limner.errors import LimnerError, needed
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.agent.tools import Tools

_START_S = 120.0
_STOP_S = 20.0


@click.command()
@click.option(
    "--folder",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A folder from which pictures may be read; they are written to the first one. May be "
    "repeated.  [default: mcp in LIMNER_HOME]",
)
@click.option(
    "--server",
    metavar="URL",
    help="The server to draw with.  [default: the one that runs with this LIMNER_HOME, else one "
    "started for this command]",
)
@click.option("--key", metavar="KEY", help="A key of that server, if it requires one.")
def mcp(folder: tuple[Path, ...], server: str | None, key: str | None) -> None:
    """Serve drawing tools to an agent over MCP on stdin and stdout.

    Agents start this command themselves; docs/how-to/mcp.md shows their configuration.
    """
    with needed("limner mcp", "limner[mcp]"):
        from limner.agent import mcp_server
    from limner.agent import api
    from limner.agent.folders import Folders
    from limner.agent.tools import Tools
    from limner.service.telemetry import logs

    settings = settings_module.load()
    logs.set_up(logging.WARNING, settings.log)
    folders = Folders(folder or [settings.home / "mcp"])
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with _server(settings, server) as url:

        @contextlib.asynccontextmanager
        async def connect(context: Any) -> AsyncIterator[Tools]:
            async with api.connected(url, headers) as one:
                yield Tools(one, folders)

        mcp_server.build(connect).run("stdio")


@contextlib.contextmanager
def _server(settings: Settings, named: str | None) -> Iterator[str]:
    """The address of the server to draw with; starts one if none runs."""
    from limner.service import running

    if url := named or running.find(settings.home):
        yield url.rstrip("/").removesuffix("/v1")
        return
    with _own_server(dataclasses.replace(settings, host="127.0.0.1", port=0)) as url:
        yield url


@contextlib.contextmanager
def _own_server(settings: Settings) -> Iterator[str]:
    """Run a server in a thread of this process, on a free port of the loopback address."""
    import uvicorn

    from limner.server.app import create_app
    from limner.server.transport.configuration import uvicorn_config

    server = uvicorn.Server(uvicorn_config(create_app(settings), settings, port=0))
    thread = threading.Thread(target=server.run, name="server", daemon=True)
    thread.start()
    try:
        until_s = time.monotonic() + _START_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > until_s:
                raise LimnerError("The server for limner mcp did not start; see the lines above")
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(_STOP_S)
