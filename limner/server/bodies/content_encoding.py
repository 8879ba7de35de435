"""Bodies sent with Content-Encoding gzip or deflate, decoded piece by piece as they arrive."""

from __future__ import annotations

import zlib
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from limner.server.openai import errors

_PIECE_BYTES = 262_144  # decoded at a time, which bounds memory at any compression ratio
_GZIP = 16 + zlib.MAX_WBITS  # zlib's code for gzip
_GZIP_NAMES, _DEFLATE = ("gzip", "x-gzip"), "deflate"


def encoding_of(headers: Headers) -> str:
    """The Content-Encoding of the body in lower case; empty if there is none."""
    named = ", ".join(headers.getlist("content-encoding")).strip().lower()
    return "" if named == "identity" else named


def without_encoding(scope: Scope) -> Scope:
    """`scope` without Content-Encoding and Content-Length, as routes see the decoded body."""
    gone = (b"content-encoding", b"content-length", b"transfer-encoding")
    headers = [pair for pair in scope["headers"] if pair[0] not in gone]
    return {**scope, "headers": [*headers, (b"transfer-encoding", b"chunked")]}


class Decoding:
    """Decodes the body in the messages of `receive`, to at most `max_bytes`.

    Reading raises ApiError: 415 for other encodings, 400 for a damaged or too large body.
    """

    def __init__(self, encoding: str, receive: Receive, max_bytes: int) -> None:
        self._encoding, self._receive, self._max_bytes = encoding, receive, max_bytes
        self._decoder: Any = None  # zlib exports no type for it
        self._waiting = b""  # received bytes, not decoded yet
        self._has_more = True  # of the encoded body
        self._n_bytes = 0  # decoded so far
        self._is_over = False

    async def receive(self) -> Message:
        """The next decoded piece of the body; after the body, the messages of `receive`."""
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
        """Decode a piece of the body, and note whether it was the last one."""
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
        """Make the decoder when the first bytes have arrived; an empty body needs none."""
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
        # "deflate" means the zlib format (RFC 9110), but some programs send a raw stream.
        first = int.from_bytes(self._waiting[:2], "big")
        is_zlib = first >> 8 & 15 == zlib.DEFLATED and first % 31 == 0
        return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
