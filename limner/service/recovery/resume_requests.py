"""Resume requests that a stopped or dead server left, from what their rows keep.

A server looks for them at its start and every `maintenance.EVERY_S`. A server that stops marks its
requests; a dead server is known by its silence. The database gives each request to one server.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from limner.engines.base import Picture
from limner.errors import LimnerError
from limner.request import FileOptions, ImageRequest
from limner.service.access.auth import Holder
from limner.service.context import Service
from limner.service.pictures import output
from limner.service.queue.jobs import Job, JobContext
from limner.service.submission import Submission
from limner.storage.db.database import Row
from limner.storage.history.history import Record

log = logging.getLogger("limner.server")

_drawing: set[asyncio.Task[None]] = set()  # a task that nobody holds may vanish


async def draw_on(service: Service) -> None:
    """Queue the interrupted requests that asked to be resumed and that no other server took."""
    if service.history is None or not service.is_ready:
        return
    run = service.database_threads.run
    own = service.models.engine_from_model.items()
    models = [model for model, name in own if service.workers[name].engine.capabilities.repeatable]
    for row, record in await run(service.history.take_interrupted, models):
        try:
            submission = _submission(service, row)
            job = _job(service, submission, row, record)
        except (LimnerError, KeyError) as error:  # it stops, or the row is by another limner
            log.warning("%s cannot be resumed here: %s", row["id"], error)
            await run(record.end, "interrupted")
            continue
        task = asyncio.create_task(_finish(service, submission, job))
        _drawing.add(task)
        task.add_done_callback(_drawing.discard)
        log.info("%s is resumed: %d of %d pictures are there", row["id"], job.n_kept, job.request.n)


def _submission(service: Service, row: Row) -> Submission:
    """The request of a row, but for the pictures that are there."""
    parameters: dict[str, Any] = row["parameters"]
    made = frozenset(picture["number"] for picture in row["pictures"])
    request = ImageRequest.from_parameters(row["prompt"], parameters, made=made)
    engine = service.models.engine_from_model[row["model"]]
    service.workers[engine].engine.check(request)  # it may be another version of the engine
    return Submission(
        request,
        engine,
        parameters["output_format"],
        _options(parameters, row["resume"]),
        row["resume"]["moderation"],
    )


def _options(parameters: dict[str, Any], resume: dict[str, Any]) -> FileOptions:
    names = ("complexity", "frame_count", "frame_duration_ms")
    of_format = {name: parameters[name] for name in names if name in parameters}
    return FileOptions(resume["output_compression"], **of_format)


def _job(service: Service, submission: Submission, row: Row, record: Record) -> Job:
    """Queue a resumed request. It was counted in the limits before, so they are not checked."""
    worker = service.worker(submission)
    context = JobContext(
        row["id"],
        Holder(row["key_name"]),
        service.traces.begin_resumed(row["id"]),
        record=record,
        created_s=row["created_s"],
        begins=record.count_attempt,
        ended=service.count_end(submission, row["key_name"]),
    )
    job = worker.submit(submission.request, context, is_bounded=False)
    service.jobs.add(job.status, row["client_id"])
    return job


async def _finish(service: Service, submission: Submission, job: Job) -> None:
    """Store the pictures of a resumed request; no client waits for it."""
    id = job.status.id
    try:
        with job:
            async for event in job.events():
                if isinstance(event, Picture):
                    await service.encode(output.keep, service, submission, job, event)
    except LimnerError as error:
        level = logging.INFO if job.status.state == "cancelled" else logging.WARNING
        log.log(level, "%s could not be resumed: %s", id, error.message)
    except Exception:  # a mistake of the engine's, or of ours
        log.exception("%s could not be resumed", id)
    finally:
        about = {"limner.key": job.key_name, "limner.outcome": job.status.state}
        job.trace.end(about, is_failed=job.status.state == "failed")
