"""Every protocol that draws, asked for one picture of 256x256, and what its client learns."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent

from tests.server.helpers import EDITS, GENERATIONS, picture_file
from tests.support.chat_server import Json, draws, says

SIZE = "256x256"
TOOL = {"type": "image_generation", "size": SIZE}


@dataclass(frozen=True)
class Outcome:
    """One picture, or a refusal in the protocol's own form."""

    is_drawn: bool
    status: int = 200  # of HTTP; MCP refuses within an answer
    words: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


Ask = Callable[[httpx2.AsyncClient, str], Awaitable[Outcome]]


@dataclass(frozen=True)
class Protocol:
    """A way to ask for a picture."""

    name: str
    ask: Ask
    is_planned: bool = False  # by the planner of the server
    is_slow: bool = False  # left to the slow suite: a form of another protocol in this list

    async def draw(self, url: str, prompt: str, key: str | None) -> Outcome:
        """Ask the server at `url` for one picture."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
            return await self.ask(http, prompt)


async def _images(http: httpx2.AsyncClient, prompt: str) -> Outcome:
    body = {"prompt": prompt, "size": SIZE, "response_format": "b64_json"}
    return _whole(await http.post(GENERATIONS, json=body))


async def _images_stream(http: httpx2.AsyncClient, prompt: str) -> Outcome:
    body = {"prompt": prompt, "size": SIZE, "stream": True}
    return _stream(await http.post(GENERATIONS, json=body))


async def _edit(http: httpx2.AsyncClient, prompt: str) -> Outcome:
    data = {"prompt": prompt, "size": SIZE, "response_format": "b64_json"}
    return _whole(await http.post(EDITS, data=data, files={"image": ("a.png", picture_file())}))


def _responses(**values: Any) -> Ask:
    async def ask(http: httpx2.AsyncClient, prompt: str) -> Outcome:
        body = {"model": "gpt-5", "input": prompt, "tools": [TOOL]} | values
        answer = await http.post("/v1/responses", json=body)
        return _stream(answer) if values.get("stream") else _whole(answer)

    return ask


def _chat(**values: Any) -> Ask:
    async def ask(http: httpx2.AsyncClient, prompt: str) -> Outcome:
        body = {"model": "gpt-5", "messages": [{"role": "user", "content": prompt}]} | values
        answer = await http.post("/v1/chat/completions", json=body)
        return _stream(answer) if values.get("stream") else _whole(answer)

    return ask


async def _txt2img(http: httpx2.AsyncClient, prompt: str) -> Outcome:
    body = {"prompt": prompt, "width": 256, "height": 256}
    return _whole(await http.post("/sdapi/v1/txt2img", json=body))


async def _mcp(http: httpx2.AsyncClient, prompt: str) -> Outcome:
    arguments = {"prompt": prompt, "size": SIZE, "inline": "none"}
    try:
        transport = streamable_http_client(str(http.base_url.join("/mcp")), http_client=http)
        async with Client(transport) as client:
            result = await client.call_tool("generate_image", arguments)
    except Exception as error:  # of a group, if the connection was refused
        return Outcome(is_drawn=False, words=repr(error))
    [text] = [one.text for one in result.content if isinstance(one, TextContent)]
    return Outcome(not result.is_error, words=text)


PROTOCOLS = (
    Protocol("images", _images),
    Protocol("images-stream", _images_stream, is_slow=True),
    Protocol("images-edit", _edit, is_slow=True),
    Protocol("responses", _responses()),
    Protocol("responses-stream", _responses(stream=True), is_slow=True),
    Protocol("chat", _chat()),
    Protocol("chat-stream", _chat(stream=True), is_slow=True),
    Protocol("sdapi", _txt2img),
    Protocol("mcp", _mcp),
    Protocol("planned", _responses(), is_planned=True),
    Protocol("planned-stream", _responses(stream=True), is_planned=True, is_slow=True),
    Protocol("planned-chat", _chat(), is_planned=True, is_slow=True),
    Protocol("planned-chat-stream", _chat(stream=True), is_planned=True, is_slow=True),
)


def plan(body: Json) -> Json:
    """A planner that draws what the user said, and then says a word."""
    last = body["messages"][-1]
    return says("Here it is.") if last["role"] == "tool" else draws(last["content"])


def _whole(answer: httpx2.Response) -> Outcome:
    body = answer.json()
    if answer.is_error:
        words = body["detail"] if "detail" in body else body["error"]["message"]
        return Outcome(False, answer.status_code, words, answer.headers)
    return Outcome(_has_picture(body), headers=answer.headers)


def _stream(answer: httpx2.Response) -> Outcome:
    if answer.is_error:
        return _whole(answer)
    events = [*_events(answer.text)]
    for event in events:
        error = event.get("error") or event.get("response", {}).get("error")
        if error:
            return Outcome(is_drawn=False, words=error["message"], headers=answer.headers)
    return Outcome(any(map(_has_picture, events)), headers=answer.headers)


def _events(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        with suppress(ValueError):  # of keep-alives and [DONE]
            yield json.loads(line.removeprefix("data: "))


def _has_picture(value: Any) -> bool:
    """Whether base64 of a picture is anywhere in a body."""
    if isinstance(value, dict):
        return any(map(_has_picture, value.values()))
    if isinstance(value, list):
        return any(map(_has_picture, value))
    return isinstance(value, str) and len(value) > 200 and "iVBORw0KGgo" in value[:40]
