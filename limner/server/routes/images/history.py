"""/v1/images/history: list, search and delete earlier requests."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner.server.access import own_rows
from limner.server.http import scope, urls
from limner.server.openai import answers, errors
from limner.server.routes.images import history_queries
from limner.storage.db.database import Row

MAX_PAGE = 100
_PAGE = 20


async def page(request: Request) -> Response:
    """A page of requests, latest first; `after` is the last id of the page before."""
    kept = own_rows.history(request)
    limit = page_size(request.query_params.get("limit"))
    search = history_queries.search(request.query_params)
    after = request.query_params.get("after") or None
    key_name = scope.holder(request).sees_only
    if after is not None:
        await find(request, after)
    run = scope.service(request).database_threads.run
    rows = await run(kept.page, limit + 1, after, key_name, search)
    shown = [_shown(request, row) for row in rows[:limit]]
    return _json(answers.page(shown, has_more=len(rows) > limit))


async def show(request: Request, id: str) -> Response:
    """One request."""
    return _json(_shown(request, await find(request, id)))


async def delete(request: Request, id: str) -> Response:
    """Delete a request, its prompt and its pictures."""
    row = await find(request, id)
    if row["state"] == "running" or not await run_in_threadpool(
        own_rows.history(request).delete, [id]
    ):
        raise errors.ApiError(
            f"Request '{id}' is being drawn; it can be deleted when it has ended.",
            code="request_running",
        )
    return _json({"id": id, "object": "image.request.deleted", "deleted": True})


async def find(request: Request, id: str) -> Row:
    """Request `id` with its pictures. Raises ApiError (404) if the key may not see it."""
    row = await own_rows.find(request, id)
    if row is None:
        raise errors.no_request(id[:100])
    return row


def page_size(text: str | None) -> int:
    """The page size, from the parameter `limit`. Raises ApiError."""
    if not text:
        return _PAGE
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_PAGE):
        raise errors.wrong_query("limit", f"a whole number from 1 to {MAX_PAGE}")
    return int(text)


def _shown(request: Request, row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "object": "image.request",
        "created_at": int(row["created_s"]),
        "seconds": row["seconds"],
        "status": row["state"],
        "key": row["key_name"],
        "kind": row["kind"],
        "model": row["model"],
        "prompt": row["prompt"],
        "parameters": row["parameters"],
        "pictures": shown_pictures(request, row),
    }


def shown_pictures(request: Request, row: Row) -> list[dict[str, Any]]:
    """The stored pictures of a request, with fresh addresses."""
    serving = scope.service(request)
    base = urls.base(request, serving.settings)
    return [
        {
            "index": picture["number"],
            "url": base + serving.links.address(picture["file"]),
            "sha256": picture["sha256"],
            "bytes": picture["n_bytes"],
            "seed": picture["seed"],
            "score": picture["score"],
            "size": f"{picture['width']}x{picture['height']}",
            "format": picture["format"],
            "parent": picture["parent"],
            "starred": bool(picture["starred"]),
            **(picture["details"] or {}),
        }
        for picture in row["pictures"]
    ]


def _json(body: dict[str, Any]) -> Response:
    return Response(answers.dump(body), media_type="application/json")
