"""The process of an engine: `python -m limner.engines.apart.child FD`.

FD is its end of a Unix socket. It is told (name, settings) and answers ("ready", About). Then, for
each ("draw", task), it answers ("event", event) as they come, and ("end", None). ("cancel", None)
may come meanwhile. A failure is ("error", LimnerError). It ends with its socket.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from limner.engines.apart.parent import About
from limner.engines.base import Engine, ImageTask
from limner.engines.counting import counted
from limner.engines.registry import load
from limner.errors import EngineError, LimnerError


class _Cancel:
    """The cancel token of the one picture that is drawn: says what the socket says."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_cancelled = False

    def is_cancelled(self, task: ImageTask) -> bool:
        try:
            while not self._is_cancelled and self._connection.poll():
                self._is_cancelled = self._connection.recv()[0] == "cancel"
        except (EOFError, OSError):  # nobody is there any more
            self._is_cancelled = True
        return self._is_cancelled


def main() -> None:
    """Serve until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for limner, which ends us
    connection = Connection(int(sys.argv[1]))
    name, settings = connection.recv()
    try:
        engine = load(name, settings)
    except Exception as error:
        connection.send(("error", told(error, name)))
        return
    connection.send(
        ("ready", About(engine.name, engine.model, engine.capabilities, engine.n_bytes))
    )
    while True:
        try:
            kind, task = connection.recv()
        except EOFError:
            return
        if kind == "draw":
            connection.send(_drawn(connection, engine, task))


def _drawn(connection: Connection, engine: Engine, task: ImageTask) -> tuple[str, Any]:
    """Send the events of `task`; returns how it ended."""
    try:
        for _, event in engine.draw([task], _Cancel(connection)):
            connection.send(("event", counted(event, task, engine)))
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)  # nobody is there any more
    except Exception as error:
        return "error", told(error, engine.name)
    return "end", None


def told(error: Exception, name: str) -> LimnerError:
    """`error` of engine `name`, as one that the other side knows."""
    if isinstance(error, LimnerError):
        return error
    if isinstance(error, MemoryError):
        return EngineError(
            f"Engine {name} ran out of memory", hint="ask for fewer or smaller pictures"
        )
    return EngineError(f"Engine {name} failed: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
