"""Pictures in JSON: `data:` URLs, short ones as text and long ones in files, decoded to files."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from limner.server.bodies import json_body
from limner.server.bodies.json_body import LongText
from limner.server.http import uploads
from limner.server.http.uploads import RawFile
from limner.server.openai import fields as f
from limner.server.openai.errors import ApiError

MAX_CHARS = 20_971_520
_HEAD = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w=.+-]+)*);base64,", re.ASCII | re.I)
_MAX_HEAD_CHARS = 1000


def read(address: str | LongText, name: str, folder: Path) -> RawFile:
    """The file in a `data:` URL; it lies in `folder`. Takes time: not on the loop.

    Raises ApiError for any other URL, one that is too long and what is not base64.
    """
    file = uploads.temporary_file(folder)
    try:
        pieces = iter([address]) if isinstance(address, str) else json_body.pieces(address)
        return _decoded(pieces, name, file)
    except ValueError:  # binascii.Error, and bad escapes, too
        file.close()
        raise f.wrong_value(name, f"Invalid '{name}': it is not valid base64.") from None
    except BaseException:
        file.close()
        raise


def _decoded(pieces: Iterator[str], name: str, file: IO[bytes]) -> RawFile:
    first = next(pieces)
    match = _HEAD.match(first[:_MAX_HEAD_CHARS])
    if match is None:
        raise f.wrong_value(
            name, f"Invalid '{name}': expected data:image/png;base64,…; nothing is fetched here."
        )
    n_chars, n_bytes, rest, is_over = len(first), 0, first[match.end() :], False
    _check_length(n_chars, name)
    while True:
        more = next(pieces, None)
        # All but the last piece are cut where a group of four characters ends.
        end = len(rest) if more is None else len(rest) // 4 * 4
        if is_over and end:
            raise ValueError("there is something after the padding")
        data = binascii.a2b_base64(rest[:end], strict_mode=True)
        is_over = rest[:end].endswith("=")
        uploads.write_all(file, data)
        n_bytes += len(data)
        if more is None:
            return RawFile(match[1] or "", n_bytes, file)
        n_chars += len(more)
        _check_length(n_chars, name)
        rest = rest[end:] + more


def _check_length(n_chars: int, name: str) -> None:
    if n_chars > MAX_CHARS:
        raise ApiError(
            f"Invalid '{name}': string too long. Expected a string with maximum length "
            f"{MAX_CHARS}, but got a longer one instead.",
            param=name,
            code="string_above_max_length",
        )
