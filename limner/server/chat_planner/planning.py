"""The loop of a planned answer: ask the chat planner, carry out its tools, at most four times.

What the chat planner itself can mend (a wrong argument, a picture that is not there) is told to it
as the result of its call. All else ends the answer: a limit, moderation, an engine or a chat
planner that fails.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from limner.arrays import Pixels
from limner.errors import DataError, InvalidRequest, LimnerError
from limner.imaging import decode_upload
from limner.server.chat_planner import conversation_pictures, functions
from limner.server.chat_planner.chat_server import ChatServer, ToolCall
from limner.server.chat_planner.conversation_pictures import ConversationPictures
from limner.server.chat_planner.functions import Asked
from limner.server.chat_planner.planned_answer import PlannedAnswer
from limner.server.http import scope
from limner.server.input_pictures.decoders import Decoder
from limner.server.input_pictures.json_pictures import Reader
from limner.server.input_pictures.uploads import RawFile
from limner.server.openai import images as openai_images
from limner.server.openai.answers import Drawn, Json
from limner.server.openai.calls import Call
from limner.server.openai.errors import ApiError
from limner.server.responses import ids, ordering, sources
from limner.server.responses.body import Attached, Body, Earlier
from limner.server.responses.sources import Source
from limner.server.routes.images import drawing
from limner.service.access.rate_limits import Ticket
from limner.service.admission import submit
from limner.service.errors import PlannerFailed
from limner.service.queue.jobs import Job
from limner.service.submission import Submission
from limner.service.threads import undone_if_left

Say = Callable[[Json], Awaitable[None]]
# (place in the output, call, submission, job) → the finished picture
DrawIt = Callable[[int, Call, Submission, Job], Awaitable[Drawn]]

MAX_ROUNDS = 4
MAX_DRAWN = 10  # pictures of one answer
_SEEN = ("good_enough", "alt", "checks", "unknown_words", "advice")


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class _Order:
    """A picture that was submitted."""

    id: str  # of its request
    call: Call
    submission: Submission
    job: Job


class Planning:
    """Plans one answer. `pictures` are those drawn so far, by their request ids."""

    def __init__(self, request: Request, body: Body, reader: Reader, planner: ChatServer) -> None:
        self._request, self._body, self._reader = request, body, reader
        self._planner = planner
        self._pictures = ConversationPictures()
        self.pictures: dict[str, Drawn] = {}
        self.seeds: list[int | None] = []
        self.notices: list[str] = []
        self._fault = ""  # the latest one that the chat planner was told

    async def check(self) -> None:
        """Raise what is wrong with the request before anything is asked or drawn."""
        body = self._body
        await ordering.understood(self._request, body, None, self._reader, "a cat")
        texts = [self._instructions, *(said.text for said in body.said)]
        if sum(map(len, texts)) <= drawing.MAX_QUICK_CHARS:
            self._moderate(texts)
        else:
            await run_in_threadpool(self._moderate, texts)

    def _moderate(self, texts: Sequence[str]) -> None:
        """Raise ContentRefused for a text that the moderation hook flags."""
        is_low = self._body.tool.options.get("moderation") == "low"
        for text in texts:
            scope.service(self._request).check_text(text, "low" if is_low else "auto")

    async def run(self, planned: PlannedAnswer, ticket: Ticket, say: Say, draw: DrawIt) -> None:
        """Fill `planned`. `ticket` counts the request while the chat planner is asked.

        Raises LimnerError, or ClientLeft.
        """
        told = await self._before() + self._pictures.told(self._body.said)
        planned.messages = conversation_pictures.latest(told)
        messages = [self._system(), *planned.messages]
        tools = functions.tools(self._body.tool.action)
        for turn in range(MAX_ROUNDS):
            with ticket.held():
                reply = await self._planner.ask(
                    self._body.model, messages, tools, may_call=turn + 1 < MAX_ROUNDS
                )
            if reply.text:
                await say(planned.say(reply.text))
                planned.messages.append({"role": "assistant", "content": reply.text})
            if not reply.calls:
                return
            if turn + 1 == MAX_ROUNDS:
                break
            messages.append(reply.message)
            for call in reply.calls:
                result = await self._result(call, planned, draw)
                content = json.dumps(result, ensure_ascii=False)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
        why = f" Its latest fault: {self._fault}." if self._fault else ""
        raise PlannerFailed(
            f"The chat planner called tools in {MAX_ROUNDS} answers and came to no end.{why}"
            f" {len(self.pictures)} pictures were drawn."
        )

    @property
    def _instructions(self) -> str:
        """Those of the request; empty if it has none."""
        own = self._body.echo.get("instructions")
        return own if isinstance(own, str) else ""

    def _system(self) -> Json:
        texts = [functions.INSTRUCTIONS, self._instructions]
        return {"role": "system", "content": "\n\n".join(filter(None, texts))}

    async def _before(self) -> list[Json]:
        """The conversation up to `previous_response_id`. Raises ApiError if that is not there."""
        if self._body.previous is None:
            return []
        row, stored = await sources.earlier(self._request, self._body.previous)
        last = sources.last_call(row, stored)
        if last is not None:
            self._pictures.add(Earlier("previous_response_id", last))
        return conversation_pictures.kept_messages(stored, row["id"], row["prompt"])

    async def _result(self, call: ToolCall, planned: PlannedAnswer, draw: DrawIt) -> Json:
        """What the chat planner is told of its call."""
        try:
            asked = functions.read(call)
            if asked.kind == "look_at_image":
                return await self._look(asked)
            order = await self._ordered(asked, planned)
        except (InvalidRequest, DataError, ApiError) as error:
            if isinstance(error, ApiError) and error.status >= 500:
                raise
            self._fault = _words(error)
            return {"error": self._fault}
        return await self._drawn(order, planned, draw)

    async def _ordered(self, asked: Asked, planned: PlannedAnswer) -> _Order:
        """Submit what a call asks for."""
        if len(planned.calls) == MAX_DRAWN:
            raise InvalidRequest(f"One answer has at most {MAX_DRAWN} pictures")
        source = None
        if asked.kind == "edit_image":
            source = await self._source(self._pictures.find(asked.picture))
        more: Json = {"where": asked.where} if asked.where else {}
        call = await ordering.understood(
            self._request, self._body, source, self._reader, asked.prompt, is_whole=True, **more
        )
        if call is None:
            raise ClientLeft
        serving, holder = scope.service(self._request), scope.holder(self._request)
        submission = call.submission()
        await drawing.check_prompt(serving, submission)
        id = planned.next_request_id()
        with self._body.tool.naming():
            job = await submit(serving, submission, holder, id, scope.trace(self._request))
        return _Order(id, call, submission, job)

    async def _drawn(self, order: _Order, planned: PlannedAnswer, draw: DrawIt) -> Json:
        call, about = order.call, ordering.about(order.call)
        with order.job:
            place = planned.draw(order.id, about, ordering.usage(self._request, call))
            picture = await draw(place, call, order.submission, order.job)
        self.pictures[order.id] = picture
        self.seeds.append(call.request.seed)
        self.notices += call.notices
        name = ids.of_request(ids.CALL, order.id)
        data = base64.b64encode(picture.data).decode("ascii")
        self._pictures.add(Earlier("picture", name, data, about["revised_prompt"]))
        planned.messages.append(conversation_pictures.drawn(name, about["revised_prompt"]))
        return {"picture": name, "prompt": about["revised_prompt"], "size": about["size"]}

    async def _look(self, asked: Asked) -> Json:
        source = await self._source(self._pictures.find(asked.picture))
        value, name = source.pictures[0]

        def read(decoder: Decoder) -> Pixels:
            raw: RawFile = self._reader.picture(value, name)
            with openai_images.refused(name):
                decoder.open("image", raw.file, decode_upload.MAX_PIXELS)
                return decoder.variation(None).pixels

        pixels = await drawing.decoded(self._request, read)
        if pixels is None:
            raise ClientLeft
        serving, holder = scope.service(self._request), scope.holder(self._request)
        counting = serving.limiter.acquire_async(holder, 0)  # as a request of its own
        ticket = await undone_if_left(counting, Ticket.release)
        try:
            seen = (await serving.look(pixels, asked.asked)).to_dict()
        finally:
            ticket.release()
        return {name: seen[name] for name in _SEEN if seen[name] not in (None, [])}

    async def _source(self, picture: Attached | Earlier) -> Source:
        if isinstance(picture, Attached):
            return Source([(picture.value, picture.name)])
        return await sources.of_drawn(self._request, picture)


def _words(error: LimnerError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def seed_header(seeds: list[int | None]) -> Mapping[str, str]:
    """The header with the seed of the first picture."""
    return {"x-limner-seed": str(seeds[0])} if seeds else {}
