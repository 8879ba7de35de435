"""A server as an attacker sees it."""

import contextlib
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Target:
    """The server as an attacker sees it, and the connections that he keeps open."""

    port: int
    home: Path  # of the server, for attacks by a neighbour on its machine
    scale: float = 1.0  # of an attack that can be smaller
    postgres_pid: int | None = None  # its first process, if the server's database is PostgreSQL
    held: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address, without /v1."""
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> socket.socket:
        """One more connection, which stays open after the attack."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.held.append(connection)
        return connection

    def send(self, start: str, part: bytes, n_bytes: float) -> None:
        """`start` on a new connection, then `part` again and again, or until it is cut."""
        block = part * max(1, 2**20 // len(part))
        with contextlib.suppress(OSError):
            connection = self.open()
            connection.sendall(start.encode())
            for _ in range(round(n_bytes * self.scale / len(block))):
                connection.sendall(block)

    def flood(self, n: int, start: str = "", drip: str = "", seconds: float = 60.0) -> None:
        """`n` connections that send `start`, and then `drip` every second while one is left."""
        with contextlib.suppress(OSError):  # no more are accepted
            for _ in range(round(n * self.scale)):
                connection = self.open()
                connection.setblocking(False)
                with contextlib.suppress(OSError):
                    connection.send(start.encode())
        self.drip(drip, seconds * self.scale)

    def drip(self, part: str, seconds: float) -> None:
        """Send `part` on all connections every second, until all are closed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and (alive := self.alive()):
            for connection in alive if part else ():
                with contextlib.suppress(OSError):
                    connection.send(part.encode())
            time.sleep(1)

    def alive(self) -> list[socket.socket]:
        """The connections that the server has not closed."""
        self.held = [connection for connection in self.held if not _is_closed(connection)]
        return self.held


def _is_closed(connection: socket.socket) -> bool:
    """Whether the server has ended it; answers are read and forgotten."""
    connection.setblocking(False)
    try:
        while part := connection.recv(2**20):
            del part
    except BlockingIOError:
        return False
    except OSError:
        pass
    connection.close()
    return True
