"""The pictures of a conversation by the names that a chat planner gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from limner.errors import InvalidRequest
from limner.server.openai.answers import Json
from limner.server.responses import ids
from limner.server.responses.body import Attached, Earlier, Said

Picture = Attached | Earlier

MAX_MESSAGES = 60  # of a conversation that a chat planner is told; the latest
_MAX_SHOWN = 20  # names in an error


@dataclass
class ConversationPictures:
    """Names of pictures, the latest last."""

    pictures: dict[str, Picture] = field(default_factory=dict)

    def add(self, picture: Picture) -> str:
        """Add a picture; returns its name: the id of its call, or a number."""
        id = picture.id if isinstance(picture, Earlier) else None
        name = id or f"picture_{len(self.pictures) + 1}"
        self.pictures.pop(name, None)
        self.pictures[name] = picture
        return name

    def find(self, name: str | None) -> Picture:
        """The picture `name`, by default the latest. Raises InvalidRequest."""
        if name in self.pictures:
            return self.pictures[name]
        if name is not None and ids.request_id(ids.CALL, name):
            return Earlier("picture", name)  # of an earlier answer, looked up by the key
        if name not in (None, "last"):
            known = ", ".join([*self.pictures][-_MAX_SHOWN:]) or "none"
            raise InvalidRequest(f"There is no picture {name[:64]!r}", hint=f"there are: {known}")
        if not self.pictures:
            raise InvalidRequest("There is no picture yet", hint="draw one with generate_image")
        return [*self.pictures.values()][-1]

    def told(self, said: Iterable[Said]) -> list[Json]:
        """Messages for the chat planner; their pictures are added, and named in the text."""
        messages = []
        for one in said:
            names = [self.add(picture) for picture in one.pictures]
            shown = [f"[picture {name}]" for name in names]
            text = " ".join([one.text, *shown]).strip()
            if text:
                messages.append({"role": one.role, "content": text})
        return messages


def latest(messages: list[Json]) -> list[Json]:
    """The messages that a chat planner is told, or that are kept."""
    return messages[-MAX_MESSAGES:]


def drawn(name: str, prompt: str) -> Json:
    """The message that stands for a picture in a conversation that goes on."""
    return {"role": "assistant", "content": f"[picture {name}: {prompt}]"}


def kept_messages(stored: Mapping[str, Any], request_id: str, prompt: str) -> list[Json]:
    """The conversation up to a stored answer: a chat planner's, or one that was drawn by rule."""
    if "messages" in stored:
        return list(stored["messages"])
    name = ids.of_request(ids.CALL, request_id)
    return [{"role": "user", "content": prompt}, drawn(name, prompt)]
