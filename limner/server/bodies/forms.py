"""Forms with files (multipart/form-data), read as they arrive; python-multipart parses them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from limner.server.input_pictures import uploads
from limner.server.input_pictures.uploads import RawFile
from limner.server.openai.errors import ApiError

MAX_FILES = 20
MAX_FIELDS = 100
MAX_TEXT_BYTES = 1_000_000  # of all text fields together
_WRITE_BYTES = 262_144  # at a time


@dataclass
class _Part:
    """A field of the form, as far as it was received."""

    disposition: bytes = b""
    content_type: bytes = b""
    name: str = ""
    file: IO[bytes] | None = None
    filename: str = ""
    n_bytes: int = 0
    data: bytearray = field(default_factory=bytearray)  # text, or bytes not yet written to the file


@dataclass(frozen=True)
class Form:
    """The fields of a form in their order; files are open until `close`."""

    items: list[tuple[str, str | RawFile]]

    def close(self) -> None:
        """Close the files."""
        for _, value in self.items:
            if isinstance(value, RawFile):
                value.file.close()


async def read(content_type: str, chunks: AsyncIterator[bytes], folder: Path) -> Form:
    """Read a whole form, with its files in `folder`. Raises ApiError if it is not valid."""
    reader = _Reader(content_type, folder)
    try:
        async for chunk in chunks:
            reader.feed(chunk)
            if reader.n_unwritten >= _WRITE_BYTES:
                await run_in_threadpool(reader.write)
        if not reader.is_complete:
            raise bad_form("it ends before its last boundary.")
        await run_in_threadpool(reader.write)
        return reader.form()
    except BaseException:
        reader.close()
        raise


def bad_form(detail: str) -> ApiError:
    """The error for a form that cannot be parsed or has too many parts."""
    return ApiError(f"We could not parse the form of your request: {detail}", code="invalid_form")


class _Reader:
    """Collects the parser's callbacks into parts."""

    def __init__(self, content_type: str, folder: Path) -> None:
        _, parameters = parse_options_header(content_type)
        if b"boundary" not in parameters:
            raise bad_form("Missing boundary in multipart.")
        self._charset = parameters.get(b"charset", b"utf-8").decode("latin-1")
        self._folder = folder
        self._parts: list[_Part] = []
        self._n_text_bytes = 0
        self._header = self._value = b""
        self.is_complete = False
        self.n_unwritten = 0
        self._parser = MultipartParser(
            parameters[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise bad_form("Invalid multipart data.") from None

    def write(self) -> None:
        """Write received file bytes to disk."""
        for part in self._parts:
            if part.file is not None and part.data:
                uploads.write_all(part.file, part.data)
                part.data = bytearray()
        self.n_unwritten = 0

    def form(self) -> Form:
        """All parts."""
        return Form([(part.name, self._finished(part)) for part in self._parts])

    def close(self) -> None:
        """Close all files."""
        for part in self._parts:
            if part.file is not None:
                part.file.close()

    def _finished(self, part: _Part) -> str | RawFile:
        if part.file is None:
            return self._decoded(bytes(part.data))
        content_type = part.content_type.decode("latin-1")
        return RawFile(content_type, part.n_bytes, part.file, part.filename)

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode(self._charset)
        except (UnicodeDecodeError, LookupError):
            return data.decode("latin-1")

    def _begin(self) -> None:
        self._parts.append(_Part())

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        name, part = self._header.lower(), self._parts[-1]
        if name == b"content-disposition":
            part.disposition = self._value
        elif name == b"content-type":
            part.content_type = self._value
        self._header = self._value = b""

    def _end_headers(self) -> None:
        part = self._parts[-1]
        _, options = parse_options_header(part.disposition)
        if b"name" not in options:
            raise bad_form('The Content-Disposition header field "name" must be provided.')
        part.name = self._decoded(options[b"name"])
        if b"filename" in options:
            part.file = uploads.temporary_file(self._folder)
            part.filename = self._decoded(options[b"filename"])
        n_files = sum(part.file is not None for part in self._parts)
        if n_files > MAX_FILES:
            raise bad_form(f"Too many files. Maximum number of files is {MAX_FILES}.")
        if len(self._parts) - n_files > MAX_FIELDS:
            raise ApiError(
                f"Your form has more than {MAX_FIELDS} fields. If you are sending a picture, send "
                "it as a file with a name: raw bytes become one field for every byte.",
                param="image",
                code="invalid_type",
            )

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._parts[-1]
        part.data += data[start:end]
        part.n_bytes += end - start
        if part.file is not None:
            self.n_unwritten += end - start
            return
        self._n_text_bytes += end - start
        if self._n_text_bytes > MAX_TEXT_BYTES:
            raise bad_form(f"its texts have more than {MAX_TEXT_BYTES:,} bytes.")

    def _end(self) -> None:
        self.is_complete = True
