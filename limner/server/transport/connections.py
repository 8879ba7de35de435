"""All connections of a server: how many there may be, and how long each may wait for its client.

When there is no room for one more, a connection that only waits for its client is ended: the one
that has been open for longest, among those of the same address if that has its share. So idle
connections, however many, keep nobody out. If all are at work, the new one is answered with 503.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Protocol

from limner.server.http.proxies import Proxies, subscriber
from limner.settings import Settings

LOOK_S = 1.0
MAX_LINGERING = 64
SPARE_FILES = 256  # for what is no connection: pictures, uploads, the database, the weights


class Connection(Protocol):
    """What `Connections` asks of a connection; `protocol.BoundedProtocol` is the one there is."""

    loop: asyncio.AbstractEventLoop

    @property
    def host(self) -> str:
        """The address of the client; empty at a Unix socket."""

    def may_make_room(self, now_s: float) -> bool:
        """Whether it waits for its client, so that it may be ended to let another connect."""

    def look(self, now_s: float) -> None:
        """End the connection if its client is overdue. Called every LOOK_S seconds."""

    def end(self) -> None:
        """Cut the connection."""


class Connections:
    """The connections of one server, which runs on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = Proxies(settings.proxies)
        self._most = min(settings.connections, max(10, _open_files() - SPARE_FILES))
        self._most_per_address = settings.connections_per_address
        # Dictionaries serve as sets that know which of their members came first.
        self._open: dict[Connection, None] = {}
        self._by_address: dict[str, dict[Connection, None]] = {}
        self._lingering: set[Connection] = set()
        self._looking: asyncio.TimerHandle | None = None

    def admit(self, new: Connection) -> bool:
        """Count `new` and make room for it; False if there is none."""
        self._keep_looking(new.loop)
        address = subscriber(new.host)
        theirs = self._by_address.get(address, {})
        is_limited = not self._proxies.trusts(new.host)
        if is_limited and len(theirs) >= self._most_per_address and not self._make_room(theirs):
            return False
        if len(self._open) >= self._most and not self._make_room(self._open):
            return False
        self._open[new] = None
        self._by_address.setdefault(address, {})[new] = None
        return True

    def forget(self, connection: Connection) -> None:
        """Count `connection` no longer."""
        self._open.pop(connection, None)
        self._lingering.discard(connection)
        address = subscriber(connection.host)
        theirs = self._by_address.get(address, {})
        theirs.pop(connection, None)
        if not theirs:
            self._by_address.pop(address, None)

    def may_linger(self, refused: Connection) -> bool:
        """Whether `refused` may stay until its client has read why: a few at a time may."""
        if len(self._lingering) >= MAX_LINGERING:
            return False
        self._lingering.add(refused)
        return True

    def _make_room(self, among: dict[Connection, None]) -> bool:
        for connection in among:
            if connection.may_make_room(connection.loop.time()):
                self.forget(connection)  # now, as its end is only told later
                connection.end()
                return True
        return False

    def _keep_looking(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._looking is None:
            self._looking = loop.call_later(LOOK_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._looking = None
        now_s = loop.time()
        for connection in [*self._open, *(self._lingering - self._open.keys())]:
            connection.look(now_s)
        if self._open or self._lingering:
            self._keep_looking(loop)


def allow_open_files(n_connections: int) -> None:
    """Let this process open as many files as so many connections need, if the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n_connections + SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _open_files() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft
