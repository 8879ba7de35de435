"""From a checked call to a job: what is asked of everyone before the engine is."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from limner.server.openai import errors
from limner.server.openai.calls import Call
from limner.service import context
from limner.service.queue.jobs import MAX_CLIENT_ID_CHARS, Job
from limner.storage.db.history import Asked

RESUME = "x-limner-resume"


def outlives(request: Request) -> bool:
    """Whether `request` is to be drawn to its end, whoever leaves or stops: client or server."""
    said = request.headers.get(RESUME, "false").strip().lower()
    if said not in ("true", "false"):
        raise errors.ApiError(
            f"Invalid '{RESUME}': expected true or false.", param=RESUME, code="invalid_value"
        )
    return said == "true"


async def admit(request: Request, call: Call) -> Job:
    """Queue `call` within the limits of its key, with a row in the history if one is kept."""
    serving, holder = context.of(request), context.holder(request)
    resume = _kept_for_resuming(request, call)
    ticket = await run_in_threadpool(serving.limiter.acquire, holder, call.request.n)
    try:
        id = context.request_id(request)
        job = serving.worker(call).submit(
            call.request, holder, id, context.trace(request), is_stream=call.stream
        )
    except BaseException:
        await run_in_threadpool(ticket.refund)
        raise
    job.ticket = ticket
    job.ended = serving.count_end(call, holder.name)
    client_id = _client_id(request)
    serving.jobs.add(job.status, client_id)
    request.state.headers = serving.limiter.headers(holder)
    if serving.history:
        asked = Asked(
            id=id,
            key_name=holder.name,
            kind=_kind(call),
            model=serving.worker(call).engine.model,
            prompt=call.request.prompt,
            n=call.request.n,
            parameters=_parameters(call),
            parent=call.parent,
            client_id=client_id,
            resume=resume,
        )
        try:
            job.record = await run_in_threadpool(serving.history.begin, asked)
        except BaseException:
            job.cancel()
            raise
    return job


def _client_id(request: Request) -> str | None:
    """What the client calls its request, if that is no longer than ids are and can be stored."""
    id = request.headers.get("x-client-request-id", "")
    return id if id.isprintable() and 0 < len(id) <= MAX_CLIENT_ID_CHARS else None


def _kept_for_resuming(request: Request, call: Call) -> dict[str, Any] | None:
    """What the row keeps beside the parameters if another server may have to draw on."""
    if not outlives(request):
        return None
    if call.request.source is not None:
        raise errors.ApiError(
            f"'{RESUME}' is for pictures from text: one that was sent to begin with is not kept, "
            "so it could not be drawn on after a restart. Leave the header out.",
            param=RESUME,
            code="unsupported_operation",
        )
    if context.of(request).history is None:
        raise errors.ApiError(
            f"'{RESUME}' needs the history, and this server keeps none (LIMNER_HISTORY=off).",
            param=RESUME,
            code="no_history",
        )
    return {"output_compression": call.compression, "moderation": call.moderation}


def _kind(call: Call) -> str:
    source = call.request.source
    return "generation" if source is None else type(source).__name__.lower()


def _parameters(call: Call) -> dict[str, Any]:
    """What it takes, beside the prompt, to ask for the same again."""
    request = call.request
    return {
        "n": request.n,
        "size": str(request.size),
        "quality": request.quality,
        "background": request.background,
        "seed": request.seed,
        "best_of": request.best_of,
        "retry_below": request.retry_below,
        "output_format": call.format,
    }
