"""/v1/images/files/…: stored pictures, whole or by range; their address is the credential."""

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
from limner.service.pictures.links import MEDIA_TYPES
from limner.storage.blobs.store import Found, Part, Seen

log = logging.getLogger("limner.server")

# A single range; other Range headers are ignored, as HTTP allows.
_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?", re.ASCII | re.I)
# A picture with markup opened on its own may load and run nothing.
_DOCUMENT_POLICY = "default-src 'none'; sandbox"
_static = StaticFiles()  # no folder; used only for its check of "not modified"


async def picture(request: Request, name: str) -> Response:
    """Send a picture or a range of it, or 304 if the client has it."""
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
    if coming is None:  # deleted just now
        raise errors.not_found(request.method, request.url.path)
    return _Stored(coming, 206 if part else 200, headers, serving.readers)


def _part(asked: Headers, told: dict[str, str], seen: Seen) -> Part | None:
    """The range requested; None for the whole file. Raises ApiError (416) for an empty range."""
    match = _RANGE.fullmatch(asked.get("range", ""))
    is_same = asked.get("if-range") in (None, told["etag"], told["last-modified"])
    if not match or not is_same or match.groups() == (None, None):
        return None
    first, last = (None if text is None else int(text) for text in match.groups())
    if first is None:
        first, last = max(0, seen.n_bytes - (last or 0)), None  # a suffix range
    if last is not None and last < first:
        return None
    if first >= seen.n_bytes:
        raise errors.beyond_end(asked["range"], seen.n_bytes)
    return first, seen.n_bytes if last is None else min(last + 1, seen.n_bytes)


class _Stored(StreamingResponse):
    """Sends bytes from the store, and always closes the stored file."""

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
        """Send the bytes; cut the answer off if reading fails."""
        try:
            await super().__call__(scope, receive, send)
        except StoreError as error:
            # Logged as one line, not raised; uvicorn cuts off an incomplete answer.
            log.error("request %s was cut off: %s", scope["state"]["request_id"], error.message)
        finally:
            self._found.close()
