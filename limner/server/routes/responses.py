"""/v1/responses: pictures by the hosted tool image_generation, and stored answers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from limner.request import Edit
from limner.server.access import own_rows
from limner.server.bodies import read_body
from limner.server.http import scope
from limner.server.http.delivery import WholeDelivery
from limner.server.http.job_headers import client_id, is_resumed
from limner.server.input_pictures.json_pictures import Reader
from limner.server.input_pictures.uploads import RawFile
from limner.server.openai import answers, calls, errors
from limner.server.openai import fields as f
from limner.server.openai.answers import Drawn
from limner.server.openai.calls import Call
from limner.server.openai.errors import ApiError
from limner.server.openai.fields import Fields
from limner.server.openai.images import Decoder
from limner.server.replay import REPLAYED
from limner.server.responses import answer, chat, ids, sources
from limner.server.responses import body as bodies_of_responses
from limner.server.responses.answer import Plan
from limner.server.responses.body import Body, Text
from limner.server.responses.sources import Source
from limner.server.routes.images import drawing
from limner.service.pictures import output
from limner.service.submit import submit
from limner.storage.db.database import Row
from limner.storage.db.responses import Responses

_JSON = "application/json"
_STATUS = {"running": "in_progress", "done": "completed", "cancelled": "cancelled"}


async def create(request: Request) -> Response:
    """Draw or edit a picture from a conversation."""
    drawn_as = getattr(request.state, "drawn_as", None)
    with read_body.reading(request):
        max_bytes = scope.service(request).max_upload_bytes
        async with read_body.read_json_pictures(request, max_bytes) as pictures:
            body = _read(request, pictures, pictures.parsed.value)
            if drawn_as is not None:
                return await _again(request, body, drawn_as)
            source = await sources.find(request, body)
            call = await _understood(request, body, source, pictures)
    if call is None:
        return Response(status_code=drawing.CLIENT_LEFT)

    def form(plan: Plan) -> Form:
        return Form(answer.Stream(plan), plan.completed)

    return await _answer(request, body, call, source, form)


async def complete_chat(request: Request) -> Response:
    """The same for Chat Completions."""
    with read_body.reading(request):
        max_bytes = scope.service(request).max_upload_bytes
        async with read_body.read_json_pictures(request, max_bytes) as pictures:
            with chat.naming():
                sent = pictures.parsed.value
                values, unused = chat.as_response(sent, _text_of(pictures))
                body = _read(request, pictures, values)
                source = await sources.find(request, body)
                call = await _understood(request, body, source, pictures)
    if call is None:
        return Response(status_code=drawing.CLIENT_LEFT)
    if unused:
        notice = f"Not used: {', '.join(map(f.shown, unused[:20]))}"
        call = replace(call, notices=(*call.notices, notice))
    options = sent.get("stream_options")
    with_usage = isinstance(options, dict) and options.get("include_usage") is True

    def form(plan: Plan) -> Form:
        completion = chat.Completion(plan, with_usage=with_usage)
        return Form(completion, completion.whole)

    return await _answer(request, body, call, source, form)


async def show(request: Request, id: str) -> Response:
    """A stored answer, with its picture."""
    found = await sources.find_response(request, id)
    if found is None:
        raise _not_found(id)
    row, stored = found
    return _json(await _response(request, row, answer.from_stored(stored)))


async def delete(request: Request, id: str) -> Response:
    """Delete an answer, its prompt and its picture."""
    found = await sources.find_response(request, id)
    if found is None:
        raise _not_found(id)
    row, _ = found
    history = own_rows.history(request)
    if row["state"] == "running" or not await run_in_threadpool(history.delete, [row["id"]]):
        raise ApiError(
            f"Response '{f.shown(id)}' is being drawn; it can be deleted when it has ended.",
            code="request_running",
        )
    return _json({"id": id, "object": "response", "deleted": True})


def _read(request: Request, pictures: Reader, values: Mapping[str, Any]) -> Body:
    catalogue = scope.catalogue(request)
    body = bodies_of_responses.read(values, _text_of(pictures), is_lenient=catalogue.is_lenient)
    return bodies_of_responses.with_own_model(body, catalogue.own)


def _text_of(pictures: Reader) -> Text:
    """A function that returns the text of long strings from their tokens."""
    return partial(read_body.short, parsed=pictures.parsed)


async def _understood(
    request: Request, body: Body, source: Source | None, pictures: Reader
) -> Call | None:
    """Parse what to draw; None if the client disconnects meanwhile."""
    catalogue = scope.catalogue(request)
    prompt = bodies_of_responses.joined(source.prompt if source else None, body.prompt)
    # `moderation` selects the GPT rules if the tool names no model.
    values = {"moderation": "auto", **body.tool.options, "prompt": prompt, "stream": body.is_stream}
    if source is None:
        _check_no_mask(body)
        values.pop("input_fidelity", None)  # only for edits
        with body.tool.naming():
            call = calls.read_generation(Fields(values), catalogue)
        return replace(call, notices=(*body.notices, *call.notices))
    files, mask = await to_thread.run_sync(
        partial(_files, body, source, pictures), limiter=scope.service(request).readers
    )

    def read(decoder: Decoder) -> Call:
        with body.tool.naming():
            name = source.pictures[0][1]
            return calls.read_edit(Fields(values), files, mask, catalogue, decoder, name)

    edit = await drawing.decoded(request, read)
    return edit and replace(edit, notices=(*body.notices, *edit.notices))


def _files(body: Body, source: Source, pictures: Reader) -> tuple[list[RawFile], RawFile | None]:
    """The pictures and the mask. Blocks: not for the event loop."""
    files = [pictures.picture(value, name) for value, name in source.pictures]
    mask = body.tool.mask
    name = f"{body.tool.at}.input_image_mask"
    return files, pictures.picture(mask, name) if mask else None


def _check_no_mask(body: Body) -> None:
    if body.tool.mask:
        name = f"{body.tool.at}.input_image_mask"
        raise f.wrong_value(name, f"'{name}' needs a picture to edit, and there is none.")


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
    call = replace(call, container="b64_json")
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
    asked = call.request
    engine = serving.workers[call.target.engine].engine
    plan = Plan(
        scope.request_id(request),
        int(time.time()),
        {"model": body.model, "previous_response_id": body.previous, **body.echo},
        {
            "action": "edit" if isinstance(asked.source, Edit) else "generate",
            "output_format": call.format,
            "quality": asked.quality,
            "revised_prompt": asked.prompt,
            "size": str(asked.size),
        },
        _message(asked.prompt, body, source),
        answers.usage(call, engine, [Drawn(b"", is_transparent=False)]).get("usage", {}),
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
    if prompt != body.prompt:
        said += "\nIt joins your message with the prompt of the earlier picture."
    return said


async def _again(request: Request, body: Body, request_id: str) -> Response:
    """Rebuild the answer to earlier request `request_id`."""
    found = await sources.find_response(request, ids.of_request(ids.RESPONSE, request_id))
    if found is None:
        raise errors.drawn_elsewhere(request_id)
    row, stored = found
    plan = answer.from_stored(stored)
    picture = await _picture(request, row)
    if picture is None:
        raise errors.drawn_elsewhere(request_id)
    if not body.is_stream:
        return _json(plan.completed(picture), {REPLAYED: "true"})

    async def events() -> AsyncIterator[bytes]:
        stream = answer.Stream(plan)
        yield stream.begin()
        yield stream.completed(picture)

    headers = {"cache-control": "no-cache", "x-accel-buffering": "no", REPLAYED: "true"}
    return StreamingResponse(
        events(), media_type="text/event-stream; charset=utf-8", headers=headers
    )


async def _response(request: Request, row: Row, plan: Plan) -> dict[str, Any]:
    """The response object in its current state."""
    status = _STATUS.get(row["state"], "failed")
    if status == "completed":
        if picture := await _picture(request, row):
            return plan.completed(picture)
        return plan.response(status, [plan.call(status)])  # someone deleted the file
    call = plan.call("in_progress" if status == "in_progress" else "failed")
    error = {"code": "server_error", "message": f"The request was {row['state']}."}
    return plan.response(status, [call], error if status == "failed" else None)


async def _picture(request: Request, row: Row) -> Drawn | None:
    """The picture of `row`, or None if its file is missing."""
    serving = scope.service(request)

    def read() -> Drawn | None:
        if not row["pictures"]:
            return None
        try:
            data = serving.kept_picture(row["pictures"][0]["file"])
        except FileNotFoundError:
            return None
        return Drawn(data, output.is_transparent(data, row["pictures"][0]["format"]))

    return await to_thread.run_sync(read, limiter=serving.readers)


def _not_found(id: str) -> ApiError:
    return ApiError(f"Response with id '{f.shown(id)}' not found.", status=404)


def _json(body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(answers.dump(body), media_type=_JSON, headers=headers)
