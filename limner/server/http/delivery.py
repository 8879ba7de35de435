"""Sending answers to clients, no faster than they read."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, nullcontext

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from limner.service.access.rate_limits import Ticket

log = logging.getLogger("limner.server")

PIECE_BYTES = 65_536
STALL_S = 30.0  # within which a client must take a piece


class Delivery(StreamingResponse):
    """A stream that sends each piece once the client has taken those before it.

    While it is sent, `ticket` counts as in progress in the limits of its key. A client that takes
    nothing for STALL_S is disconnected. `closing` is always called at the end.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[bytes],
        *,
        media_type: str,
        headers: Mapping[str, str],
        ticket: Ticket | None = None,
        closing: Callable[[], object],
    ) -> None:
        super().__init__(chunks, headers=headers, media_type=media_type)
        self._chunks, self.ticket, self._closing = chunks, ticket, closing

    async def stream_response(self, send: Send) -> None:
        """Send the head and all pieces; disconnect a client that does not read."""
        try:
            async with aclosing(self._chunks):
                await _send(send, self, self._chunks, self.ticket)
        finally:
            self._closing()


class WholeDelivery(Response):
    """A whole answer, sent under the same rules as a Delivery."""

    def __init__(
        self,
        body: bytes,
        *,
        media_type: str,
        headers: Mapping[str, str],
        ticket: Ticket | None = None,
    ) -> None:
        super().__init__(body, headers=headers, media_type=media_type)
        self.ticket = ticket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; disconnect a client that does not read."""

        async def chunks() -> AsyncIterator[bytes]:
            yield bytes(self.body)

        await _send(send, self, chunks(), self.ticket)


async def _send(
    send: Send, response: Response, chunks: AsyncIterator[bytes], ticket: Ticket | None
) -> None:
    start = {
        "type": "http.response.start",
        "status": response.status_code,
        "headers": response.raw_headers,
    }
    with ticket.held() if ticket else nullcontext():
        await send(start)
        try:
            async for chunk in chunks:
                for at in range(0, len(chunk), PIECE_BYTES):
                    await _send_piece(send, chunk[at : at + PIECE_BYTES])
            # Waits until the client has taken earlier pieces, except what the connection buffers.
            await _send_piece(send, b"", is_last=True)
        except TimeoutError:
            log.warning("an answer was cut off: nothing of it was read for %g s", STALL_S)


async def _send_piece(send: Send, piece: bytes, *, is_last: bool = False) -> None:
    async with asyncio.timeout(STALL_S):
        await send({"type": "http.response.body", "body": piece, "more_body": not is_last})


class Outbox:
    """The queue of chunks between the producer of a stream and its Delivery."""

    def __init__(self) -> None:
        self.n_bytes = 0  # not taken by the client yet
        self._chunks: deque[tuple[bytes, Callable[[], object]]] = deque()
        self._changed = asyncio.Event()
        self._is_complete = False

    def put(self, chunk: bytes, sent: Callable[[], object] = lambda: None) -> None:
        """Queue `chunk`; `sent` is called when the client has taken it."""
        self._chunks.append((chunk, sent))
        self.n_bytes += len(chunk)
        self._changed.set()

    async def filled(self) -> None:
        """Return once there is something to take, or the end is marked."""
        while not self._chunks and not self._is_complete:
            self._changed.clear()
            await self._changed.wait()

    def complete(self) -> None:
        """Mark the end: no more chunks follow."""
        self._is_complete = True
        self._changed.set()

    async def chunks(self, otherwise: bytes, every_s: float) -> AsyncIterator[bytes]:
        """Yield chunks as they come, and `otherwise` whenever none came for `every_s`."""
        while self._chunks or not self._is_complete:
            if not self._chunks:
                self._changed.clear()
                try:
                    async with asyncio.timeout(every_s):
                        await self._changed.wait()
                except TimeoutError:
                    yield otherwise
                continue
            chunk, sent = self._chunks.popleft()
            yield chunk
            self.n_bytes -= len(chunk)
            sent()
