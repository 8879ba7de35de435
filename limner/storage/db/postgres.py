"""Connections to PostgreSQL on which nothing waits for ever.

The server ends what waits for a lock, and what takes much too long. A server that does not answer
at all (its machine is gone, or its processes are stopped) cannot do that, so this side has a time
as well. A connection whose time is over is closed: nobody knows what its answer belongs to.
"""

from __future__ import annotations

import math
import time
from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import TupleRow

_LOOK_S = 0.1  # how often the time is looked at while nothing comes
_LEAST_CONNECT_S = 2  # no less is possible, says libpq
_SILENT_MS = 20_000  # after which a server that takes nothing is given up
_IDLE_S = 15  # a machine that went away in a transaction must not hold its rows for long
_LONGEST_S = 3600  # for one statement, whoever waits for it


class ServerConnection(psycopg.Connection[TupleRow]):
    """A connection whose statements end when their time is over."""

    _until_s = math.inf

    def allow(self, until_s: float) -> None:
        """End what is run from now on at `until_s`, as time.monotonic counts."""
        self._until_s = until_s

    @property
    def is_broken(self) -> bool:
        """Whether the connection is closed, by either side."""
        return self.closed

    def discard(self) -> None:
        """Close the connection, because its state is unknown."""
        self.close()

    def wait(self, gen: PQGen[Any], *arguments: Any, **named: Any) -> Any:
        """psycopg's wait function: waits for an answer until the time limit."""
        return super().wait(self._timed(gen), _LOOK_S)

    def _timed(self, steps: PQGen[Any]) -> PQGen[Any]:
        """`steps`, which wait for the socket, until the time is over."""
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > self._until_s:
                    self.pgconn.finish()
                    raise psycopg.OperationalError("it did not answer in time")
                wanted = steps.send(ready)
        except StopIteration as end:
            return end.value


def connect(url: str, *, within_s: float, lock_s: float) -> ServerConnection:
    """Connect within about `within_s`; a lock is waited for `lock_s` at most."""
    connect_s = max(_LEAST_CONNECT_S, math.floor(min(within_s, lock_s)))
    connection = ServerConnection.connect(
        url, autocommit=True, connect_timeout=connect_s, tcp_user_timeout=_SILENT_MS
    )
    connection.allow(time.monotonic() + lock_s)
    connection.execute(
        f"SET lock_timeout = {math.floor(lock_s * 900)};"  # ms: before this side's time is over
        f"SET statement_timeout = '{_LONGEST_S}s';"
        f"SET idle_in_transaction_session_timeout = '{_IDLE_S}s'"
    )
    return connection
