"""Uploaded files that a JSON body names by `file_id`, as addresses of pictures of this server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from fastapi import Request

from limner.server.access import own_rows
from limner.server.http import scope
from limner.server.responses import ids
from limner.service.pictures import uploads
from limner.storage.db.database import Row

MAX_FILES = 40  # of one body; each is a row to look up


async def addresses(request: Request, body: Any) -> dict[str, str]:
    """The addresses of the files that `body` names, by id; missing files are left out.

    Only files that the key of `request` may see.
    """
    found: dict[str, str] = {}
    for id in list(dict.fromkeys(_named(body)))[:MAX_FILES]:
        if row := await find(request, id):
            file = row["pictures"][0]["file"]
            found[id] = scope.service(request).links.address(file)
    return found


async def find(request: Request, id: str) -> Row | None:
    """The row of upload `id`, if the key of `request` may read it and it has not expired."""
    request_id = ids.request_id(ids.FILE, id)
    row = await own_rows.find(request, request_id) if request_id else None
    return row if row and uploads.is_whole(row, time.time()) else None


def _named(value: Any) -> Iterator[str]:
    """Every `file_id` in a JSON value."""
    if isinstance(value, dict):
        if isinstance(id := value.get("file_id"), str):
            yield id
        for part in value.values():
            yield from _named(part)
    elif isinstance(value, list):
        for part in value:
            yield from _named(part)
