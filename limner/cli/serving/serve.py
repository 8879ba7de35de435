"""`limner serve`: the OpenAI Images API on this machine."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from functools import partial

import click

from limner import settings as settings_module
from limner.errors import LimnerError, SettingsError
from limner.settings import Settings

DRAIN_S = 10  # to finish requests after a stop signal; the others are interrupted
_CUT_OFF_S = 5  # to send the errors of interrupted requests
# The event loop accepts this many connections at once before it reads from them. With more, a burst
# of idle connections would reach the limit before the first request among them is read.
_ACCEPTED_AT_ONCE = 32
_BACKLOG = 2048  # connections that the kernel queues


@click.command()
@click.option("--host", metavar="HOST", help="Address to listen at.  [default: 127.0.0.1]")
@click.option("--port", metavar="PORT", help="Port; 0 takes any free one.  [default: 8000]")
@click.option("--engine", metavar="NAME", help="An engine listed by `limner models`.")
@click.option("--batch", metavar="N", help="Most pictures in a batch.  [default: 8]")
@click.option("--allow-open", is_flag=True, help="Allow other machines without keys.")
@click.option("--quiet", is_flag=True, help="Do not log each request.")
def serve(
    host: str | None,
    port: str | None,
    engine: str | None,
    batch: str | None,
    allow_open: bool,
    quiet: bool,
) -> None:
    """Serve the OpenAI Images API."""
    from limner.service.telemetry import logs  # the server's packages load only for this command

    settings = settings_module.load({"host": host, "port": port, "engine": engine, "batch": batch})
    logs.set_up(logging.WARNING if quiet else logging.INFO, settings.log)
    _check_exposure(settings, allow_open=allow_open)
    _run(settings)


def _check_exposure(settings: Settings, *, allow_open: bool) -> None:
    """Raise SettingsError if other machines could draw without a key."""
    from limner.service.access import auth
    from limner.storage.db import store_id
    from limner.storage.db.database import Database
    from limner.storage.db.keys import KeyStore
    from limner.storage.disk_reserve import Reserve

    store_id.check(settings)
    # It starts even on a full disk, so that pictures can be deleted.
    opened = Reserve(settings.home).with_room(lambda: Database(settings.database, settings.home))
    with contextlib.closing(opened) as database:
        keys = [*settings.api_keys, *KeyStore(database).all()]
    auth.check_exposure(settings.host, keys, allow_open=allow_open)


def _run(settings: Settings) -> None:
    """Listen, load the engine and serve until asked to stop."""
    from limner.server.app import create_app
    from limner.server.stopping import StoppingServer
    from limner.server.transport import configuration, connections
    from limner.service import running

    class Server(StoppingServer):
        """Accepts a few connections at a time, with a long queue in the kernel."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            listener.listen(_BACKLOG)  # asyncio has set it to the number accepted at once

    # Bound before the weights are loaded, so that a port in use is reported at once.
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        app = create_app(settings)
        connections.allow_open_files(settings.connections)
        config = configuration.uvicorn_config(
            app,
            settings,
            backlog=_ACCEPTED_AT_ONCE,
            timeout_graceful_shutdown=DRAIN_S + _CUT_OFF_S,
        )
        listener.listen(_BACKLOG)  # requests are accepted before the next line is printed
        address = _address(listener)
        _announce(f"limner is at http://{address}/v1", settings.log)
        _announce(f"draw in a browser at http://{_from_here(address)}/", settings.log)
        say = partial(_announce, form=settings.log)
        app.state.service.open()  # here, so that a failure gives its exit code
        server = Server(config, app.state.service, DRAIN_S, say)
        with running.announced(settings.home, address):
            server.run(sockets=[listener])
        if not server.started:
            raise LimnerError("The server could not start; the lines above say why")


def _from_here(address: str) -> str:
    """An address that this machine can open: of all its addresses, the one of itself."""
    for wildcard, loopback in (("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]")):
        if address.startswith(f"{wildcard}:"):
            return loopback + address.removeprefix(wildcard)
    return address


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port`. Raises SettingsError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With an explicit protocol, asyncio disables Nagle's algorithm on each connection, which
    # would delay the body of an answer by 40 ms.
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
