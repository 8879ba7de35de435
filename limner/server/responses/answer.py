"""The bodies of the Responses API, and the events of its stream in the order that clients expect.

A `Plan` has what is known before drawing. It is stored, so that the answer can be rebuilt from it
and from the history.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from limner.server.openai.answers import Drawn, dump
from limner.server.openai.errors import ApiError
from limner.server.responses import ids

Json = dict[str, Any]
# The error codes that appear in the answer; all others become "server_error".
_CODES = {"moderation_blocked": "image_content_policy_violation"}
_PASSED_ON = frozenset(["rate_limit_exceeded", "invalid_image_format", "image_too_large"])


@dataclass(frozen=True)
class Plan:
    """The parts of an answer that are known before drawing. Plain JSON values."""

    request_id: str
    created_at: int  # Unix time
    echo: Json  # repeated from the request: model, tools, …
    item: Json  # of the call: action, prompt, size, …
    message: str
    usage: Json  # empty for an engine that does not count
    is_stored: bool

    @property
    def id(self) -> str:
        """The id of the response."""
        return ids.of_request(ids.RESPONSE, self.request_id)

    @property
    def call_id(self) -> str:
        """The id of the image_generation call."""
        return ids.of_request(ids.CALL, self.request_id)

    def stored(self) -> Json:
        """As JSON for storage."""
        return asdict(self)

    def response(self, status: str, output: list[Json], error: Json | None = None) -> Json:
        """The response object."""
        is_done = status == "completed"
        usage = self.usage
        body: Json = {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "background": False,
            "error": error,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": None,
            "metadata": {},
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": self.is_stored,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": _usage(usage) if is_done else None,
        }
        if is_done and usage:
            body["tool_usage"] = {"image_gen": usage, "web_search": {"num_requests": 0}}
        return body | self.echo

    def call(self, status: str, picture: Drawn | None = None) -> Json:
        """The output item of the call, with its picture."""
        item: Json = {"id": self.call_id, "type": "image_generation_call", "status": status}
        if picture is None:
            return item | {"result": None}
        background = "transparent" if picture.is_transparent else "opaque"
        return item | self.item | {"background": background, "result": _base64(picture.data)}

    def said(self, status: str, content: list[Json]) -> Json:
        """The output item of the message that describes the picture."""
        return {
            "id": ids.of_request(ids.MESSAGE, self.request_id),
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def text(self, text: str) -> Json:
        """A text part of the message."""
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def completed(self, picture: Drawn) -> Json:
        """The response with its picture."""
        output = [
            self.call("completed", picture),
            self.said("completed", [self.text(self.message)]),
        ]
        return self.response("completed", output)


def from_stored(body: Mapping[str, Any]) -> Plan:
    """Load a stored plan."""
    return Plan(**body)


def failure(error: ApiError) -> Json:
    """The `error` of a failed response, with a code of the API."""
    code = error.code or "server_error"
    known = code if code in _PASSED_ON else "server_error"
    return {"code": _CODES.get(code, known), "message": error.message}


class Stream:
    """Makes the events of one response. Not thread-safe."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._n = 0

    def begin(self) -> bytes:
        """The events of a new response whose call starts."""
        plan = self._plan
        started = plan.response("in_progress", [])
        return b"".join(
            [
                self._event("response.created", response=started),
                self._event("response.in_progress", response=started),
                self._event(
                    "response.output_item.added", output_index=0, item=plan.call("in_progress")
                ),
                self._call("in_progress"),
                self._call("generating"),
            ]
        )

    def partial(self, picture: Drawn, index: int) -> bytes:
        """The event of preview `index`."""
        item = self._plan.item
        return self._call(
            "partial_image",
            partial_image_index=index,
            partial_image_b64=_base64(picture.data),
            background="transparent" if picture.is_transparent else "opaque",
            **{name: item[name] for name in ("size", "quality", "output_format")},
        )

    def completed(self, picture: Drawn) -> bytes:
        """The events of the picture, the message, and the whole response."""
        plan = self._plan
        call = plan.call("completed", picture)
        empty, whole = plan.text(""), plan.text(plan.message)
        at = {"item_id": ids.of_request(ids.MESSAGE, plan.request_id), "output_index": 1}
        part = at | {"content_index": 0}
        events = [
            self._call("completed"),
            self._event("response.output_item.done", output_index=0, item=call),
            self._event(
                "response.output_item.added", output_index=1, item=plan.said("in_progress", [])
            ),
            self._event("response.content_part.added", **part, part=empty),
            self._event("response.output_text.delta", **part, delta=plan.message, logprobs=[]),
            self._event("response.output_text.done", **part, text=plan.message, logprobs=[]),
            self._event("response.content_part.done", **part, part=whole),
            self._event(
                "response.output_item.done", output_index=1, item=plan.said("completed", [whole])
            ),
            self._event("response.completed", response=plan.completed(picture)),
        ]
        return b"".join(events)

    def failed(self, error: ApiError) -> bytes:
        """The event of a failed response."""
        plan = self._plan
        said = plan.response("failed", [plan.call("failed")], failure(error))
        return self._event("response.failed", response=said)

    def _call(self, what: str, **values: Any) -> bytes:
        name = f"response.image_generation_call.{what}"
        return self._event(name, item_id=self._plan.call_id, output_index=0, **values)

    def _event(self, name: str, **values: Any) -> bytes:
        body = {"type": name, "sequence_number": self._n} | values
        self._n += 1
        return b"event: %s\ndata: %s\n\n" % (name.encode(), dump(body))


def _usage(images: Json) -> Json:
    """Tokens of the whole response: those of the picture only, as there is no language model."""
    n_input, n_output = images.get("input_tokens", 0), images.get("output_tokens", 0)
    return {
        "input_tokens": n_input,
        "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
        "output_tokens": n_output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": n_input + n_output,
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
