"""The bodies of the Responses API, and the events of its stream in the order that clients expect.

A `Plan` has what is known before drawing. It is stored, so that the answer can be rebuilt from it
and from the history.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from limner.server.openai.answers import Drawn, Json, dump
from limner.server.openai.errors import ApiError
from limner.server.responses import ids

# The error codes that appear in the answer; all others become "server_error".
_CODES = {"moderation_blocked": "image_content_policy_violation"}
_CALL = "response.image_generation_call."
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
        about = {"id": self.id, "created_at": self.created_at, "store": self.is_stored}
        return response(about | self.echo, status, output, self.usage, error)

    def call(self, status: str, picture: Drawn | None = None) -> Json:
        """The output item of the call, with its picture."""
        return call(self.call_id, status, self.item, picture)

    @property
    def said(self) -> Json:
        """The output item of the message that describes the picture."""
        return message(ids.of_request(ids.MESSAGE, self.request_id), self.message)

    def completed(self, picture: Drawn) -> Json:
        """The response with its picture."""
        return self.response("completed", [self.call("completed", picture), self.said])


def from_stored(body: Mapping[str, Any]) -> Plan:
    """Load a stored plan."""
    return Plan(**body)


def response(
    about: Mapping[str, Any],
    status: str,
    output: list[Json],
    images: Json,
    error: Json | None = None,
) -> Json:
    """A response object; `about` has what differs by request, `images` the usage of pictures."""
    is_done = status == "completed"
    body: Json = {
        "id": "",
        "object": "response",
        "created_at": 0,
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
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": _usage(images) if is_done else None,
    }
    if is_done and images:
        body["tool_usage"] = {"image_gen": images, "web_search": {"num_requests": 0}}
    return {**body, **about}


def call(id: str, status: str, about: Json, picture: Drawn | None = None) -> Json:
    """The output item of an image_generation call, `about` it, with its picture if it has one."""
    item: Json = {"id": id, "type": "image_generation_call", "status": status}
    if picture is None:
        return item | {"result": None}
    return item | about | {"background": _background(picture), "result": _base64(picture.data)}


def message(id: str, text: str) -> Json:
    """The output item of a whole text."""
    return {
        "id": id,
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [_part(text)],
    }


def failure(error: ApiError) -> Json:
    """The `error` of a failed response, with a code of the API."""
    code = error.code or "server_error"
    known = code if code in _PASSED_ON else "server_error"
    return {"code": _CODES.get(code, known), "message": error.message}


class Stream:
    """Makes the events of one response. Not thread-safe."""

    def __init__(self) -> None:
        self._n = 0

    def created(self, response: Json) -> bytes:
        """The events of a new response."""
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def call_begins(self, index: int, item: Json) -> bytes:
        """The events of a call that begins to draw, output item `index`."""
        at = {"item_id": item["id"], "output_index": index}
        return b"".join(
            [
                self._event("response.output_item.added", output_index=index, item=item),
                self._event(_CALL + "in_progress", **at),
                self._event(_CALL + "generating", **at),
            ]
        )

    def preview(self, index: int, id: str, about: Json, picture: Drawn, n: int) -> bytes:
        """The event of preview `n` of call `id`."""
        return self._event(
            _CALL + "partial_image",
            item_id=id,
            output_index=index,
            partial_image_index=n,
            partial_image_b64=_base64(picture.data),
            background=_background(picture),
            **{name: about[name] for name in ("size", "quality", "output_format")},
        )

    def call_done(self, index: int, item: Json) -> bytes:
        """The events of a finished call."""
        done = self._event(_CALL + "completed", item_id=item["id"], output_index=index)
        return done + self._event("response.output_item.done", output_index=index, item=item)

    def said(self, index: int, message: Json) -> bytes:
        """The events of a text."""
        [whole] = message["content"]
        part = {"item_id": message["id"], "output_index": index, "content_index": 0}
        begun = message | {"status": "in_progress", "content": []}
        text = whole["text"]
        events = [
            self._event("response.output_item.added", output_index=index, item=begun),
            self._event("response.content_part.added", **part, part=_part("")),
            self._event("response.output_text.delta", **part, delta=text, logprobs=[]),
            self._event("response.output_text.done", **part, text=text, logprobs=[]),
            self._event("response.content_part.done", **part, part=whole),
            self._event("response.output_item.done", output_index=index, item=message),
        ]
        return b"".join(events)

    def ended(self, response: Json) -> bytes:
        """The last event of a response that is completed or failed."""
        return self._event(f"response.{response['status']}", response=response)

    def _event(self, name: str, **values: Any) -> bytes:
        body = {"type": name, "sequence_number": self._n} | values
        self._n += 1
        return b"event: %s\ndata: %s\n\n" % (name.encode(), dump(body))


class PlanEvents:
    """The stream of an answer that is drawn by rule: one picture, and a text."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._stream = plan, Stream()

    def begin(self) -> bytes:
        """The events of a new response whose call starts."""
        plan, stream = self._plan, self._stream
        begun = stream.created(plan.response("in_progress", []))
        return begun + stream.call_begins(0, plan.call("in_progress"))

    def partial(self, picture: Drawn, index: int) -> bytes:
        """The event of preview `index`."""
        plan = self._plan
        return self._stream.preview(0, plan.call_id, plan.item, picture, index)

    def completed(self, picture: Drawn) -> bytes:
        """The events of the picture, the message, and the whole response."""
        plan, stream = self._plan, self._stream
        done = stream.call_done(0, plan.call("completed", picture)) + stream.said(1, plan.said)
        return done + stream.ended(plan.completed(picture))

    def failed(self, error: ApiError) -> bytes:
        """The event of a failed response."""
        plan = self._plan
        return self._stream.ended(plan.response("failed", [plan.call("failed")], failure(error)))


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


def _part(text: str) -> Json:
    """A text part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _background(picture: Drawn) -> str:
    return "transparent" if picture.is_transparent else "opaque"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
