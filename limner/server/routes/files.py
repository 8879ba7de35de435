"""/v1/images/files/…: stored pictures, whole or in part, for whoever has their address."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from email.utils import formatdate

from anyio import CapacityLimiter, to_thread
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Receive, Scope, Send

from limner.errors import StoreError
from limner.server.http import scope
from limner.server.openai import errors
from limner.service.links import MEDIA_TYPES
from limner.storage.blobs.store import Found, Part, Seen

log = logging.getLogger("limner.server")

# One part; a header that is something else is passed over, as HTTP allows.
_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?", re.ASCII | re.I)
# A picture that may hold markup is shown by itself, and may load and run nothing.
_DOCUMENT_POLICY = "default-src 'none'; sandbox"
_static = StaticFiles()  # of no folder: it knows which headers mean "not modified"


async def picture(request: Request, name: str) -> Response:
    """Hand out a picture, or a part of it, unless the client has it."""
    serving, query = scope.service(request), request.query_params
    found = await to_thread.run_sync(
        serving.links.find,
        name,
        query.get("se", ""),
        query.get("sig", ""),
        limiter=serving.readers,
    )
    if found is None:
        raise errors.not_found(request.method, request.url.path)
    path, seen = found
    headers = {
        "accept-ranges": "bytes",
        "cache-control": "private, max-age=3600",
        "content-length": str(seen.n_bytes),
        "content-type": MEDIA_TYPES[name.rpartition(".")[2]],
        "etag": f'"{seen.tag}"',
        "last-modified": formatdate(seen.changed_s, usegmt=True),
    }
    if headers["content-type"] == MEDIA_TYPES["svg"]:
        headers["content-security-policy"] = _DOCUMENT_POLICY
    if _static.is_not_modified(Headers(headers), request.headers):
        return NotModifiedResponse(Headers(headers))
    if request.method == "HEAD":
        return Response(headers=headers)
    part = _part(request.headers, headers, seen)
    start, end = part or (0, seen.n_bytes)
    if part:
        headers["content-length"] = str(end - start)
        headers["content-range"] = f"bytes {start}-{end - 1}/{seen.n_bytes}"
    coming = await to_thread.run_sync(
        serving.links.read, path, (start, end), limiter=serving.readers
    )
    if coming is None:  # deleted in this moment
        raise errors.not_found(request.method, request.url.path)
    return _Stored(coming, 206 if part else 200, headers, serving.readers)


def _part(asked: Headers, told: dict[str, str], seen: Seen) -> Part | None:
    """The bytes that Range asks for; None is all of them, and none of them an ApiError (416)."""
    match = _RANGE.fullmatch(asked.get("range", ""))
    is_same = asked.get("if-range") in (None, told["etag"], told["last-modified"])
    if not match or not is_same or match.groups() == (None, None):
        return None
    first, last = (None if text is None else int(text) for text in match.groups())
    if first is None:
        first, last = max(0, seen.n_bytes - (last or 0)), None  # the last so many
    if last is not None and last < first:
        return None
    if first >= seen.n_bytes:
        raise errors.beyond_end(asked["range"], seen.n_bytes)
    return first, seen.n_bytes if last is None else min(last + 1, seen.n_bytes)


class _Stored(StreamingResponse):
    """Bytes on their way from the store, which is closed however that ends."""

    def __init__(
        self, found: Found, status: int, headers: dict[str, str], readers: CapacityLimiter
    ) -> None:
        super().__init__(self._read(), status, headers)
        self._found, self._readers = found, readers

    async def _read(self) -> AsyncIterator[bytes]:
        while chunk := await to_thread.run_sync(
            next, self._found.chunks, b"", limiter=self._readers
        ):
            yield chunk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them; what cannot be read to its end is cut off."""
        try:
            await super().__call__(scope, receive, send)
        except StoreError as error:
            # Not raised, it is one line; and an answer that is not completed is cut by uvicorn.
            log.error("request %s was cut off: %s", scope["state"]["request_id"], error.message)
        finally:
            self._found.close()
