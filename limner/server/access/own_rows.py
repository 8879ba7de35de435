"""Rows of the history that the key of a request may see."""

from __future__ import annotations

from fastapi import Request

from limner.server.http import scope
from limner.server.openai.errors import ApiError
from limner.service.queue.jobs import is_id
from limner.storage.db.database import Row
from limner.storage.history.history import History


def history(request: Request) -> History:
    """The history of this server. Raises ApiError (404) if it keeps none."""
    kept = scope.service(request).history
    if kept is None:
        raise ApiError(
            "This server keeps no history (LIMNER_HISTORY=off).", status=404, code="no_history"
        )
    return kept


async def find(request: Request, id: str) -> Row | None:
    """Request `id` with its pictures; None if there is none or it is another key's."""
    kept = history(request)
    if not is_id(id):  # not looked up: PostgreSQL refuses some text, such as NUL
        return None
    row = await scope.service(request).database_threads.run(kept.find, id)
    only = scope.holder(request).sees_only
    if row is None or (only is not None and row["key_name"] != only):
        return None
    return row
