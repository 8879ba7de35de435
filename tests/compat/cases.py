"""What each case is in words, and what a client has to have seen in it."""

from __future__ import annotations

import base64
import io
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

Outcome = Mapping[str, Any]  # what a client says that it saw
Fetch = Callable[[str], bytes]


class Expected(Protocol):
    """What an outcome has to be."""

    def fault(self, outcome: Outcome, fetch: Fetch) -> str:
        """What is wrong with it; empty if nothing is."""
        ...


@dataclass(frozen=True)
class Drawn:
    """`n` square pictures of a format, each in a file of its own, fetched or unpacked."""

    n: int = 1
    side: int = 256
    by: str = "url"
    format: str = "PNG"
    events: Sequence[str] = ()  # of a stream, in order

    def fault(self, outcome: Outcome, fetch: Fetch) -> str:
        """See `Expected`."""
        if "pictures" not in outcome:
            return f"no pictures but {_shown(outcome)}"
        if list(outcome.get("events", ())) != list(self.events):
            return f"the events {outcome.get('events')}"
        found = [self._look(picture, fetch) for picture in outcome["pictures"]]
        expected = (self.by, self.format, (self.side, self.side))
        if [look[:3] for look in found] != [expected] * self.n:
            return f"{[look[:3] for look in found]} and not {self.n} × {expected}"
        return "" if len({look[3] for look in found}) == self.n else "the same file again"

    def _look(self, picture: Mapping[str, str], fetch: Fetch) -> tuple[str, str, Any, bytes]:
        # One of the two names is there, and the other is not, not even with nothing behind it.
        [(by, value)] = ((name, picture[name]) for name in ("url", "b64_json") if name in picture)
        data = fetch(value) if by == "url" else base64.b64decode(value, validate=True)
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            # Not the pixels: at 256 px two seeds may draw a plain thing alike.
            return by, str(image.format), image.size, data


@dataclass(frozen=True)
class Document:
    """One SVG document of paths, unpacked."""

    side: int

    def fault(self, outcome: Outcome, fetch: Fetch) -> str:
        """See `Expected`."""
        if "pictures" not in outcome:
            return f"no document but {_shown(outcome)}"
        [picture] = outcome["pictures"]
        root = ET.fromstring(base64.b64decode(picture["b64_json"], validate=True))
        n_paths = len(root.findall("{http://www.w3.org/2000/svg}path"))
        found = root.get("width"), root.get("height")
        is_right = found == (str(self.side), str(self.side)) and n_paths > 0
        return "" if is_right else f"{root.tag} of {found} with {n_paths} paths"


@dataclass(frozen=True)
class Refused:
    """An error with the code and the words of the API, in a class of the client's own."""

    code: str
    words: str = ""

    def fault(self, outcome: Outcome, fetch: Fetch) -> str:
        """See `Expected`. Clients that hide the code have to show the words."""
        if "refused" not in outcome:
            return f"no refusal but {_shown(outcome)}"
        is_told = outcome.get("code") == self.code or self.code in outcome["message"]
        if is_told or (self.words and self.words in outcome["message"]):
            return ""
        return f"neither {self.code!r} nor {self.words!r} in {_shown(outcome)}"


@dataclass(frozen=True)
class Listed:
    """A list of models that has these."""

    names: frozenset[str]

    def fault(self, outcome: Outcome, fetch: Fetch) -> str:
        """See `Expected`."""
        missing = self.names - set(outcome.get("models", ()))
        return f"no {sorted(missing)} in {_shown(outcome)}" if missing else ""


@dataclass(frozen=True)
class Values:
    """These values."""

    values: Mapping[str, Any]

    def fault(self, outcome: Outcome, fetch: Fetch) -> str:
        """See `Expected`."""
        return "" if outcome.get("values") == self.values else _shown(outcome)


@dataclass(frozen=True)
class Case:
    """Something that people do with the API."""

    words: str
    expected: Expected = field(default_factory=Drawn)


def _stream(kind: str) -> Drawn:
    events = [f"{kind}.partial_image"] * 2 + [f"{kind}.completed"]
    return Drawn(3, 1024, "b64_json", "WEBP", events)


_TWO = Drawn(2)
_BYTES = Drawn(1, by="b64_json")
_GPT = Drawn(1, 1024, "b64_json", "WEBP")
_HEADERS = {
    "x-limner-seed": "7",
    "x-request-id": True,
    "openai-version": "2020-10-01",
    "content-length": True,
    "pictures": 1,
}

_FOLLOWED = Values({"kind": "edit", "prompt": "a red apple, make it blue"})
_HAT = Values({"kind": "edit", "prompt": "a hat"})

CASES: dict[str, Case] = {
    "tutorial": Case("the function of the tutorials, two pictures", _TWO),
    "generate": Case("two pictures by address", _TWO),
    "bytes": Case("a picture as base64", _BYTES),
    "two-bytes": Case("two pictures as base64", Drawn(2, by="b64_json")),
    "compatible": Case("the provider for servers like OpenAI's", Drawn(2, by="b64_json")),
    "gpt": Case("a WebP of `gpt-image-1`", _GPT),
    "gpt-plain": Case("`gpt-image-1`, the rest left to the server", Drawn(1, 1024, "b64_json")),
    "empty-model": Case("an empty `model`, 512x512", Drawn(1, 512, "b64_json")),
    "gpt-512": Case("`gpt-image-1` at 512x512", Drawn(1, 512, "b64_json")),
    "svg": Case("an SVG document", Document(512)),
    "gif": Case("a GIF of three frames", Drawn(1, 512, "b64_json", "GIF")),
    "dalle3": Case("`dall-e-3`, by address", Drawn(1, 1024)),
    "stream": Case("a stream with two previews", _stream("image_generation")),
    "async": Case("two requests at a time, asynchronously", _TWO),
    "async-stream": Case("an asynchronous stream", _stream("image_generation")),
    "strict": Case("answers compared with the client's types", Drawn()),
    "strict-gpt": Case("`gpt-image-1`, compared with the client's types", _GPT),
    "strict-stream": Case(
        "a stream, compared with the client's types", _stream("image_generation")
    ),
    "slash": Case("base address with a slash at its end"),
    "bare": Case("base address without `/v1`"),
    "module": Case("the client in the module (`/v1images/…`)"),
    "timeout": Case("`request_timeout`, which it sends to the server"),
    "raw": Case("headers of the raw answer", Values(_HEADERS)),
    "attributes": Case(
        "answers as dicts and as objects", Values({"is_same": True, "response_ms": True})
    ),
    "models": Case(
        "the list of models", Listed(frozenset({"dall-e-2", "dall-e-3", "gpt-image-1"}))
    ),
    "cli": Case("the command line", _TWO),
    "wrong-n": Case("`n` of 11 refused", Refused("integer_above_max_value", "<= 10, but got 11")),
    "wrong-size": Case("a wrong size refused", Refused("invalid_value", "'300x300' is not one of")),
    "blocked": Case(
        "a prompt refused", Refused("content_policy_violation", "result of our safety system")
    ),
    "gpt-blocked": Case("a prompt refused by `gpt-image-1`", Refused("moderation_blocked")),
    "unknown-model": Case("an unknown model", Refused("model_not_found", "does not exist")),
    "edit": Case("an edit"),
    "edit-mask": Case("an edit with a mask"),
    "edit-markup": Case("an edit with a markup", Drawn(1, 1024, "b64_json")),
    "edit-one": Case("an edit of one file in `image`", Drawn(1, 1024, "b64_json")),
    "edit-list": Case("an edit of files in `image[]`", Drawn(1, 1024, "b64_json")),
    "gpt-edit": Case("an edit by `gpt-image-1`", _GPT),
    "edit-stream": Case("an edit as a stream", _stream("image_edit")),
    "variation": Case("two variations", _TWO),
    "async-variation": Case("a variation, asynchronously"),
}


CASES |= {
    "respond": Case("Responses: a WebP by `image_generation`", _GPT),
    "respond-forced": Case("Responses: `tool_choice` names the tool", _GPT),
    "respond-stream": Case(
        "Responses: a stream with two previews",
        Drawn(
            3,
            1024,
            "b64_json",
            "WEBP",
            [
                *["response.image_generation_call.partial_image"] * 2,
                "response.output_item.done",
            ],
        ),
    ),
    "respond-streamed": Case("Responses: a stream, put together by the client", _GPT),
    "respond-results": Case(
        "Responses: a stream of three tool results",
        Drawn(3, 1024, "b64_json", "WEBP", ["tool-result"] * 3),
    ),
    "respond-follow": Case("Responses: an edit by `previous_response_id`", _FOLLOWED),
    "respond-item": Case("Responses: an edit by the item of the picture", _FOLLOWED),
    "respond-reference": Case("Responses: an edit by `item_reference`", _FOLLOWED),
    "respond-attached": Case("Responses: an edit of a `data:` URL", _HAT),
    "respond-file": Case("Responses: an edit of an upload by `file_id`", _HAT),
    "respond-kept": Case("Responses: an answer fetched again and deleted", _GPT),
    "respond-blocked": Case(
        "Responses: a prompt refused", Refused("moderation_blocked", "safety system")
    ),
    "respond-no-tool": Case("Responses: no `image_generation`", Refused("invalid_value")),
}

_TOOLS = [
    "edit_image",
    "generate_image",
    "get_picture",
    "list_pictures",
    "look_at_image",
    "vary_image",
]

CASES |= {
    "mcp-list": Case("MCP: the list of tools", Values({"tools": _TOOLS})),
    "mcp-draw": Case("MCP: two pictures, by path or address", Drawn(2, by="b64_json")),
    "mcp-edit": Case("MCP: an edit of the last picture in a box", _HAT),
    "mcp-small": Case("MCP: a small picture in the answer", Drawn(1, 512, "b64_json", "WEBP")),
    "mcp-full": Case("MCP: a whole picture in the answer", Drawn(1, 1024, "b64_json")),
    "mcp-progress": Case(
        "MCP: progress with words", Values({"is_rising": True, "has_words": True})
    ),
    "mcp-cancel": Case(
        "MCP: a client that gives up stops the drawing", Values({"status": "cancelled"})
    ),
    "mcp-blocked": Case("MCP: a prompt refused", Refused("safety system")),
    "txt2img": Case("`/sdapi/v1`: a picture", Drawn(1, 512, "b64_json")),
    "txt2img-two": Case("`/sdapi/v1`: two pictures", Drawn(2, 512, "b64_json")),
    "txt2img-blocked": Case("`/sdapi/v1`: a prompt refused", Refused("safety system")),
    "sdapi-model": Case("`/sdapi/v1`: a model is set", Values({"is_set": True})),
    "sdapi-menus": Case("`/sdapi/v1`: what fills the menus", Values({"are_filled": True})),
}


def fault(name: str, outcome: Outcome, fetch: Fetch) -> str:
    """What is wrong with what a client saw in the case `name`; empty if nothing is."""
    return CASES[name].expected.fault(_understood(outcome), fetch)


def _understood(outcome: Outcome) -> Outcome:
    """An outcome in which bodies of the API stand as they came, in the words of the others."""
    if "answers" in outcome:  # the data of events
        events = outcome["answers"]
        return {
            "pictures": [{"b64_json": event["b64_json"]} for event in events],
            "events": [event["type"] for event in events],
        }
    if "answer" not in outcome:
        return outcome
    body = outcome["answer"]
    if "error" in body:
        return {"refused": "error", **body["error"]}
    if body.get("object") == "list":
        return {"models": [model["id"] for model in body["data"]]}
    return {"pictures": body["data"]}


def _shown(outcome: Outcome) -> str:
    text = str(dict(outcome))
    return text if len(text) < 500 else f"{text[:500]}…"
