"""Ports for servers of the tests that take no 0."""

import random
import socket


def free_port() -> int:
    """A port that nothing listens at, below those that the system gives to outgoing connections:
    one of these could be taken before it is used, or while its server is started again.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
