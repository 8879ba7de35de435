"""/v1/responses: pictures by the hosted tool image_generation, and stored answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner.server.access import own_rows
from limner.server.bodies import read_body
from limner.server.chat_planner import delivery, planned_answer
from limner.server.chat_planner.chat_server import ChatServer
from limner.server.chat_planner.shapes import ChatShape, ResponsesShape
from limner.server.http import scope
from limner.server.http.delivery import WholeDelivery
from limner.server.http.job_headers import client_id, is_resumed
from limner.server.input_pictures.json_pictures import Reader
from limner.server.openai import answers, errors
from limner.server.openai import fields as f
from limner.server.openai.answers import Drawn
from limner.server.openai.calls import Call
from limner.server.openai.errors import ApiError
from limner.server.responses import answer, chat, ids, ordering, sources, stored_answers
from limner.server.responses import body as bodies_of_responses
from limner.server.responses.answer import Plan
from limner.server.responses.body import Body, Text
from limner.server.responses.sources import Source
from limner.server.routes.images import drawing
from limner.service.admission import submit
from limner.storage.db.responses import Responses
from limner.text import followups

_JSON = "application/json"


async def create(request: Request) -> Response:
    """Draw or edit a picture from a conversation."""
    drawn_as = getattr(request.state, "drawn_as", None)
    async with AsyncExitStack() as held:
        with read_body.reading(request):
            pictures = await held.enter_async_context(_pictures(request))
            body = _read(request, pictures, pictures.parsed.value)
            chat_planner = _chat_planner(request, body)
            if drawn_as is not None:
                found = await sources.find_response(request, ids.of_request(ids.RESPONSE, drawn_as))
                if found is None:
                    raise errors.drawn_elsewhere(drawn_as)
                return await stored_answers.again(request, *found, is_stream=body.is_stream)
            if chat_planner is None:
                source = await sources.find(request, body)
                call = await _understood(request, body, source, pictures)
        if chat_planner is not None:
            shape = ResponsesShape(planned_answer.begin(request, body))
            return await delivery.answer(
                request, body, pictures, chat_planner, shape, held.pop_all()
            )
    if call is None:
        return Response(status_code=drawing.CLIENT_LEFT)

    def form(plan: Plan) -> Form:
        return Form(answer.PlanEvents(plan), plan.completed)

    return await _answer(request, body, call, source, form)


async def complete_chat(request: Request) -> Response:
    """The same for Chat Completions."""
    async with AsyncExitStack() as held:
        with read_body.reading(request), chat.naming():
            pictures = await held.enter_async_context(_pictures(request))
            sent = pictures.parsed.value
            values, unused = chat.as_response(sent, _text_of(pictures))
            body = _read(request, pictures, values)
            if unused:
                notice = f"Not used: {', '.join(map(f.shown, unused[:20]))}"
                body = replace(body, notices=(*body.notices, notice))
            chat_planner = _chat_planner(request, body)
            if chat_planner is None:
                source = await sources.find(request, body)
                call = await _understood(request, body, source, pictures)
        options = sent.get("stream_options")
        with_usage = isinstance(options, dict) and options.get("include_usage") is True
        if chat_planner is not None:
            shape = ChatShape(planned_answer.begin(request, body), with_usage=with_usage)
            with chat.naming():
                return await delivery.answer(
                    request, body, pictures, chat_planner, shape, held.pop_all()
                )
    if call is None:
        return Response(status_code=drawing.CLIENT_LEFT)

    def form(plan: Plan) -> Form:
        completion = chat.Completion(plan, with_usage=with_usage)
        return Form(completion, completion.whole)

    return await _answer(request, body, call, source, form)


def _pictures(request: Request) -> AbstractAsyncContextManager[Reader]:
    return read_body.read_json_pictures(request, scope.service(request).max_upload_bytes)


async def show(request: Request, id: str) -> Response:
    """A stored answer, with its picture."""
    found = await sources.find_response(request, id)
    if found is None:
        raise _not_found(id)
    row, stored = found
    return _json(await stored_answers.shown(request, row, stored))


async def delete(request: Request, id: str) -> Response:
    """Delete an answer, its prompt and its pictures."""
    found = await sources.find_response(request, id)
    if found is None:
        raise _not_found(id)
    row, stored = found
    by_planner = planned_answer.from_stored(stored)
    rows = [row["id"], *(by_planner.calls if by_planner else [])]
    history = own_rows.history(request)
    if row["state"] == "running" or not await run_in_threadpool(history.delete, rows):
        raise ApiError(
            f"Response '{f.shown(id)}' is being drawn; it can be deleted when it has ended.",
            code="request_running",
        )
    return _json({"id": id, "object": "response", "deleted": True})


def _read(request: Request, pictures: Reader, values: Mapping[str, Any]) -> Body:
    catalogue = scope.catalogue(request)
    body = bodies_of_responses.read(
        values,
        _text_of(pictures),
        is_lenient=catalogue.is_lenient,
        has_planner=request.app.state.chat_planner is not None,
    )
    return bodies_of_responses.with_own_model(body, catalogue.own)


def _text_of(pictures: Reader) -> Text:
    """A function that returns the text of long strings from their tokens."""
    return partial(read_body.short, parsed=pictures.parsed)


def _chat_planner(request: Request, body: Body) -> ChatServer | None:
    """The chat planner to ask; None if there is none, or the tool choice makes it needless."""
    chat_planner: ChatServer | None = request.app.state.chat_planner
    return None if body.tool.is_forced else chat_planner


async def _understood(
    request: Request, body: Body, source: Source | None, pictures: Reader
) -> Call | None:
    """What to draw by rule: the last message, joined with the prompt of what it follows."""
    if source is None:
        ordering.check_no_mask(body)
    prompt = bodies_of_responses.joined(source.prompt if source else None, body.prompt)
    is_whole = followups.changes_subject(body.prompt)
    is_anew = followups.other_thing(body.prompt) is not None
    call = await ordering.understood(
        request, body, source, pictures, prompt, is_whole=is_whole, is_anew=is_anew
    )
    return call and replace(call, notices=(*body.notices, *call.notices))


@dataclass(frozen=True)
class Form:
    """How to format an answer, as stream events or whole."""

    events: drawing.Events
    whole: Callable[[Drawn], dict[str, Any]]


async def _answer(
    request: Request,
    body: Body,
    call: Call,
    source: Source | None,
    form_of: Callable[[Plan], Form],
) -> Response:
    serving, holder = scope.service(request), scope.holder(request)
    request.state.is_gpt = True  # selects the words of errors
    submission = call.submission(client_id=client_id(request), resume=is_resumed(request))
    await drawing.check_prompt(serving, submission)
    trace = scope.trace(request)
    with body.tool.naming(), trace.during("submission"):
        job = await submit(serving, submission, holder, scope.request_id(request), trace)
    request.state.headers = serving.limiter.headers(holder)
    try:
        plan = await _planned(request, body, call, source)
    except BaseException:
        job.cancel()
        raise
    form = form_of(plan)
    if body.is_stream:
        return await drawing.stream(request, serving, call, submission, job, form.events)
    with job:
        finished = drawing.finished(request, serving, call, submission, job)
        found = await drawing.unless_left(request, finished)
    if found is None:
        return Response(status_code=drawing.CLIENT_LEFT)
    [picture], notices = found
    return WholeDelivery(
        answers.dump(form.whole(picture)),
        media_type=_JSON,
        headers=drawing.headers_of(call, notices),
        ticket=job.ticket,
    )


async def _planned(request: Request, body: Body, call: Call, source: Source | None) -> Plan:
    """The plan of the answer; stored if the request has `store`."""
    serving = scope.service(request)
    plan = Plan(
        scope.request_id(request),
        int(time.time()),
        {"model": body.model, "previous_response_id": body.previous, **body.echo},
        ordering.about(call),
        _message(call.request.prompt, body, source),
        dict(ordering.usage(request, call)),
        body.is_stored and serving.history is not None,
    )
    if plan.is_stored:
        add = Responses(serving.database).add
        await serving.database_threads.run(add, plan.id, plan.request_id, plan.stored())
    return plan


def _message(prompt: str, body: Body, source: Source | None) -> str:
    if source is None:
        return f"Here is the picture, drawn from the prompt: {prompt}"
    said = f"Here is the edited picture. The prompt was: {prompt}"
    if prompt.endswith(body.prompt) and prompt != body.prompt:
        said += "\nIt joins your message with the prompt of the earlier picture."
    return said


def _not_found(id: str) -> ApiError:
    return ApiError(f"Response with id '{f.shown(id)}' not found.", status=404)


def _json(body: dict[str, Any]) -> Response:
    return Response(answers.dump(body), media_type=_JSON)
