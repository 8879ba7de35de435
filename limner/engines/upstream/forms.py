"""A body of the type multipart/form-data (RFC 7578)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class File:
    """A PNG of a form."""

    name: str  # of the field
    data: bytes = field(repr=False)


def encode_form(values: Mapping[str, Any], files: Sequence[File]) -> tuple[bytes, str]:
    """The body, and its content type. Names are ours: ASCII without quotes.

    The boundary is a hash of the content, which therefore cannot hold it; equal forms are equal
    bytes.
    """
    parts = [(f'name="{name}"', "", _text(value)) for name, value in values.items()]
    for number, file in enumerate(files):
        about = f'name="{file.name}"; filename="{number}.png"'
        parts.append((about, "Content-Type: image/png\r\n", file.data))
    content = hashlib.sha256()
    for about, _, data in parts:
        content.update(about.encode() + b"\n%d\n" % len(data) + data)
    boundary = content.hexdigest()[:32]
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {about}\r\n{kind}\r\n".encode()
        + data
        + b"\r\n"
        for about, kind, data in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _text(value: Any) -> bytes:
    return str(value).lower().encode() if isinstance(value, bool) else str(value).encode()
