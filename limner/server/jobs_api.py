"""/v1/images/jobs: how a request stands that has not been answered yet, and its end."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from limner.server import service
from limner.server.jobs import Status
from limner.server.wire import answers, errors


async def show(request: Request, id: str) -> Response:
    """A request by its x-request-id, or by the x-client-request-id that came with it."""
    return _respond(_find(request, id))


async def cancel(request: Request, id: str) -> Response:
    """Stop a request; who waits for it is told. One that has ended stays as it is."""
    status = _find(request, id)
    if status.abort:
        status.abort()
        status.state = "cancelled"
    return _respond(status)


def _find(request: Request, id: str) -> Status:
    status = service.of(request).jobs.find(id, service.holder(request))
    if status is None:
        raise errors.no_request(id[:100])
    return status


def _respond(status: Status) -> Response:
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
    }
    return Response(answers.dump(body), media_type="application/json")
