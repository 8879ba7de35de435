"""The chat server of LIMNER_PLANNER_URL: one request of Chat Completions, within bounds.

Its key is sent to it alone: no redirect is followed, and no message or log line contains it.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from anyio import CapacityLimiter, to_thread

from limner.engines.upstream import exchange
from limner.engines.upstream.exchange import Limits, NotConnected, Stopped, TooSlow
from limner.errors import UpstreamError
from limner.server.openai.answers import Json
from limner.service.errors import PlannerFailed
from limner.settings import Settings

log = logging.getLogger("limner.server")

MAX_ANSWER_BYTES = 1_000_000
MAX_CALLS = 10  # of tools in one answer
MAX_TEXT_CHARS = 32_000  # of a text, and of the arguments of a tool
_AT_ONCE = 16
_MAX_LOGGED_CHARS = 300


@dataclass(frozen=True)
class ToolCall:
    """A tool that the chat planner calls."""

    id: str
    name: str
    arguments: str  # JSON, as the chat planner wrote it


@dataclass(frozen=True)
class Reply:
    """An answer of the chat planner: a text, calls of tools, or both."""

    text: str
    calls: tuple[ToolCall, ...]

    @property
    def message(self) -> Json:
        """As a message of the conversation that goes on."""
        called = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in self.calls
        ]
        message: Json = {"role": "assistant", "content": self.text or None}
        return message | ({"tool_calls": called} if called else {})


class ChatServer:
    """A server that answers POST {url}/chat/completions."""

    def __init__(self, url: str, model: str, key: str, limit_s: float) -> None:
        """`model`: asked for instead of the one of a request; empty: that one."""
        self._url, self._model, self._key, self._limit_s = url, model, key, limit_s
        self._threads = CapacityLimiter(_AT_ONCE)

    @classmethod
    def of(cls, settings: Settings) -> ChatServer | None:
        """The chat planner of the settings; None if they name none."""
        if not settings.planner_url:
            return None
        return cls(
            settings.planner_url, settings.planner_model, settings.planner_key, settings.planner_s
        )

    async def ask(
        self, model: str, messages: Sequence[Json], tools: Sequence[Json], *, may_call: bool
    ) -> Reply:
        """The next answer in a conversation, in which `tools` may be called or must not.

        Raises PlannerFailed; ends soon if cancelled.
        """
        body: Json = {"model": self._model or model, "messages": messages, "stream": False}
        body |= {"tools": tools, "tool_choice": "auto" if may_call else "none"}
        sent, is_stopped = json.dumps(body).encode(), threading.Event()
        work = partial(self._answer, sent, is_stopped)
        try:
            answer = await to_thread.run_sync(work, limiter=self._threads, abandon_on_cancel=True)
        finally:
            is_stopped.set()
        return _reply(answer)

    def _answer(self, body: bytes, is_stopped: threading.Event) -> bytes:
        """The bytes of an answer. Blocks."""
        headers = {"content-type": "application/json", "accept": "application/json"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        limits = Limits(5, self._limit_s, self._limit_s)
        url = f"{self._url}/chat/completions"
        try:
            with exchange.post(url, body, headers, limits, is_stopped.is_set) as response:
                answer = response.read(MAX_ANSWER_BYTES + 1)
                status = response.status
        except NotConnected as error:
            raise PlannerFailed(
                f"The chat planner at {self._host} cannot be reached: {error}"
            ) from None
        except TooSlow:
            raise PlannerFailed(
                f"The chat planner did not answer within {self._limit_s:g} s (LIMNER_PLANNER_S)"
            ) from None
        except UpstreamError:
            raise PlannerFailed(
                "The chat planner cut the connection off before its answer"
            ) from None
        except Stopped:
            raise PlannerFailed("Nobody waits for the chat planner any more") from None
        if status != 200:
            self._log_refusal(status, answer)
            raise PlannerFailed(
                f"The chat planner answered with status {status}; the log says more"
            )
        if len(answer) > MAX_ANSWER_BYTES:
            raise PlannerFailed(
                f"The chat planner's answer has more than {MAX_ANSWER_BYTES:,} bytes"
            )
        return answer

    @property
    def _host(self) -> str:
        return urlsplit(self._url).netloc

    def _log_refusal(self, status: int, answer: bytes) -> None:
        text = answer[: 4 * _MAX_LOGGED_CHARS].decode("utf-8", "replace")
        if self._key:
            text = text.replace(self._key, "***")
        said = " ".join(text.split())[:_MAX_LOGGED_CHARS]
        log.error("the chat planner at %s answered with status %d: %s", self._host, status, said)


def _reply(answer: bytes) -> Reply:
    """Parse the body of a chat completion. Raises PlannerFailed."""
    try:
        body = json.loads(answer)
    except (ValueError, RecursionError):
        raise PlannerFailed("The chat planner's answer is no JSON") from None
    try:
        message = body["choices"][0]["message"]
        text, called = message.get("content"), message.get("tool_calls") or []
        calls = tuple(_call(call) for call in called)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise PlannerFailed("The chat planner's answer is no chat completion") from None
    text = _text(text)
    if len(calls) > MAX_CALLS:
        raise PlannerFailed(
            f"The chat planner called {len(calls)} tools at once, more than {MAX_CALLS}"
        )
    if max(len(text), *(len(call.arguments) for call in calls), 0) > MAX_TEXT_CHARS:
        raise PlannerFailed(f"The chat planner wrote more than {MAX_TEXT_CHARS:,} characters")
    if not text and not calls:
        raise PlannerFailed("The chat planner's answer is empty")
    return Reply(text, calls)


def _call(call: Any) -> ToolCall:
    function = call["function"]
    arguments = function.get("arguments")
    if isinstance(arguments, Mapping):  # some servers parse them
        arguments = json.dumps(arguments)
    id, name = call.get("id") or "call", function["name"]
    if not all(isinstance(value, str) for value in (id, name, arguments or "")):
        raise TypeError
    return ToolCall(id, name, arguments or "{}")


def _text(content: Any) -> str:
    """A message's text: a string, or the texts of its parts."""
    if isinstance(content, str):
        return content.strip()
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return " ".join(text for text in texts if isinstance(text, str)).strip()
