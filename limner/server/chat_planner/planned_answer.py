"""The answer that a chat planner plans: its output items so far, and how it is kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fastapi import Request

from limner.server.http import scope
from limner.server.openai.answers import Drawn, Json
from limner.server.responses import answer, ids
from limner.server.responses.body import Body


@dataclass
class PlannedAnswer:
    """An answer with any number of texts and pictures. Plain JSON values."""

    request_id: str
    created_at: int  # Unix time
    echo: Json  # repeated from the request: model, tools, …
    is_stored: bool
    output: list[Json] = field(default_factory=list)  # whole messages, and calls without pictures
    usage: Json = field(default_factory=dict)  # of all pictures; empty if it is not counted
    messages: list[Json] = field(default_factory=list)  # the conversation, for the next answer

    @property
    def id(self) -> str:
        """The id of the response."""
        return ids.of_request(ids.RESPONSE, self.request_id)

    @property
    def calls(self) -> list[str]:
        """The request ids of its pictures, in order."""
        return [item["request_id"] for item in self.output if "request_id" in item]

    def next_request_id(self) -> str:
        """The id of the request that draws the next picture."""
        return f"{self.request_id}p{len(self.calls) + 1}"

    def say(self, text: str) -> Json:
        """Add a text; returns its output item."""
        id = ids.of_request(ids.MESSAGE, f"{self.request_id}m{len(self.output) + 1}")
        self.output.append(answer.message(id, text))
        return self.output[-1]

    def draw(self, request_id: str, about: Json, usage: Mapping[str, Any]) -> int:
        """Add a call; returns its place in the output."""
        self.output.append({"request_id": request_id, "about": about})
        self.usage = _sum(self.usage, usage)
        return len(self.output) - 1

    def item(self, place: int, status: str, picture: Drawn | None = None) -> Json:
        """An output item; `picture` is that of a call."""
        item = self.output[place]
        if "request_id" not in item:
            return item
        id = ids.of_request(ids.CALL, item["request_id"])
        return answer.call(id, status, item["about"], picture)

    def begun(self) -> Json:
        """The response object before anything is in it."""
        return answer.response(self._about, "in_progress", [], {})

    def response(
        self, status: str, pictures: Mapping[str, Drawn], error: Json | None = None
    ) -> Json:
        """The response object; `pictures` by their request ids."""
        output = []
        for place, item in enumerate(self.output):
            picture = pictures.get(item.get("request_id", ""))
            is_missing = "request_id" in item and picture is None
            how = "failed" if is_missing and status != "completed" else "completed"
            output.append(self.item(place, how, picture))
        return answer.response(self._about, status, output, self.usage, error)

    @property
    def _about(self) -> Json:
        about = {"id": self.id, "created_at": self.created_at, "store": self.is_stored}
        return about | self.echo

    def stored(self) -> Json:
        """As JSON for storage."""
        return asdict(self)


def begin(request: Request, body: Body) -> PlannedAnswer:
    """An empty answer to `request`."""
    return PlannedAnswer(
        scope.request_id(request),
        int(time.time()),
        {"model": body.model, "previous_response_id": body.previous, **body.echo},
        body.is_stored and scope.service(request).history is not None,
    )


def from_stored(body: Mapping[str, Any]) -> PlannedAnswer | None:
    """A stored answer of a chat planner; None for one that was drawn by rule."""
    return PlannedAnswer(**body) if "messages" in body else None


def _sum(a: Mapping[str, Any], b: Mapping[str, Any]) -> Json:
    """Two usages added, details included."""
    total = dict(a)
    for name, value in b.items():
        if isinstance(value, Mapping):
            total[name] = _sum(a.get(name, {}), value)
        else:
            total[name] = a.get(name, 0) + value
    return total
