"""JSON bodies, checked as they arrive and cheap to parse: long strings go to a file.

Outside strings, brackets, depth and values are counted. A long string, such as a picture, is
written to a file and replaced by a token in the JSON. So the JSON parser gets a small and flat
text, whatever was sent.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from starlette.concurrency import run_in_threadpool

from limner.server.input_pictures import uploads
from limner.server.openai import errors

MAX_DEPTH = 16
MAX_VALUES = 10_000  # each with a comma, a colon or a bracket
MAX_QUOTES = 200_000  # in strings, escaped; a prompt of quotes has 32,000
MAX_INLINE_BYTES = 65_536  # a longer string goes to a file
_WRITE_BYTES = 262_144  # at a time
_READ_BYTES = 1_000_000
_BEGUN_ESCAPE = re.compile(rb"\\[^\\]{0,5}\Z")  # an incomplete escape at the end of a piece
_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))


@dataclass(frozen=True)
class LongText:
    """A string of a JSON body that is in a file, still escaped."""

    file: IO[bytes]
    n_bytes: int


@dataclass(frozen=True)
class Parsed:
    """A JSON value, and the long strings by their tokens in it."""

    value: Any
    texts: dict[str, LongText]

    def close(self) -> None:
        """Close the files."""
        for text in self.texts.values():
            text.file.close()


async def read(chunks: AsyncIterator[bytes], max_bytes: int, folder: Path | None = None) -> Parsed:
    """Parse a JSON body of at most `max_bytes`, long strings not counted.

    Strings are written to files only if a `folder` is given. Raises ApiError for invalid JSON and
    for more structure than any request needs.
    """
    scanner = _Scanner(max_bytes, folder)
    try:
        async for chunk in chunks:
            scanner.feed(chunk)
            if len(scanner.unwritten) >= _WRITE_BYTES:
                await run_in_threadpool(scanner.write)
        return await run_in_threadpool(scanner.parsed)
    except BaseException:
        scanner.close()
        raise


def pieces(text: LongText) -> Iterator[str]:
    """Yield a long string unescaped, in pieces. Raises ValueError if its escapes are not valid."""
    text.file.seek(0)
    rest = b""
    while data := text.file.read(_READ_BYTES):
        data = rest + data
        cut = _BEGUN_ESCAPE.search(data, max(0, len(data) - 6))
        end = cut.start() if cut else len(data)
        rest = data[end:]
        yield json.loads(b'"' + data[:end] + b'"')
    yield json.loads(b'"' + rest + b'"')


class _Scanner:
    """Splits a body into the text to parse (`_kept`) and long strings."""

    def __init__(self, max_bytes: int, folder: Path | None) -> None:
        self._max_bytes, self._folder = max_bytes, folder
        self._kept = bytearray()
        self._depth = self._n_values = self._n_quotes = 0
        self._string_at: int | None = None  # start in `_kept` of the string being read
        self._is_escaping = False  # whether the string so far ends in an odd number of \
        self._token = secrets.token_hex(8)
        self._texts: dict[str, LongText] = {}
        self._file: IO[bytes] | None = None  # of the long string being read
        self._n_written = 0
        self.unwritten = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Scan the next bytes of the body."""
        at = 0
        while at < len(chunk):
            at = self._structure(chunk, at) if self._string_at is None else self._text(chunk, at)
            if len(self._kept) > self._max_bytes:
                raise errors.body_too_large(self._max_bytes)

    def _structure(self, chunk: bytes, at: int) -> int:
        """Scan bytes outside strings from `at`; returns where they end."""
        quote = chunk.find(b'"', at)
        end = len(chunk) if quote < 0 else quote + 1
        part = chunk[at:end]
        brackets = part.translate(None, _NOT_BRACKETS)
        self._n_values += len(brackets) + part.count(b",") + part.count(b":")
        if self._n_values > MAX_VALUES:
            raise errors.json_too_complex(f"more than {MAX_VALUES:,} values")
        for bracket in brackets:
            self._depth += 1 if bracket in b"[{" else -1
            if self._depth > MAX_DEPTH:
                raise errors.json_too_complex(f"brackets nested more than {MAX_DEPTH} deep")
        self._kept += part
        if quote >= 0:
            self._string_at = len(self._kept)
        return end

    def _text(self, chunk: bytes, at: int) -> int:
        """Scan a string's bytes from `at`; returns the index after them and the closing quote."""
        quote = chunk.find(b'"', at)
        end = len(chunk) if quote < 0 else quote
        part = chunk[at:end]
        n_escapes = len(part) - len(part.rstrip(b"\\"))
        is_odd = n_escapes % 2 == 1
        if n_escapes == len(part):
            is_odd ^= self._is_escaping
        self._is_escaping = is_odd
        self._add(part)
        if quote < 0:
            return end
        if self._is_escaping:  # an escaped quote belongs to the text
            self._n_quotes += 1
            if self._n_quotes > MAX_QUOTES:
                raise errors.json_too_complex(f"more than {MAX_QUOTES:,} escaped quotes")
            self._is_escaping = False
            self._add(b'"')
        else:
            self._end_text()
        return quote + 1

    def _add(self, part: bytes) -> None:
        if self._file is not None:
            self.unwritten += part
            return
        self._kept += part
        assert self._string_at is not None
        if self._folder and len(self._kept) - self._string_at > MAX_INLINE_BYTES:
            self._file, self._n_written = uploads.temporary_file(self._folder), 0
            self.unwritten += self._kept[self._string_at :]
            del self._kept[self._string_at :]

    def _end_text(self) -> None:
        if self._file is not None:
            self.write()
            name = f"{self._token}:{len(self._texts)}"
            self._texts[name] = LongText(self._file, self._n_written)
            self._kept += name.encode()
            self._file = None
        self._kept += b'"'
        self._string_at = None

    def write(self) -> None:
        """Write pending bytes to the file of the long string."""
        assert self._file is not None
        self._n_written += len(self.unwritten)
        uploads.write_all(self._file, self.unwritten)
        self.unwritten = bytearray()

    def parsed(self) -> Parsed:
        """Parse and return the JSON. Raises ApiError if it is not valid."""
        try:
            value = json.loads(bytes(self._kept), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):  # ValueError: bad JSON, bad UTF-8, giant numbers, NaN
            raise errors.unparsable_json() from None
        return Parsed(value, self._texts)

    def close(self) -> None:
        """Close all files."""
        Parsed(None, self._texts).close()
        if self._file is not None:
            self._file.close()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # Python accepts NaN and Infinity; JSON does not
