"""A hash of what a request asks: equal for the same request sent again, and for no other."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

FORM = b"multipart/form-data"


def fingerprint(path: str, content_type: str, body: bytes) -> str:
    """The hash of a request to `path`, in hexadecimal.

    A form counts by its parts, in their order, since clients make a new boundary for each request;
    a form that cannot be parsed to its end, and any other body, counts by its bytes.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind == FORM and boundary:
        with suppress(FormParserError):
            body = _parts(boundary, body)
    return hashlib.sha256(path.encode() + b"\0" + body).hexdigest()


def _parts(boundary: bytes, body: bytes) -> bytes:
    """The hashes of a form's headers and contents, each as long as any other."""
    parts = _Parts()
    parser = MultipartParser(boundary, parts.callbacks())
    parser.write(body)
    if not parts.is_whole:
        raise FormParserError("it ends before its last boundary")
    return b"form\0" + b"".join(parts.hashes)


class _Parts:
    """What a parser tells of a form, hashed."""

    def __init__(self) -> None:
        self.hashes: list[bytes] = []
        self.is_whole = False
        self._hash = hashlib.sha256()

    def callbacks(self) -> Any:
        """The methods that the parser calls."""
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
