"""Ids of the Responses API and of files, each made from the id of the request that it came from.

`req_0f…` drew `ig_0f…`, which stands in `resp_0f…`; `file-0f…` is the upload of `req_0f…`. So an id
that comes back leads to a row of the history, whichever server gave it out.
"""

from __future__ import annotations

import re

RESPONSE, CALL, MESSAGE, FILE = "resp_", "ig_", "msg_", "file-"
_REQUEST = "req_"
_ID = re.compile(r"(resp_|ig_|msg_|file-)([0-9a-zA-Z]{1,64})", re.ASCII)


def of_request(prefix: str, request_id: str) -> str:
    """The id with `prefix` of what request `request_id` made."""
    return prefix + request_id.removeprefix(_REQUEST)


def request_id(prefix: str, id: str) -> str | None:
    """The request that made `id`; None if it is no id of this kind."""
    match = _ID.fullmatch(id)
    return _REQUEST + match[2] if match and match[1] == prefix else None
