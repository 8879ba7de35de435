"""Pictures as text: `data:` URLs and bare base64, short or in a file, decoded to files."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from limner.server.bodies import json_body
from limner.server.bodies.json_body import LongText
from limner.server.input_pictures import uploads
from limner.server.input_pictures.uploads import RawFile
from limner.server.openai import fields as f
from limner.server.openai.errors import ApiError

MAX_CHARS = 20_971_520
_HEAD = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w=.+-]+)*);base64,", re.ASCII | re.I)
_MAX_HEAD_CHARS = 1000
_WHITE = b" \t\r\n\v\f"  # base64 may be split into lines
_OF_ADDRESSES = bytes.maketrans(b"-_", b"+/")  # the URL-safe alphabet


def read(text: str | LongText, name: str, folder: Path) -> RawFile:
    """Decode a `data:` URL or base64 to a file in `folder`. Blocks: not for the event loop.

    Raises ApiError for any other URL, a text that is too long, and invalid base64.
    """
    file = uploads.temporary_file(folder)
    try:
        pieces = iter([text]) if isinstance(text, str) else json_body.pieces(text)
        return _decoded(pieces, name, file)
    except ValueError:  # binascii.Error, and bad escapes, too
        file.close()
        raise refused(name, "it is not valid base64") from None
    except BaseException:
        file.close()
        raise


def refused(name: str, reason: str) -> ApiError:
    """The error for field `name`, which is no readable picture; it lists the accepted forms."""
    return f.wrong_value(
        name,
        f"Invalid '{name}': {reason}. Expected data:image/png;base64,…, bare base64, or the "
        "address of a picture of this server. Nothing is fetched from other addresses.",
    )


def _decoded(pieces: Iterator[str], name: str, file: IO[bytes]) -> RawFile:
    first = next(pieces)
    n_chars = len(first)
    _check_length(n_chars, name)
    content_type, rest = _begun(first.lstrip(), name)
    n_bytes, is_over = 0, False
    while True:
        more = next(pieces, None)
        # All pieces but the last end at a group of four characters.
        end = len(rest) if more is None else len(rest) // 4 * 4
        if is_over and end:
            raise ValueError("there is something after the padding")
        data = binascii.a2b_base64(rest[:end], strict_mode=True)
        is_over = rest[:end].endswith(b"=")
        uploads.write_all(file, data)
        n_bytes += len(data)
        if more is None:
            return RawFile(content_type, n_bytes, file)
        n_chars += len(more)
        _check_length(n_chars, name)
        rest = rest[end:] + _base64_of(more)


def _begun(text: str, name: str) -> tuple[str, bytes]:
    """The declared media type (empty if there is none) and the base64 after it."""
    head = text[:_MAX_HEAD_CHARS]
    if match := _HEAD.match(head):
        return match[1] or "", _base64_of(text[match.end() :])
    if head[:5].lower() == "data:" or "://" in head:
        raise refused(name, "it is another kind of address")
    return "", _base64_of(text)


def _base64_of(text: str) -> bytes:
    """`text` without white space, in the standard alphabet. Raises ValueError if not ASCII."""
    return text.encode("ascii").translate(_OF_ADDRESSES, _WHITE)


def _check_length(n_chars: int, name: str) -> None:
    if n_chars > MAX_CHARS:
        raise ApiError(
            f"Invalid '{name}': string too long. Expected a string with maximum length "
            f"{MAX_CHARS}, but got a longer one instead.",
            param=name,
            code="string_above_max_length",
        )
