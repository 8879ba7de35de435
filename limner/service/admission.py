"""From a checked request to a job: limits, queue, and a row in the history.

Every front end (HTTP, MCP, the agent tools) submits here, so all of them pass the same checks and
leave the same rows.
"""

from __future__ import annotations

from typing import Any

from anyio import to_thread

from limner.engines.drawing_formats import check_format
from limner.request import FORMATS
from limner.service.access.auth import Holder
from limner.service.context import Service
from limner.service.errors import CannotResume
from limner.service.queue.jobs import Job, JobContext
from limner.service.submission import Submission
from limner.service.telemetry.traces import NO_TRACE, Trace
from limner.service.threads import undone_if_left
from limner.storage.history.history import Asked


async def submit(
    service: Service, submission: Submission, holder: Holder, id: str, trace: Trace = NO_TRACE
) -> Job:
    """Queue `submission` as request `id` of `holder`.

    Raises InvalidRequest for what the engine cannot draw, RateLimited, QueueFull, ShuttingDown,
    CannotResume, or DatabaseError. If the caller is cancelled meanwhile, so is the job.
    """
    return await undone_if_left(_submit(service, submission, holder, id, trace), Job.cancel)


async def _submit(
    service: Service, submission: Submission, holder: Holder, id: str, trace: Trace
) -> Job:
    engine = service.worker(submission).engine
    engine.check(submission.request)
    if submission.format not in FORMATS:
        await to_thread.run_sync(check_format, engine, submission.request, submission.format)
    resume = _kept_for_resuming(service, submission)
    ticket = await service.limiter.acquire_async(holder, submission.request.n)
    try:
        context = JobContext(
            id, holder, trace, ticket, ended=service.count_end(submission, holder.name)
        )
        job = service.worker(submission).submit(
            submission.request, context, is_stream=submission.is_stream
        )
    except BaseException:
        await service.limiter.refunded(ticket)
        raise
    service.jobs.add(job.status, submission.client_id)
    if service.history:
        asked = Asked(
            id=id,
            key_name=holder.name,
            kind=submission.kind,
            model=engine.model,
            prompt=submission.request.prompt,
            n=submission.request.n,
            parameters=submission.parameters,
            parent=submission.parent,
            client_id=submission.client_id,
            resume=resume,
        )
        try:  # while the job waits, or is drawn already: a row costs no time then
            job.record = await service.database_threads.run(service.history.begin, asked)
        except BaseException:
            job.cancel()
            raise
    return job


def _kept_for_resuming(service: Service, submission: Submission) -> dict[str, Any] | None:
    """What the row keeps beside the parameters if another server may have to draw on."""
    if not submission.resume:
        return None
    if submission.request.source is not None:
        raise CannotResume(
            "Only pictures drawn from text can be resumed after a restart: a picture that was "
            "sent is not kept. Leave 'resume' out.",
            "unsupported_operation",
        )
    engine = service.worker(submission).engine
    if not engine.capabilities.repeatable:
        raise CannotResume(
            f"Engine {engine.name} may not draw a picture twice, so its requests cannot be "
            "resumed. Leave 'resume' out.",
            "unsupported_operation",
        )
    if service.history is None:
        raise CannotResume(
            "Resuming needs the history, and this server keeps none (LIMNER_HISTORY=off).",
            "no_history",
        )
    return {
        "output_compression": submission.options.compression,
        "moderation": submission.moderation,
    }
