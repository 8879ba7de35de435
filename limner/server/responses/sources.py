"""The picture that a request refers to: attached, or of an earlier answer or call by its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from limner.server.access import own_rows
from limner.server.http import scope
from limner.server.openai import fields as f
from limner.server.openai.errors import ApiError
from limner.server.responses import ids
from limner.server.responses.body import Attached, Body, Earlier
from limner.storage.db.database import Row
from limner.storage.db.responses import Responses


@dataclass(frozen=True)
class Source:
    """The pictures to edit, as values for `json_pictures.Reader`, and the prompt of the first.

    Each is paired with its name in the request.
    """

    pictures: Sequence[tuple[object, str]]
    prompt: str | None = None  # of the picture, if it was drawn


async def find(request: Request, body: Body) -> Source | None:
    """The source pictures of `body`; None to draw from text alone.

    Order of preference: pictures of the last message, others in the input, then that of
    `previous_response_id`. Raises ApiError for unknown ids.
    """
    previous = await _previous(request, body.previous) if body.previous else None
    if body.tool.action == "generate":
        return None
    if body.attached:
        return Source([(one.value, one.name) for one in body.attached])
    latest = body.earlier or previous
    if isinstance(latest, Attached):
        return Source([(latest.value, latest.name)])
    if latest is not None:
        return await of_drawn(request, latest)
    if body.tool.action == "edit":
        raise ApiError(
            f"'{body.tool.at}.action' is 'edit', and the request has no picture. Attach one as "
            "'input_image', or name an earlier answer by 'previous_response_id'.",
            param=f"{body.tool.at}.action",
            code="invalid_value",
        )
    return None


async def find_response(request: Request, id: str) -> tuple[Row, dict[str, Any]] | None:
    """The history row and stored body of answer `id`, or None."""
    request_id = ids.request_id(ids.RESPONSE, id)
    row = await own_rows.find(request, request_id) if request_id else None
    if row is None:
        return None
    serving = scope.service(request)
    body = await serving.database_threads.run(Responses(serving.database).find, id)
    return (row, body) if body is not None else None


async def earlier(request: Request, id: str) -> tuple[Row, dict[str, Any]]:
    """The row and body of answer `id`, named by previous_response_id. Raises ApiError."""
    found = await find_response(request, id)
    if found is None:
        raise ApiError(
            f"Previous response with id '{f.shown(id)}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    return found


def last_call(row: Row, stored: Mapping[str, Any]) -> str | None:
    """The id of the call that drew the latest picture of an answer; None if it has none."""
    if row["pictures"]:
        return ids.of_request(ids.CALL, row["id"])
    calls = [item["request_id"] for item in stored.get("output", []) if "request_id" in item]
    return ids.of_request(ids.CALL, calls[-1]) if calls else None


async def _previous(request: Request, id: str) -> Earlier | None:
    row, stored = await earlier(request, id)
    call_id = last_call(row, stored)  # None: it failed, is not finished, or is a text
    return Earlier("previous_response_id", call_id) if call_id else None


async def of_drawn(request: Request, drawn: Earlier) -> Source:
    """The source of a picture that was drawn. Raises ApiError (404) if it is gone."""
    request_id = ids.request_id(ids.CALL, drawn.id or "")
    row = None
    if request_id and (scope.service(request).history or not drawn.result):
        row = await own_rows.find(request, request_id)
    if drawn.result:
        return Source(
            [(drawn.result, f"{drawn.name}.result")], row["prompt"] if row else drawn.prompt
        )
    if row is None or not row["pictures"]:
        raise ApiError(
            f"Item with id '{f.shown(drawn.id or '')}' not found: its picture was not drawn with "
            "this key, is not finished, or was deleted.",
            status=404,
            param="input",
            code="item_not_found",
        )
    file = row["pictures"][0]["file"]
    return Source([(scope.service(request).links.address(file), drawn.name)], row["prompt"])
