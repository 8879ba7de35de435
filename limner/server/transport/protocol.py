"""HTTP on one connection, with limits that apply before authentication.

Extends uvicorn's protocol on httptools' parser with limits on the head (request line and headers),
the number of headers, the URL, trailers and pipelined requests. A refused client gets an error in
the API's JSON form, and the connection is closed. `limner/server/transport/connections.py` enforces
the time-outs: it checks all connections every second.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from limner.server.openai import errors
from limner.server.openai.answers import dump

if TYPE_CHECKING:
    from limner.server.transport.connections import Connections

log = logging.getLogger("limner.server.transport.connections")

MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 100
MAX_URL_BYTES = 8_192
MAX_SENT_AHEAD = 16  # pipelined requests: heads received before the first is answered
MIN_PART_BYTES = 1_024  # smaller parts of an incomplete body are collected first
MAX_LINGER_BYTES = 16_000_000  # discarded after an error, so that the client reads the error

HEAD_S = 20.0  # from connecting, or the first byte of a request, to the end of its headers
UNREAD_S = 30.0  # for which a client may read an answer more slowly than MIN_ANSWER_BYTES_PER_S
LINGER_S = 2.0
SLOW_AFTER_S = 0.1  # after this, a connection with a slow body may be closed for others
MIN_BODY_BYTES_PER_S = 2_000
MIN_ANSWER_BYTES_PER_S = 1_000


class BoundedProtocol(HttpToolsProtocol):
    """One connection; `connections` counts it and closes it when it is overdue."""

    def __init__(self, connections: Connections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections = connections
        self._refusal: errors.ApiError | None = None  # once set, nothing more is parsed
        self._is_in_head = True  # also between two requests
        self._n_loose = 0  # bytes since the last body byte, or the end of a head or request
        self._n_headers = 0
        self._n_body = 0
        self._n_lingering = 0
        self._since_s = 0.0  # start of the current state
        self._n_unsent = 0  # unsent bytes of answers at the last check
        self._n_taken = 0  # by the client since `_kept_up_s`
        self._kept_up_s = 0.0  # when the client last read fast enough

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._since_s = self._kept_up_s = self.loop.time()
        if not self._connections.accept(self):
            self._refuse(errors.too_many_connections())

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.forget(self)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal:
            self._n_lingering += len(data)
            if self._n_lingering > MAX_LINGER_BYTES:
                self.end()
            return
        try:
            self._feed(memoryview(data))
        except httptools.HttpParserUpgrade:
            pass  # upgrades are ignored: the request is answered as HTTP
        except httptools.HttpParserError:
            self._refuse(self._refusal or errors.not_http())

    def pause_writing(self) -> None:
        self._count_taken()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._count_taken()
        super().resume_writing()

    # Called by the parser.

    def on_message_begin(self) -> None:
        self._unset_keepalive_if_required()
        self._since_s = self.loop.time()
        self._n_headers = self._n_body = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._stop_parsing(errors.url_too_long(MAX_URL_BYTES))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._n_headers += 1
        if self._n_headers > MAX_HEADERS:
            self._stop_parsing(errors.too_many_headers(MAX_HEADERS))
        if self._is_in_head:  # trailers are counted and discarded
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unset_keepalive_if_required()
        if len(self.pipeline) >= MAX_SENT_AHEAD:
            self._stop_parsing(errors.too_many_requests_sent(MAX_SENT_AHEAD))
        self._is_in_head, self._n_loose = False, 0
        self._since_s = self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._n_loose = 0
        self._n_body += len(body)
        cycle = self.cycle
        if cycle.response_complete or len(cycle.body) + len(body) >= MIN_PART_BYTES:
            super().on_body(body)
        else:  # waking the request for each byte of a slow body would be costly
            cycle.body += body

    def on_message_complete(self) -> None:
        self._is_in_head, self._n_loose = True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._since_s = self.loop.time()
        super().on_response_complete()

    # Called by `Connections`.

    @property
    def host(self) -> str:
        """The address of the client; empty for a Unix socket."""
        return self.client[0] if self.client else ""

    @property
    def _is_answering(self) -> bool:
        """Whether a request with a complete head is not answered yet."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first
        return cycle is not None and not cycle.response_complete

    def may_make_room(self, now_s: float) -> bool:
        """Whether it only waits for its client, so that it may be closed to accept another."""
        if self._refusal or not self._is_answering:
            return True
        waited_s = now_s - self._since_s
        if self._is_in_head or self.flow.read_paused or waited_s < SLOW_AFTER_S:
            return False
        return self._n_body < waited_s * MIN_BODY_BYTES_PER_S

    def look(self, now_s: float) -> None:
        """End the connection if its client is overdue. Called every second."""
        self._count_taken()
        if self._n_unsent == 0 or self._n_taken >= UNREAD_S * MIN_ANSWER_BYTES_PER_S:
            self._kept_up_s, self._n_taken = now_s, 0
        waited_s = now_s - self._since_s
        if now_s - self._kept_up_s > UNREAD_S or (self._refusal and waited_s > LINGER_S):
            self.end()
        elif self._is_in_head and not self._is_answering and waited_s > HEAD_S:
            if self._n_loose:
                self._refuse(errors.head_stalled(HEAD_S))
            else:  # no request was begun, so no answer is due
                self.end()

    def _count_taken(self) -> None:
        """Measure how many bytes of answers the client has read since the last check."""
        n_unsent = self.transport.get_write_buffer_size()
        self._n_taken += max(0, self._n_unsent - n_unsent)
        self._n_unsent = n_unsent

    def end(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    # Refusing requests.

    def _feed(self, data: memoryview) -> None:
        """Parse `data`, of a head at most its remaining limit at a time."""
        while data and not self._refusal:
            size = MAX_HEAD_BYTES - self._n_loose if self._is_in_head else len(data)
            part, data = data[:size], data[size:]
            self._n_loose += len(part)
            self.parser.feed_data(part)
            if self._n_loose >= MAX_HEAD_BYTES:  # the head has not ended, or this would be 0
                self._refuse(errors.head_too_large(MAX_HEAD_BYTES))

    def _stop_parsing(self, error: errors.ApiError) -> None:
        self._refusal = error
        raise ValueError(error.message)  # the parser passes it on as an HttpParserError

    def _refuse(self, error: errors.ApiError) -> None:
        """Send `error` unless another answer has begun, and close the connection."""
        log.warning("refused what %s sends: %s", self.host, error.message)
        has_begun = self._is_answering and (self.cycle.response_started or bool(self.pipeline))
        self._refusal = error
        self._since_s = self.loop.time()
        self._unset_keepalive_if_required()
        for cycle in (self.cycle, *(queued for queued, _ in self.pipeline)):
            if cycle is not None:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        if has_begun or self.transport.is_closing() or not self._connections.may_linger(self):
            self.end()
            return
        self.transport.write(_written(error))
        self.transport.write_eof()
        self.flow.resume_reading()  # closed with bytes unread, the client would not see the answer


def _written(error: errors.ApiError) -> bytes:
    """`error` as the bytes of an HTTP answer."""
    body = dump(error.body)
    status = HTTPStatus(error.status)
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "x-request-id": f"req_{secrets.token_hex(16)}",
        "openai-version": "2020-10-01",
        "openai-processing-ms": "0",
        "x-content-type-options": "nosniff",
        **error.headers,
    }
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
