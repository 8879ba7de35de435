"""Requests that a stopped or dead server left: drawn on by another, from what their rows keep.

A server looks for them when it starts and every `maintenance.EVERY_S`. One that stops says so; one that
dies is known by its silence. The database gives each request to one server alone.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from starlette.concurrency import run_in_threadpool

from limner.engines.base import Picture
from limner.errors import LimnerError
from limner.request import ImageRequest, Size
from limner.server.openai.calls import Call
from limner.server.openai.profiles import Target
from limner.server.routes.images import keep
from limner.service.access.auth import Holder
from limner.service.context import Service
from limner.service.queue.jobs import Job
from limner.storage.db.database import Row
from limner.storage.db.history import Record

log = logging.getLogger("limner.server")

_drawing: set[asyncio.Task[None]] = set()  # a task that nobody holds may vanish


async def draw_on(serving: Service) -> None:
    """Queue the interrupted requests that asked for it, unless another server was quicker."""
    if serving.history is None or not serving.is_ready:
        return
    models = serving.catalogue.own.keys()
    for row, record in await run_in_threadpool(serving.history.take_interrupted, models):
        try:
            call = _call(serving, row)
            job = _job(serving, call, row, record)
        except (LimnerError, KeyError) as error:  # it stops, or the row is by another limner
            log.warning("%s cannot be drawn on here: %s", row["id"], error)
            await run_in_threadpool(record.end, "interrupted")
            continue
        task = asyncio.create_task(_finish(serving, call, job))
        _drawing.add(task)
        task.add_done_callback(_drawing.discard)
        log.info("%s is drawn on: %d of %d are there", row["id"], job.n_kept, job.request.n)


def _call(serving: Service, row: Row) -> Call:
    """The request of a row, but for the pictures that are there."""
    parameters: dict[str, Any] = row["parameters"]
    request = ImageRequest(
        row["prompt"],
        parameters["n"],
        Size.parse(parameters["size"]),
        parameters["quality"],
        parameters["seed"],
        parameters["background"],
        best_of=parameters.get("best_of"),
        retry_below=parameters.get("retry_below"),
        made=frozenset(picture["number"] for picture in row["pictures"]),
    )
    target = Target("dalle2", serving.catalogue.own[row["model"]], row["model"], own=True)
    return Call(
        target,
        request,
        "url",
        parameters["output_format"],
        row["resume"]["output_compression"],
        moderation=row["resume"]["moderation"],
    )


def _job(serving: Service, call: Call, row: Row, record: Record) -> Job:
    """Admitted and counted once already, so no limit is asked again."""
    worker = serving.worker(call)
    trace = serving.traces.begin_resumed(row["id"])
    job = worker.submit(call.request, Holder(row["key_name"]), row["id"], trace, is_bounded=False)
    job.record = record
    job.status.created_s = row["created_s"]
    job.ended = serving.count_end(call, row["key_name"])
    serving.jobs.add(job.status, row["client_id"])
    return job


async def _finish(serving: Service, call: Call, job: Job) -> None:
    """Keep the pictures as they come; nobody waits for an answer."""
    id = job.status.id
    try:
        with job:
            async for event in job.events():
                if isinstance(event, Picture):
                    await run_in_threadpool(keep, serving, call, job, event, id)
    except LimnerError as error:
        level = logging.INFO if job.status.state == "cancelled" else logging.WARNING
        log.log(level, "%s could not be drawn on: %s", id, error.message)
    except Exception:  # a mistake of the engine's, or of ours
        log.exception("%s could not be drawn on", id)
    finally:
        about = {"limner.key": job.key_name, "limner.outcome": job.status.state}
        job.trace.end(about, is_failed=job.status.state == "failed")
