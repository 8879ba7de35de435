"""Bodies sent with Content-Encoding gzip or deflate, decoded piece by piece as they arrive."""

from __future__ import annotations

import zlib
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from limner.server.openai import errors

_PIECE_BYTES = 262_144  # decoded at a time, so that a body of any ratio takes no more memory
_GZIP = 16 + zlib.MAX_WBITS  # as zlib says it
_GZIP_NAMES, _DEFLATE = ("gzip", "x-gzip"), "deflate"


def encoding_of(headers: Headers) -> str:
    """How the body is encoded, in small letters; empty if it is sent as it is."""
    named = ", ".join(headers.getlist("content-encoding")).strip().lower()
    return "" if named == "identity" else named


def without_encoding(scope: Scope) -> Scope:
    """`scope` as routes shall see it: of a body that is not encoded, and of unknown length."""
    gone = (b"content-encoding", b"content-length", b"transfer-encoding")
    headers = [pair for pair in scope["headers"] if pair[0] not in gone]
    return {**scope, "headers": [*headers, (b"transfer-encoding", b"chunked")]}


class Decoding:
    """The messages of `receive` with the body decoded; at most `max_bytes` come out.

    Reading raises ApiError: 415 for other encodings, 400 for a damaged or too large body.
    """

    def __init__(self, encoding: str, receive: Receive, max_bytes: int) -> None:
        self._encoding, self._receive, self._max_bytes = encoding, receive, max_bytes
        self._decoder: Any = None  # zlib names no type for it
        self._waiting = b""  # bytes that have come and are not decoded
        self._has_more = True  # of the encoded body
        self._n_bytes = 0  # decoded so far
        self._is_over = False

    async def receive(self) -> Message:
        """The next piece of the body; after it, what `receive` says."""
        if self._encoding not in (*_GZIP_NAMES, _DEFLATE):
            self._is_over = True
            raise errors.unsupported_content_encoding(self._encoding)
        while not self._is_over:
            if self._has_more and (self._decoder is None or not self._waiting):
                message = await self._receive()
                if message["type"] != "http.request":
                    return message
                self._waiting += message.get("body", b"")
                self._has_more = bool(message.get("more_body"))
            data = self._decoded()
            self._n_bytes += len(data)
            if self._n_bytes > self._max_bytes:
                raise errors.body_too_large(self._max_bytes)
            if data or self._is_over:
                return {"type": "http.request", "body": data, "more_body": not self._is_over}
        return await self._receive()

    def _decoded(self) -> bytes:
        """A piece of the body; notes when that was the last one."""
        if self._decoder is None and not self._begin():
            return b""
        try:
            data: bytes = self._decoder.decompress(self._waiting, _PIECE_BYTES)
        except zlib.error:
            raise errors.undecodable_body(self._encoding) from None
        self._waiting = self._decoder.unconsumed_tail
        if self._decoder.unused_data:
            raise errors.undecodable_body(self._encoding)
        if not self._has_more and not self._waiting and len(data) < _PIECE_BYTES:
            if not self._decoder.eof:
                raise errors.undecodable_body(self._encoding)
            self._is_over = True
        return data

    def _begin(self) -> bool:
        """Make the decoder once the first bytes are there; an empty body needs none."""
        if len(self._waiting) < 2:
            if self._has_more:
                return False
            if not self._waiting:
                self._is_over = True
                return False
        self._decoder = zlib.decompressobj(self._window_bits())
        return True

    def _window_bits(self) -> int:
        if self._encoding in _GZIP_NAMES:
            return _GZIP
        # "deflate" is zlib's form (RFC 9110), and some programs send the bare stream instead.
        first = int.from_bytes(self._waiting[:2], "big")
        is_zlib = first >> 8 & 15 == zlib.DEFLATED and first % 31 == 0
        return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
