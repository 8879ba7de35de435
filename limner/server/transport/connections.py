"""All connections of a server: their number, and how long each may wait for its client.

At the limit, a new connection replaces one that only waits for its client: the oldest, or the
oldest of the same address if that address has reached its own limit. So idle connections block
nobody. If all connections are busy, the new one is answered with 503.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Protocol

from limner.server.access.proxies import Proxies, subscriber
from limner.settings import Settings

LOOK_S = 1.0
MAX_LINGERING = 64
SPARE_FILES = 256  # for pictures, uploads, the database and the weights


class Connection(Protocol):
    """A connection, for `Connections`; implemented by `protocol.BoundedProtocol`."""

    loop: asyncio.AbstractEventLoop

    @property
    def host(self) -> str:
        """The address of the client; empty for a Unix socket."""

    def may_make_room(self, now_s: float) -> bool:
        """Whether it only waits for its client, so that it may be closed to accept another."""

    def look(self, now_s: float) -> None:
        """End the connection if its client is overdue. Called every LOOK_S seconds."""

    def end(self) -> None:
        """Close the connection at once."""


class Connections:
    """The connections of one server, which runs on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = Proxies(settings.proxies)
        self._most = min(settings.connections, max(10, _open_files() - SPARE_FILES))
        self._most_per_address = settings.connections_per_address
        # Dictionaries serve as ordered sets.
        self._open: dict[Connection, None] = {}
        self._by_address: dict[str, dict[Connection, None]] = {}
        self._lingering: set[Connection] = set()
        self._looking: asyncio.TimerHandle | None = None

    def accept(self, new: Connection) -> bool:
        """Add `new`, closing another connection if needed; False if there is no room."""
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
        """Remove `connection`."""
        self._open.pop(connection, None)
        self._lingering.discard(connection)
        address = subscriber(connection.host)
        theirs = self._by_address.get(address, {})
        theirs.pop(connection, None)
        if not theirs:
            self._by_address.pop(address, None)

    def may_linger(self, refused: Connection) -> bool:
        """Whether `refused` may stay open until its client read the error; limited in number."""
        if len(self._lingering) >= MAX_LINGERING:
            return False
        self._lingering.add(refused)
        return True

    def _make_room(self, among: dict[Connection, None]) -> bool:
        for connection in among:
            if connection.may_make_room(connection.loop.time()):
                self.forget(connection)  # now: the event loop reports its end later
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
    """Raise this process's limit of open files for `n_connections`, if the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n_connections + SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _open_files() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft
