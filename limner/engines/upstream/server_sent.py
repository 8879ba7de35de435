"""Server-sent events of a response, as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

from limner.errors import UpstreamError

MAX_LINE_BYTES = 200_000_000  # a picture in base64 is one line


class _Lines(Protocol):
    def readline(self, limit: int = -1, /) -> bytes: ...


def events(response: _Lines) -> Iterator[dict[str, Any]]:
    """The JSON of each event; its name stands in `type`, if it has none there.

    Comments are passed over, and so are events that hold no JSON object, such as `[DONE]`.
    """
    name, data = "", []
    while line := response.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise UpstreamError(f"The upstream sent an event of more than {MAX_LINE_BYTES:,} bytes")
        field, _, value = line.rstrip(b"\r\n").partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            data.append(value)
        elif not field and not value and data:
            if (found := _read(b"\n".join(data))) is not None:
                yield {"type": name} | found
            name, data = "", []


def _read(data: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(data)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
