"""`limner serve`: the OpenAI Images API on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket

import click

from limner import settings as settings_module
from limner.errors import SettingsError

DRAIN_S = 10  # for what is under way when the server is told to stop; what is left is interrupted
_CUT_OFF_S = 5  # for the answers that say so to arrive


@click.command()
@click.option("--host", metavar="HOST", help="Address to listen at.  [default: 127.0.0.1]")
@click.option("--port", metavar="PORT", help="Port; 0 takes any free one.  [default: 8000]")
@click.option("--engine", metavar="NAME", help="One of those that `limner models` lists.")
@click.option("--batch", metavar="N", help="Pictures drawn together at most.  [default: 8]")
@click.option("--allow-open", is_flag=True, help="Listen beyond this machine without keys.")
@click.option("--quiet", is_flag=True, help="Say nothing of each request.")
def serve(
    host: str | None,
    port: str | None,
    engine: str | None,
    batch: str | None,
    allow_open: bool,
    quiet: bool,
) -> None:
    """Answer the OpenAI Images API."""
    from limner.service.access import auth  # the server's packages load only for this command
    from limner.service.telemetry import logs  # the server's packages load only for this command
    from limner.storage.db.database import Database
    from limner.storage.db.keys import KeyStore

    settings = settings_module.load({"host": host, "port": port, "engine": engine, "batch": batch})
    logs.set_up(logging.WARNING if quiet else logging.INFO, settings.log)
    with contextlib.closing(Database(settings.database, settings.home)) as database:
        keys = [*settings.api_keys, *KeyStore(database).all()]
    auth.check_exposure(settings.host, keys, allow_open=allow_open)

    import uvicorn

    from limner.server.app import create_app

    class Server(uvicorn.Server):
        """One that, once told to stop, lets what is under way come to its end for a while."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(DRAIN_S, app.state.service.interrupt)
            await super().shutdown(sockets)
            timer.cancel()

    # Bound before weights are loaded: a port that is taken is the quicker thing to learn.
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        app = create_app(settings)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # the doorway writes the log, without signatures of addresses
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S + _CUT_OFF_S,
        )
        listener.listen(config.backlog)  # whoever reads the next line and calls is answered
        _announce(f"limner is at http://{_address(listener)}/v1", settings.log)
        Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port`, or a SettingsError that says why there is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio switches off Nagle's algorithm for each connection, which
    # else holds the body of an answer back for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
    except OSError as error:
        listener.close()
        hint = None
        if error.errno == errno.EADDRINUSE:
            hint = "another server is there; choose another with --port"
        reason = (error.strerror or str(error)).lower()
        raise SettingsError(f"Cannot listen at {host}:{port}: {reason}", hint=hint) from error
    return listener


def _announce(line: str, form: str) -> None:
    if form == "json":
        logging.getLogger("limner.server").info(line)
    else:
        click.echo(line, err=True)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
