"""How a planned answer is written: as Responses or Chat Completions, whole or as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from limner.server.chat_planner.planned_answer import PlannedAnswer
from limner.server.openai.answers import Drawn, Json
from limner.server.openai.errors import ApiError
from limner.server.responses import answer, chat

Pictures = Mapping[str, Drawn]  # by their request ids


class Shape(Protocol):
    """The form of one answer. Methods that return bytes give the events of its stream."""

    planned: PlannedAnswer

    def whole(self, pictures: Pictures) -> Json:
        """The body of a finished answer."""
        ...

    def begin(self) -> bytes:
        """The beginning, before anything is planned."""
        ...

    def said(self, item: Json) -> bytes:
        """A text, the latest output item."""
        ...

    def call_begins(self, place: int) -> bytes:
        """A picture begins to be drawn."""
        ...

    def preview(self, place: int, picture: Drawn, n: int) -> bytes:
        """Preview `n` of a picture."""
        ...

    def call_done(self, place: int, picture: Drawn) -> bytes:
        """A finished picture."""
        ...

    def ended(self, pictures: Pictures) -> bytes:
        """The end of an answer."""
        ...

    def failed(self, error: ApiError, pictures: Pictures) -> bytes:
        """The end of an answer that failed."""
        ...


class ResponsesShape:
    """The Responses API."""

    def __init__(self, planned: PlannedAnswer) -> None:
        self.planned, self._stream = planned, answer.Stream()

    def whole(self, pictures: Pictures) -> Json:
        return self.planned.response("completed", pictures)

    def begin(self) -> bytes:
        return self._stream.created(self.planned.begun())

    def said(self, item: Json) -> bytes:
        return self._stream.said(len(self.planned.output) - 1, item)

    def call_begins(self, place: int) -> bytes:
        return self._stream.call_begins(place, self.planned.item(place, "in_progress"))

    def preview(self, place: int, picture: Drawn, n: int) -> bytes:
        item = self.planned.item(place, "in_progress")
        about = self.planned.output[place]["about"]
        return self._stream.preview(place, item["id"], about, picture, n)

    def call_done(self, place: int, picture: Drawn) -> bytes:
        return self._stream.call_done(place, self.planned.item(place, "completed", picture))

    def ended(self, pictures: Pictures) -> bytes:
        return self._stream.ended(self.whole(pictures))

    def all_events(self, pictures: Pictures) -> Iterator[bytes]:
        """The events of a finished answer, once more."""
        yield self.begin()
        for place, item in enumerate(self.planned.output):
            if "request_id" in item:
                yield self.call_begins(place)
                yield self.call_done(place, pictures[item["request_id"]])
            else:
                yield self._stream.said(place, item)
        yield self.ended(pictures)

    def failed(self, error: ApiError, pictures: Pictures) -> bytes:
        response = self.planned.response("failed", pictures, answer.failure(error))
        return self._stream.ended(response)


class ChatShape:
    """Chat Completions with pictures."""

    def __init__(self, planned: PlannedAnswer, *, with_usage: bool) -> None:
        """`with_usage`: whether a stream ends with the usage."""
        self.planned = planned
        about = chat.About(planned.request_id, planned.created_at, str(planned.echo["model"]))
        self._chat, self._with_usage = about, with_usage
        self._n_drawn = 0

    def whole(self, pictures: Pictures) -> Json:
        items = self.planned.output
        texts = [item["content"][0]["text"] for item in items if "content" in item]
        drawn = [(pictures[item["request_id"]], item["about"]) for item in items if "about" in item]
        images = [
            chat.image(picture, about["output_format"], index)
            for index, (picture, about) in enumerate(drawn)
        ]
        content = "\n\n".join(texts)
        return self._chat.whole(content, images, self.planned.usage)

    def begin(self) -> bytes:
        return self._chat.chunk({"role": "assistant", "content": ""})

    def said(self, item: Json) -> bytes:
        text = item["content"][0]["text"]
        is_first = sum("content" in other for other in self.planned.output) == 1
        return self._chat.chunk({"content": text if is_first else f"\n\n{text}"})

    def call_begins(self, place: int) -> bytes:
        return b""

    def preview(self, place: int, picture: Drawn, n: int) -> bytes:
        return b""

    def call_done(self, place: int, picture: Drawn) -> bytes:
        format = self.planned.output[place]["about"]["output_format"]
        self._n_drawn += 1
        images = [chat.image(picture, format, self._n_drawn - 1)]
        return self._chat.chunk({"content": "", "images": images})

    def ended(self, pictures: Pictures) -> bytes:
        return self._chat.end(self.planned.usage if self._with_usage else None)

    def failed(self, error: ApiError, pictures: Pictures) -> bytes:
        return chat.failed(error)
