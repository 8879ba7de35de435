"""What the tests of the Responses API and of chats share."""

from __future__ import annotations

import base64
from typing import Any

import httpx2

from tests.server.helpers import HISTORY, Server, picture_file

RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"
TOOL: dict[str, Any] = {"type": "image_generation", "size": "256x256"}
RED = (
    "data:image/png;base64," + base64.b64encode(picture_file(64, colour=(200, 0, 0, 255))).decode()
)


def ask(server: Server, input: Any = "a red apple", **values: Any) -> httpx2.Response:
    """Ask for a small picture, unless `values` says otherwise."""
    body = {"model": "gpt-5", "input": input, "tools": [TOOL]} | values
    return server.http.post(RESPONSES, json=body)


def answered(server: Server, input: Any = "a red apple", **values: Any) -> dict[str, Any]:
    """The body of an answer."""
    response = ask(server, input, **values)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def drawn(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The items of an answer that drew."""
    return [item for item in body["output"] if item["type"] == "image_generation_call"]


def call_of(body: dict[str, Any]) -> dict[str, Any]:
    """The only item that drew."""
    [call] = drawn(body)
    return call


def last_row(server: Server) -> dict[str, Any]:
    """What was drawn last, by the history."""
    [row] = server.http.get(HISTORY, params={"limit": 1}).json()["data"]
    return dict(row)
