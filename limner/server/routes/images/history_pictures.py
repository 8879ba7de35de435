"""/v1/images/history/{id}/pictures/{index}: one stored picture, converted on request."""

from __future__ import annotations

from typing import cast

from anyio import CapacityLimiter, to_thread
from fastapi import Request, Response

from limner.finish.vector import svg
from limner.imaging import codec
from limner.imaging.provenance.check import label_made_of
from limner.imaging.provenance.label_policy import policy_of
from limner.request import COMPLEXITIES, FORMATS, Complexity, Format
from limner.server.access import own_rows
from limner.server.http import scope
from limner.server.openai import answers, errors
from limner.server.routes.images.history import find
from limner.service.context import Service
from limner.storage.db.database import Row
from limner.storage.history import single_picture

MIN_SIDE, MAX_SIDE = 16, 1024  # of a smaller copy
FILE_FORMATS = (*FORMATS, "svg")

_MEDIA_TYPES = {format: f"image/{format}" for format in (*FORMATS, "gif")}
_MEDIA_TYPES["svg"] = "image/svg+xml"
# A stored file never changes; a deleted one may stay in caches for this long.
_CACHE = "private, max-age=86400, immutable"
# An SVG opened on its own may load and run nothing.
_POLICY = "default-src 'none'; sandbox"
# Few at a time: each keeps a decoded picture in memory, and drawing has priority.
_converting = CapacityLimiter(2)


async def file(request: Request, id: str, index: str) -> Response:
    """The file of a picture, or one converted to `format` or scaled to `side`."""
    row = await _find(request, id, index)
    query = request.query_params
    format = _choice(query.get("format"), FILE_FORMATS, "format") or row["format"]
    if format == "gif" and query.get("side"):
        format = "png"  # a smaller copy is not animated
    complexity = _choice(query.get("complexity"), COMPLEXITIES, "complexity") or "medium"
    side = _side(query.get("side"))
    tag = f'"{row["sha256"][:32]}-{format}-{side or 0}-{complexity}"'
    headers = {"cache-control": _CACHE, "etag": tag, "content-security-policy": _POLICY}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    try:
        data = await to_thread.run_sync(
            _made, scope.service(request), row, format, side, complexity, limiter=_converting
        )
    except FileNotFoundError:
        raise errors.no_picture(id, index) from None
    return Response(data, headers=headers, media_type=_MEDIA_TYPES[format])


async def delete(request: Request, id: str, index: str) -> Response:
    """Delete one picture of a request; deleting the last one deletes the request."""
    row = await _find(request, id, index)
    run = scope.service(request).database_threads.run
    if not await run(single_picture.delete, own_rows.history(request), id, row["number"]):
        raise errors.ApiError(
            f"Request '{id}' is being drawn; its pictures can be deleted when it has ended.",
            code="request_running",
        )
    body = {"id": id, "index": row["number"], "object": "image.picture.deleted", "deleted": True}
    return _json(body)


async def star(request: Request, id: str, index: str) -> Response:
    """Star a picture: its request is exempt from deletion by age or size."""
    return await _star(request, id, index, is_starred=True)


async def unstar(request: Request, id: str, index: str) -> Response:
    """Remove the star, so that the usual deletion applies."""
    return await _star(request, id, index, is_starred=False)


async def _star(request: Request, id: str, index: str, *, is_starred: bool) -> Response:
    row = await _find(request, id, index)
    run = scope.service(request).database_threads.run
    if not await run(
        single_picture.star, own_rows.history(request), id, row["number"], is_starred=is_starred
    ):
        raise errors.no_picture(id, index)
    return _json({"id": id, "index": row["number"], "object": "image.star", "starred": is_starred})


async def _find(request: Request, id: str, index: str) -> Row:
    """The row of a picture. Raises ApiError (404) if the key may not see it."""
    pictures: list[Row] = (await find(request, id))["pictures"]
    for row in pictures:
        if str(row["number"]) == index:
            return row
    raise errors.no_picture(id, index[:20])


def _made(service: Service, row: Row, format: str, side: int | None, complexity: str) -> bytes:
    """The file of `row`, converted if needed. Blocks. Raises FileNotFoundError if it is gone."""
    data = service.kept_picture(row["file"])
    if format == row["format"] and (side is None or format == "svg"):
        return data
    if row["format"] == "svg":
        raise errors.ApiError(
            "This picture is kept as SVG and cannot be turned into pixels here. Ask for "
            "format=svg, or draw it again with another output_format.",
            param="format",
            code="unsupported_operation",
        )
    made = _converted(data, format, side, complexity)
    how = "traced" if format == "svg" else "converted"
    label = label_made_of(data, policy_of(service.settings), how)
    return label.attach(made) if label else made


def _converted(data: bytes, format: str, side: int | None, complexity: str) -> bytes:
    pixels, text = codec.decode(data), codec.read_text(data)
    if format == "svg":
        level = cast("Complexity", complexity)
        return svg.trace(pixels, level, title=text.get("prompt", ""), metadata=text)
    height, width = pixels.shape[:2]
    if side is not None and side < max(height, width):
        scale = side / max(height, width)
        pixels = codec.resize(
            pixels, max(1, round(width * scale)), max(1, round(height * scale)), "area"
        )
    return codec.encode(pixels, cast("Format", format), text)


def _choice(value: str | None, allowed: tuple[str, ...], name: str) -> str | None:
    if value is not None and value not in allowed:
        raise errors.wrong_query(name, f"one of {', '.join(allowed)}")
    return value


def _side(value: str | None) -> int | None:
    if value is None:
        return None
    is_number = value.isascii() and value.isdigit() and len(value) < 6
    if not (is_number and MIN_SIDE <= int(value) <= MAX_SIDE):
        raise errors.wrong_query("side", f"a whole number from {MIN_SIDE} to {MAX_SIDE}")
    return int(value)


def _json(body: dict[str, object]) -> Response:
    return Response(answers.dump(body), media_type="application/json")
