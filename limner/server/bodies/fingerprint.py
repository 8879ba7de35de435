"""A hash of a request: equal if the same request is sent again, different for any other."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

FORM = b"multipart/form-data"


def fingerprint(path: str, content_type: str, body: bytes) -> str:
    """The hash of a request to `path`, in hexadecimal.

    A form is hashed by its parts in order, since clients make a new boundary for each request. A
    form that cannot be parsed completely, and any other body, is hashed by its bytes.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind == FORM and boundary:
        with suppress(FormParserError):
            body = _parts(boundary, body)
    return hashlib.sha256(path.encode() + b"\0" + body).hexdigest()


def _parts(boundary: bytes, body: bytes) -> bytes:
    """The concatenated hashes (of equal length) of a form's headers and contents."""
    parts = _Parts()
    parser = MultipartParser(boundary, parts.callbacks())
    parser.write(body)
    if not parts.is_whole:
        raise FormParserError("it ends before its last boundary")
    return b"form\0" + b"".join(parts.hashes)


class _Parts:
    """Receives a form's parts from the parser and hashes them."""

    def __init__(self) -> None:
        self.hashes: list[bytes] = []
        self.is_whole = False
        self._hash = hashlib.sha256()

    def callbacks(self) -> Any:
        """The callbacks for the parser."""
        return {
            "on_header_field": self._take_name,
            "on_header_value": self._take,
            "on_header_end": self._end,
            "on_part_data": self._take,
            "on_part_end": self._end,
            "on_headers_finished": self._end,
            "on_end": self._note_the_end,
        }

    def _take(self, data: bytes, start: int, end: int) -> None:
        self._hash.update(memoryview(data)[start:end])

    def _take_name(self, data: bytes, start: int, end: int) -> None:
        self._hash.update(data[start:end].lower() + b":")

    def _end(self) -> None:
        self.hashes.append(self._hash.digest())
        self._hash = hashlib.sha256()

    def _note_the_end(self) -> None:
        self.is_whole = True
