"""Ids of the Responses API and of files, derived from the request id.

Request `req_0f…` made call `ig_0f…` in response `resp_0f…`, or upload `file-0f…`. So any server can
find the history row of an id.
"""

from __future__ import annotations

import re

RESPONSE, CALL, MESSAGE, FILE = "resp_", "ig_", "msg_", "file-"
_REQUEST = "req_"
_ID = re.compile(r"(resp_|ig_|msg_|file-)([0-9a-zA-Z]{1,64})", re.ASCII)


def of_request(prefix: str, request_id: str) -> str:
    """The id with `prefix` derived from `request_id`."""
    return prefix + request_id.removeprefix(_REQUEST)


def request_id(prefix: str, id: str) -> str | None:
    """The request id that `id` was derived from; None if `id` has another form."""
    match = _ID.fullmatch(id)
    return _REQUEST + match[2] if match and match[1] == prefix else None
