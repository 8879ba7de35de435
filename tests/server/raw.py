"""Connections on which a test sends what no client would, byte by byte."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Answer:
    """What a server answered before it closed the connection; status 0: nothing."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error of the one envelope."""
        error = json.loads(self.body)["error"]
        assert {"message", "type", "param", "code"} <= set(error)
        return dict(error)


def connect(url: str, source: str = "127.0.0.1") -> socket.socket:
    """A connection to the server at `url` from the address `source` of this machine."""
    address = urlsplit(url)
    assert address.hostname
    assert address.port
    return socket.create_connection((address.hostname, address.port), 60, (source, 0))


def send(connection: socket.socket, data: bytes) -> None:
    """Send `data`, or as much as the server takes."""
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(data)


def read_to_the_end(connection: socket.socket) -> Answer:
    """What comes until the server closes the connection."""
    connection.settimeout(60)
    data = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            data += part
    if not data:
        return Answer(0, {}, b"")
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(each.split(": ", 1) for each in lines)
    return Answer(int(line.split()[1]), headers, body)
