"""Pictures that clients upload to name them in later requests: rows of the history like drawn ones.

So they last as long as the history keeps them, count towards its size, and are known to every
server that shares the database and the store.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limner.errors import LimnerError
from limner.request import Format, Size
from limner.service.access.auth import Holder
from limner.storage.db.database import Row
from limner.storage.history.history import UPLOAD, Asked, History, Made

if TYPE_CHECKING:
    from limner.service.context import Service


@dataclass(frozen=True)
class Upload:
    """A picture file to keep."""

    data: bytes
    format: Format
    size: Size
    filename: str
    purpose: str
    expires_s: float | None = None  # Unix time after which it is not handed out


def add(service: Service, history: History, upload: Upload, holder: Holder, id: str) -> Row:
    """Keep `upload` as row `id` of `holder`; returns the row. Blocks: call it in a thread.

    Raises StoreError, DatabaseError or OutputError.
    """
    parameters = {
        "n": 1,
        "size": str(upload.size),
        "seed": 0,
        "output_format": upload.format,
        "filename": upload.filename,
        "purpose": upload.purpose,
        "expires_s": upload.expires_s,
    }
    service.room.check()
    record = history.begin(Asked(id, holder.name, UPLOAD, "", upload.filename, 1, parameters))
    try:
        name = service.links.keep(upload.data, upload.format, id, 0)
        made = Made(0, 0, None, upload.size.width, upload.size.height, upload.format)
        try:
            record.add(made, name, upload.data)
        except BaseException:
            with suppress(LimnerError):
                if not record.has(name):
                    service.links.discard(name)
            raise
    except BaseException:
        with suppress(LimnerError):
            record.end("failed")
        raise
    service.trim_history(len(upload.data))
    row = history.find(id)
    assert row is not None  # the latest row is never trimmed
    return row


def is_whole(row: Row, now_s: float) -> bool:
    """Whether `row` is an upload that may be read at the Unix time `now_s`."""
    if row["kind"] != UPLOAD or not row["pictures"]:
        return False
    expires_s: float | None = row["parameters"]["expires_s"]
    return expires_s is None or now_s < expires_s
