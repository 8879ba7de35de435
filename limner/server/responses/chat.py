"""Chat Completions with pictures, converted to a request of the Responses API.

There is no standard for the answer. Gateways and chat programs share this form: `message.images`
with `data:` URLs, and a `content` that is always a string.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from limner.server.openai import fields as f
from limner.server.openai.answers import Drawn, Json, dump
from limner.server.openai.errors import ApiError
from limner.server.responses import tools
from limner.server.responses.answer import Plan
from limner.server.responses.body import Text, joined, texts_of

_MODALITIES = ("text", "image")
_MEANT = frozenset(["model", "messages", "modalities", "stream", "stream_options", "image_config"])
DONE = b"data: [DONE]\n\n"


def as_response(values: Mapping[str, Any], text_of: Text) -> tuple[Json, list[str]]:
    """The equivalent Responses request, and the names in `values` that are not used."""
    messages = values.get("messages")
    if messages is None:
        raise f.missing("messages")
    if not isinstance(messages, list):
        raise f.wrong_type("messages", "an array", messages)
    _check_modalities(values.get("modalities"))
    tool: Json = {"type": tools.NAME}
    config = values.get("image_config")
    if isinstance(config, Mapping) and config.get("aspect_ratio"):
        tool["aspect_ratio"] = config["aspect_ratio"]
    unused = sorted(str(name) for name in values if name not in _MEANT and values[name] is not None)
    body = {
        "model": values.get("model"),
        "input": [*_items(messages, text_of)],
        "tools": [tool],
        "stream": values.get("stream"),
        "store": False,
    }
    return body, unused


@contextmanager
def naming() -> Iterator[None]:
    """Rename parameters in errors to their names in a chat request."""
    try:
        yield
    except ApiError as error:
        before = error.param or ""
        name = before.replace("input", "messages", 1).replace("tools[0].", "image_config.", 1)
        raise ApiError(
            error.message.replace(f"'{before}'", f"'{name}'") if before else error.message,
            status=error.status,
            type=error.type,
            param=name or None,
            code=error.code,
            headers=error.headers,
            details=error.details,
        ) from error


def _check_modalities(value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, list):
        raise f.wrong_type("modalities", "an array", value)
    for one in value:
        if one not in _MODALITIES:
            raise f.wrong_choice("modalities", str(one), _MODALITIES)


def _items(messages: list[Any], text_of: Text) -> Iterator[Any]:
    """Convert each message to one item, so that indices match."""
    prompt = ""
    was_drawn = False
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            yield message  # refused when items are parsed
            continue
        drawn = _last_picture(message.get("images"))
        if message.get("role") == "assistant" and drawn:
            was_drawn = True
            yield {"type": "image_generation_call", "result": drawn, "revised_prompt": prompt}
            continue
        if message.get("role") in ("tool", "function"):
            yield {"role": "assistant", "content": ""}
            continue
        item = _as_message(message)
        if message.get("role") == "user":
            text = " ".join(texts_of(item["content"], text_of, f"messages[{index}].content"))
            prompt = joined(prompt, text) if was_drawn else text
        yield item


def _as_message(message: Mapping[str, Any]) -> Json:
    content = message.get("content")
    if isinstance(content, list):
        content = [_as_part(part) for part in content]
    return {"role": message.get("role"), "content": content}


def _as_part(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    if part.get("type") == "image_url":
        return {"type": "input_image", "image_url": part.get("image_url")}
    return part


def _last_picture(value: Any) -> str | None:
    """The last picture in an assistant message that the client sends back."""
    pictures = value if isinstance(value, list) else []
    for picture in reversed(pictures):
        held = picture.get("image_url") if isinstance(picture, Mapping) else None
        url = held.get("url") if isinstance(held, Mapping) else held
        if isinstance(url, str) and url:
            return url
    return None


@dataclass(frozen=True)
class About:
    """What all parts of one answer have in common."""

    request_id: str
    created_at: int  # Unix time
    model: str

    def whole(self, content: str, images: list[Json], usage: Mapping[str, Any]) -> Json:
        """The body of an answer; `usage` is that of the pictures."""
        message: Json = {"role": "assistant", "refusal": None, "annotations": []}
        message["content"] = content
        message |= {"images": images} if images else {}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return self._object("chat.completion", [choice]) | {"usage": _usage(usage)}

    def chunk(self, delta: Json, reason: str | None = None) -> bytes:
        """An event of a stream."""
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return _event(self._object("chat.completion.chunk", [choice]))

    def end(self, usage: Mapping[str, Any] | None) -> bytes:
        """The last events; with the usage, unless it is None."""
        end = self.chunk({}, "stop")
        if usage is not None:
            end += _event(self._object("chat.completion.chunk", []) | {"usage": _usage(usage)})
        return end + DONE

    def _object(self, kind: str, choices: list[Json]) -> Json:
        return {
            "id": "chatcmpl-" + self.request_id.removeprefix("req_"),
            "object": kind,
            "created": self.created_at,
            "model": self.model,
            "choices": choices,
        }


def image(picture: Drawn, format: str, index: int) -> Json:
    """A picture in `images`."""
    data = base64.b64encode(picture.data).decode("ascii")
    url = f"data:image/{format};base64,{data}"
    return {"type": "image_url", "image_url": {"url": url}, "index": index}


def failed(error: ApiError) -> bytes:
    """The events of a stream that fails."""
    return _event(error.body) + DONE


class Completion:
    """Makes the answer to a chat that is drawn by rule, whole or as stream events."""

    def __init__(self, plan: Plan, *, with_usage: bool) -> None:
        """`with_usage`: whether a stream ends with the usage."""
        self._plan = plan
        self._about = About(plan.request_id, plan.created_at, plan.echo["model"])
        self._with_usage = with_usage

    def whole(self, picture: Drawn) -> Json:
        """The body of an answer."""
        return self._about.whole(self._plan.message, self._images(picture), self._plan.usage)

    def begin(self) -> bytes:
        """The first event, with the role."""
        return self._about.chunk({"role": "assistant", "content": ""})

    def partial(self, picture: Drawn, index: int) -> bytes:
        """Nothing: chats have no previews."""
        return b""

    def completed(self, picture: Drawn) -> bytes:
        """The events of the text, the picture, and the end."""
        said = {"content": self._plan.message, "images": self._images(picture)}
        usage = self._plan.usage if self._with_usage else None
        return self._about.chunk(said) + self._about.end(usage)

    def failed(self, error: ApiError) -> bytes:
        """The events of the error and the end."""
        return failed(error)

    def _images(self, picture: Drawn) -> list[Json]:
        return [image(picture, self._plan.item["output_format"], 0)]


def _usage(images: Mapping[str, Any]) -> Json:
    n_input, n_output = images.get("input_tokens", 0), images.get("output_tokens", 0)
    return {
        "prompt_tokens": n_input,
        "completion_tokens": n_output,
        "total_tokens": n_input + n_output,
    }


def _event(body: Json) -> bytes:
    return b"data: %s\n\n" % dump(body)
