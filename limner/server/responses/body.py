"""Parsing the body of POST /v1/responses: what to draw, and which pictures it refers to.

Without a chat planner there is no language model: the text of the last user message is the prompt.
Parameters for a language model (instructions, reasoning, temperature, other tools) have no effect;
a notice names them. A chat planner is told the instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from limner.server.openai import fields as f
from limner.server.openai.errors import ApiError
from limner.server.openai.fields import Fields
from limner.server.responses import ids, tools
from limner.server.responses.tools import Tool
from limner.text import followups

MAX_PROMPT_CHARS = 32_000
_USED = frozenset(
    ["input", "model", "tools", "tool_choice", "stream", "store", "previous_response_id"]
)
# For a language model: without effect, with a notice.
_UNUSED = frozenset(
    [
        "include",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "reasoning",
        "stream_options",
        "temperature",
        "text",
        "top_logprobs",
        "top_p",
        "truncation",
    ]
)
# About the account and the call, not about the picture.
_ACCEPTED = frozenset(
    [
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "user",
    ]
)
_REFUSED = {
    "background": "Draw with 'stream': true instead, or without it and wait.",
    "conversation": "Use 'previous_response_id'.",
    "prompt": "Send the text in 'input'.",
}
_ECHOED = ("instructions", "metadata", "parallel_tool_calls", "temperature", "text", "top_p")
_ROLES = ("user", "assistant", "system", "developer")
_PASSED_OVER = frozenset(
    [
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "compaction",
        "computer_call",
        "computer_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "file_search_call",
        "function_call",
        "function_call_output",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "reasoning",
        "shell_call",
        "shell_call_output",
        "web_search_call",
    ]
)


@dataclass(frozen=True)
class Attached:
    """A picture in a message, and its name in the request."""

    value: Mapping[str, Any]  # has image_url or file_id
    name: str


@dataclass(frozen=True)
class Earlier:
    """A picture of an earlier answer, named by its id or sent whole."""

    name: str
    id: str | None = None
    result: str | None = None  # base64, or the token of a long string
    prompt: str | None = None  # as given in the request


@dataclass(frozen=True)
class Said:
    """A message of the conversation, for a chat planner."""

    role: str  # user, assistant or system
    text: str
    pictures: Sequence[Attached | Earlier] = ()


@dataclass(frozen=True)
class Body:
    """A request of the Responses API."""

    model: str
    prompt: str  # the text of the last user message
    attached: Sequence[Attached]  # to the last user message
    earlier: Attached | Earlier | None  # the latest other picture in the input
    tool: Tool
    previous: str | None  # id of an answer
    is_stream: bool
    is_stored: bool
    echo: Mapping[str, Any]  # repeated in the answer
    said: Sequence[Said] = ()  # the whole conversation of the request, for a chat planner
    notices: tuple[str, ...] = ()


Text = Callable[[Any, str], Any]  # (value, name) → value, long strings read


def read(
    values: Mapping[str, Any], text_of: Text, *, is_lenient: bool, has_planner: bool = False
) -> Body:
    """Parse a request. Raises ApiError.

    `text_of` returns the text of a value that may be the token of a long string.
    """
    fields = Fields(values, is_lenient=is_lenient)
    for name, way_out in _REFUSED.items():
        if fields.given(name) and values[name] is not False:
            raise f.wrong_value(name, f"'{name}' is not supported by this server. {way_out}")
    used = _USED | {"instructions"} if has_planner else _USED
    fields.check_known(used | _ACCEPTED | _REFUSED.keys(), _UNUSED - used)
    model = fields.text("model")
    if model is None:
        raise f.missing("model")
    is_stored = fields.flag("store")
    conversation = _Conversation(text_of)
    conversation.read(values.get("input"))
    tool = tools.read(fields)
    if has_planner and tool.is_forced and fields.given("instructions"):
        fields.notice("Not used: instructions")
    echo = {name: text_of(values[name], name) for name in _ECHOED if values.get(name) is not None}
    return Body(
        model,
        conversation.prompt(),
        conversation.attached,
        conversation.earlier(),
        tool,
        fields.text("previous_response_id"),
        fields.flag("stream") or False,
        True if is_stored is None else is_stored,
        echo | {"tools": values["tools"], "tool_choice": values.get("tool_choice") or "auto"},
        conversation.said,
        tuple(fields.notices),
    )


class _Conversation:
    """Parses the input, item by item."""

    def __init__(self, text_of: Text) -> None:
        self._text_of = text_of
        self._text: str | None = None  # of the last user message
        self.attached: list[Attached] = []  # to it
        self._older: list[Attached | Earlier] = []
        self.said: list[Said] = []

    def read(self, value: Any) -> None:
        """Parse `input`. Raises ApiError."""
        if value is None:
            raise f.missing("input")
        if isinstance(value, str):
            self._text = self._text_of(value, "input")
            self.said.append(Said("user", self._text or ""))
            return
        if not isinstance(value, list):
            raise f.wrong_type("input", "a string or an array", value)
        for index, item in enumerate(value):
            name = f"input[{index}]"
            if not isinstance(item, Mapping):
                raise f.wrong_type(name, "an object", item)
            self._read_item(item, name)

    def prompt(self) -> str:
        """The text of the last user message."""
        if self._text is None:
            raise f.wrong_value("input", "Invalid 'input': it has no message of the role 'user'.")
        if not self._text.strip():
            raise ApiError(
                "Invalid 'input': the last user message has no text, which is the prompt.",
                param="input",
                code="empty_string",
            )
        return self._text

    def earlier(self) -> Attached | Earlier | None:
        """The latest picture that is not in the last user message."""
        return self._older[-1] if self._older else None

    def _read_item(self, item: Mapping[str, Any], name: str) -> None:
        kind = item.get("type", "message")
        if kind == "message":
            self._read_message(item, name)
        elif kind == "image_generation_call":
            self._add_drawn(self._drawn(item, name))
        elif kind == "item_reference":
            id = item.get("id")
            if not isinstance(id, str):
                raise f.wrong_type(f"{name}.id", "a string", id)
            if id.startswith(ids.CALL):
                self._add_drawn(Earlier(name, id))
        elif kind not in _PASSED_OVER:
            raise f.wrong_value(
                f"{name}.type",
                f"Invalid value: '{f.shown(str(kind))}'. Items that are understood here are "
                "'message', 'image_generation_call' and 'item_reference'.",
            )

    def _read_message(self, item: Mapping[str, Any], name: str) -> None:
        role = item.get("role")
        if role not in _ROLES:
            raise f.wrong_choice(f"{name}.role", str(role), _ROLES)
        if role != "user":
            text = " ".join(texts_of(item.get("content"), self._text_of, f"{name}.content"))
            self.said.append(Said("assistant" if role == "assistant" else "system", text))
            return
        self._older += self.attached
        self._text, self.attached = "", []
        content = item.get("content")
        if isinstance(content, str):
            self._text = self._text_of(content, f"{name}.content")
        elif isinstance(content, list):
            texts = [*self._texts(content, f"{name}.content")]
            self._text = " ".join(text for text in texts if text)
        else:
            raise f.wrong_type(f"{name}.content", "a string or an array", content)
        self.said.append(Said("user", self._text, tuple(self.attached)))

    def _add_drawn(self, drawn: Earlier) -> None:
        self._older.append(drawn)
        self.said.append(Said("assistant", "", (drawn,)))

    def _texts(self, content: Sequence[Any], name: str) -> Iterator[str]:
        """Yield the texts of a message, and collect its pictures."""
        for index, part in enumerate(content):
            at = f"{name}[{index}]"
            if not isinstance(part, Mapping):
                raise f.wrong_type(at, "an object", part)
            kind = part.get("type")
            if kind in ("input_text", "text"):
                text = self._text_of(part.get("text"), f"{at}.text")
                if not isinstance(text, str):
                    raise f.wrong_type(f"{at}.text", "a string", text)
                yield text
            elif kind == "input_image":
                self.attached.append(Attached(part, at))
            else:
                raise f.wrong_value(
                    f"{at}.type",
                    f"Invalid value: '{f.shown(str(kind))}'. Supported values are: "
                    "'input_text' and 'input_image'.",
                )

    def _drawn(self, item: Mapping[str, Any], name: str) -> Earlier:
        for key in ("id", "result", "revised_prompt"):
            if not isinstance(item.get(key), str | None):
                raise f.wrong_type(f"{name}.{key}", "a string", item[key])
        if not item.get("id") and not item.get("result"):
            raise f.missing(f"{name}.id")
        prompt = self._text_of(item.get("revised_prompt"), f"{name}.revised_prompt")
        return Earlier(
            name, item.get("id") or None, item.get("result") or None, prompt or self._text
        )


def texts_of(content: Any, text_of: Text, name: str) -> Iterator[str]:
    """The texts of a message that is not drawn; what is no text is passed over."""
    parts = content if isinstance(content, list) else [{"text": content}]
    for part in parts:
        text = part.get("text") if isinstance(part, Mapping) else None
        if isinstance(text, str) and text:
            yield text_of(text, name)


def joined(earlier: str | None, prompt: str) -> str:
    """The prompt of a follow-up, such as "make it blue", joined to the earlier prompt."""
    whole = followups.joined(earlier, prompt)
    return whole if len(whole) <= MAX_PROMPT_CHARS else prompt


def with_own_model(body: Body, own: Mapping[str, str]) -> Body:
    """`body` with its model passed to the tool, if it is one of this server's own names."""
    if body.model not in own or "model" in body.tool.options:
        return body
    options = {**body.tool.options, "model": body.model}
    return replace(body, tool=replace(body.tool, options=options))
