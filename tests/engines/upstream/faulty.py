"""A service on loopback that answers as it is told, and counts what it is asked."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from limner.imaging import codec

Answer = Callable[["Handler"], None]


@dataclass
class Asked:
    """A request that was read in full: a dispatch, which a real service would charge for."""

    path: str
    headers: Message
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Its body."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Faulty:
    """The service, as a test sees it."""

    url: str
    answer: Answer
    asked: list[Asked] = field(default_factory=list)
    n_cut: int = 0  # answers whose connection the other side had closed
    left: threading.Event = field(default_factory=threading.Event)  # it was seen to be closed


class Handler(BaseHTTPRequestHandler):
    """Reads a request in full, and lets `Faulty.answer` answer it."""

    faulty: Faulty

    def do_POST(self) -> None:
        """Count, and answer."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.faulty.asked.append(Asked(self.path, self.headers, body))
        try:
            self.faulty.answer(self)
        except OSError:
            self.faulty.n_cut += 1

    def send(self, status: int, body: bytes, kind: str = "application/json", **more: str) -> None:
        """A whole answer."""
        self.begin(status, kind, **{"content_length": str(len(body))} | more)
        self.wfile.write(body)

    def begin(self, status: int, kind: str, **headers: str) -> None:
        """The head of an answer; `_` in a name stands for a hyphen."""
        self.send_response(status)
        self.send_header("content-type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def wait_until_left(self) -> None:
        """Send nothing more, and return when the other side closes the connection."""
        self.connection.settimeout(60)
        if self.connection.recv(1) == b"":
            self.faulty.left.set()

    def log_message(self, *told: object) -> None:
        """Say nothing."""


@contextmanager
def faulty(answer: Answer) -> Iterator[Faulty]:
    """A service that answers by `answer`."""
    kind = type("OneHandler", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    service = Faulty(f"http://127.0.0.1:{server.server_address[1]}/v1", answer)
    kind.faulty = service  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


def picture(side: int = 256, format: Any = "png") -> bytes:
    """A plain picture as a file."""
    pixels = np.full((side, side, 4), 255, np.uint8)
    pixels[: side // 2, :, 1] = 40
    return codec.encode(pixels, format)


def drawn(data: bytes, **more: Any) -> dict[str, Any]:
    """The body of OpenAI's answer with one picture."""
    return {"created": 1, "data": [{"b64_json": base64.b64encode(data).decode()}], **more}


def draws(data: bytes, **more: Any) -> Answer:
    """Answers with one picture."""
    return lambda handler: handler.send(200, json.dumps(drawn(data, **more)).encode())


def refuses(status: int, body: Any, **headers: str) -> Answer:
    """Answers with an error."""
    return lambda handler: handler.send(status, json.dumps(body).encode(), **headers)


def streams(*events: dict[str, Any], end: bytes = b"") -> Answer:
    """Answers with events, and closes."""

    def answer(handler: Handler) -> None:
        handler.begin(200, "text/event-stream; charset=utf-8")
        handler.wfile.write(b": a comment\n\n")
        for event in events:
            line = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
            handler.wfile.write(line.encode())
        handler.wfile.write(end)

    return answer
