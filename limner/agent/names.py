"""How the tools name pictures: "req_…", or "req_…/1" for the second one of a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from limner.agent.api import FILES

ID = re.compile(r"(req_[0-9a-zA-Z]{1,64})(?:/(\d{1,2}))?")


@dataclass(frozen=True)
class Kept:
    """A picture of the history."""

    id: str  # of its request
    index: int
    prompt: str
    url: str

    @property
    def about(self) -> dict[str, Any]:
        """Its name and its prompt, for an answer."""
        return {"picture": name(self.id, self.index), "prompt": self.prompt}


def name(id: str, index: int) -> str:
    """The name of a picture: the id of its request; of those after the first also its index."""
    return f"{id}/{index}" if index else id


def listed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the history, as the tools list it."""
    return {
        "id": row["id"],
        "prompt": row["prompt"],
        "kind": row["kind"],
        "status": row["status"],
        "created_at": row["created_at"],
        "pictures": [
            {
                "picture": name(row["id"], one["index"]),
                "seed": one["seed"],
                "size": one["size"],
            }
            for one in row["pictures"]
        ],
    }


def local(url: str) -> str:
    """The path and query of an address; its host is never contacted."""
    parts = urlsplit(url)
    path = FILES + parts.path.partition(FILES)[2]
    return f"{path}?{parts.query}"
