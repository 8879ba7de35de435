"""The function tools of a chat planner: their descriptions, and what a call asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from limner.errors import InvalidRequest
from limner.server.chat_planner.chat_server import ToolCall
from limner.server.openai.answers import Json

Kind = Literal["generate_image", "edit_image", "look_at_image"]

_PICTURE = "The name of a picture in this conversation; by default the latest one."
_PROMPT = "What to draw: short, in English or Chinese; it names things, colours and numbers."
_PARAMETERS: dict[Kind, dict[str, str]] = {
    "generate_image": {"prompt": _PROMPT},
    "edit_image": {
        "prompt": "What is to be drawn there, in full: 'a green pear'.",
        "picture": _PICTURE,
        "where": "The thing that is to be drawn anew, such as 'the apple'. Without it all is.",
    },
    "look_at_image": {
        "picture": _PICTURE,
        "asked": "What it should show; the answer says whether it does.",
    },
}
_ABOUT: dict[Kind, str] = {
    "generate_image": "Draw one picture. The user sees it.",
    "edit_image": "Change a picture, or one thing in it. The user sees the new picture.",
    "look_at_image": "Say in words what a picture shows.",
}
INSTRUCTIONS = (
    "You plan pictures that the tools draw: flat illustrations and emoji-like pictures. "
    "They know things, colours, numbers, places (left of, above) and plain backgrounds. They know "
    "no artists, no photos and no text in pictures. Draw what the user asks for with as few calls "
    "as you can. The user sees each picture, so do not describe it at length and write no "
    "addresses. If no picture is asked for, answer in words."
)


@dataclass(frozen=True)
class Asked:
    """A call of a tool, understood."""

    kind: Kind
    prompt: str = ""
    picture: str | None = None
    where: str | None = None
    asked: str | None = None


def tools(action: str) -> list[Json]:
    """The tools for `action`: auto, or only to generate or to edit."""
    left_out = {"generate": "edit_image", "edit": "generate_image"}.get(action)
    return [_tool(kind) for kind in _PARAMETERS if kind != left_out]


def _tool(kind: Kind) -> Json:
    properties = {
        name: {"type": "string", "description": text} for name, text in _PARAMETERS[kind].items()
    }
    required = ["prompt"] if "prompt" in properties else []
    return {
        "type": "function",
        "function": {
            "name": kind,
            "description": _ABOUT[kind],
            "parameters": {"type": "object", "properties": properties, "required": required},
        },
    }


def read(call: ToolCall) -> Asked:
    """What a call asks for. Raises InvalidRequest, whose message is for the chat planner."""
    kind = next((kind for kind in _PARAMETERS if kind == call.name), None)
    if kind is None:
        raise InvalidRequest(f"There is no tool {call.name[:64]!r}", hint=", ".join(_PARAMETERS))
    try:
        given = json.loads(call.arguments)
    except (ValueError, RecursionError):
        raise InvalidRequest(f"The arguments of {kind} are no JSON") from None
    if not isinstance(given, dict):
        raise InvalidRequest(f"The arguments of {kind} are no object")
    known = _PARAMETERS[kind]
    if unknown := sorted(set(given) - set(known)):
        raise InvalidRequest(f"{kind} has no parameter {unknown[0][:64]!r}", hint=", ".join(known))
    values = {name: value for name, value in given.items() if value not in (None, "")}
    if wrong := [name for name, value in values.items() if not isinstance(value, str)]:
        raise InvalidRequest(f"'{wrong[0]}' of {kind} must be text")
    if "prompt" in known and not values.get("prompt", "").strip():
        raise InvalidRequest(f"{kind} needs a prompt")
    return Asked(kind, **values)
