"""/v1/images/jobs: the status of a request, and its cancellation.

The status of this server's own requests is in memory; that of others comes from the history.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from limner.server.http import scope
from limner.server.openai import answers, errors
from limner.server.routes.images.history import shown_pictures
from limner.service.queue.jobs import State, Status, is_id
from limner.storage.db.database import Row
from limner.storage.history.history import History


async def show(request: Request, id: str) -> Response:
    """A request by its x-request-id, or by the x-client-request-id that came with it."""
    status, row = await _find(request, id)
    return _respond(request, status, row)


async def cancel(request: Request, id: str) -> Response:
    """Cancel a request, which ends its client's answer. No effect if it has ended."""
    status, row = await _find(request, id)
    if status.abort:
        status.abort()
    elif row and row["state"] == "running" and status.state == "drawing":
        raise errors.ApiError(
            f"Request '{status.id}' is drawn by another server; it can be stopped there.",
            code="request_elsewhere",
        )
    return _respond(request, status, row)


async def _find(request: Request, id: str) -> tuple[Status, Row | None]:
    """The status of a request, and its row if there is a history. Raises ApiError."""
    serving, holder = scope.service(request), scope.holder(request)
    if not is_id(id):  # not looked up: PostgreSQL refuses some text, such as NUL
        raise errors.no_request(id[:100])
    status, row = serving.jobs.find(id, holder), None
    if serving.history:
        known = status.id if status else id
        row = await serving.database_threads.run(_row, serving.history, known, holder.name)
    if status is None and row and holder.sees_only in (None, row["key_name"]):
        state: State = "drawing" if row["state"] == "running" else row["state"]
        n = row["parameters"]["n"]
        status = Status(row["id"], row["key_name"], n, row["created_s"], state)
    if status is None:
        raise errors.no_request(id[:100])
    return status, row


def _row(history: History, id: str, key_name: str) -> Row | None:
    return history.find(id) or history.find_by_client(key_name, id)


def _respond(request: Request, status: Status, row: Row | None) -> Response:
    progress = status.progress
    body: dict[str, Any] = {
        "id": status.id,
        "object": "image.job",
        "created_at": int(status.created_s),
        "status": status.state,
        "n": status.n,
        "position": status.position,
        "progress": progress
        and {"done": progress.done, "total": progress.total, "stage": progress.stage},
        "pictures": shown_pictures(request, row) if row else [],
    }
    return Response(answers.dump(body), media_type="application/json")
