"""From a checked call to a job: what is asked of everyone before the engine is."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from limner.server import service
from limner.server.jobs import Job
from limner.server.wire.calls import Call
from limner.storage.history import Asked


async def admit(request: Request, call: Call) -> Job:
    """Queue `call` within the limits of its key, with a row in the history if one is kept."""
    serving, holder = service.of(request), service.holder(request)
    ticket = await run_in_threadpool(serving.limiter.admit, holder, call.request.n)
    try:
        id = service.request_id(request)
        job = serving.worker(call).submit(call.request, holder, id)
    except BaseException:
        await run_in_threadpool(ticket.refund)
        raise
    job.ticket = ticket
    job.ended = partial(serving.metrics.ended, serving.worker(call).engine.model, holder.name)
    serving.jobs.add(job.status, request.headers.get("x-client-request-id"))
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
        )
        try:
            job.record = await run_in_threadpool(serving.history.begin, asked)
        except BaseException:
            job.cancel()
            raise
    return job


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
        "output_format": call.format,
    }
