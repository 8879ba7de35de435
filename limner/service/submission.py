"""From a checked request to a job: limits, queue, and a row in the history.

Every front end (HTTP, MCP, the agent tools) submits here, so all of them pass the same checks and
leave the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from anyio import to_thread

from limner.engines.drawing_formats import check_format
from limner.request import DEFAULT_OPTIONS, FORMATS, FileFormat, FileOptions, ImageRequest
from limner.service.access.auth import Holder
from limner.service.errors import CannotResume
from limner.service.queue.jobs import Job
from limner.service.telemetry.traces import NO_TRACE, Trace
from limner.storage.db.history import Asked

if TYPE_CHECKING:
    from limner.service.context import Service

Strictness = Literal["low", "auto"]  # of moderation


@dataclass(frozen=True)
class Submission:
    """What a front end asks the service to draw, and in which form the pictures are kept."""

    request: ImageRequest  # its seed is set
    engine: str
    format: FileFormat = "png"
    options: FileOptions = DEFAULT_OPTIONS
    moderation: Strictness = "auto"
    is_stream: bool = False  # its reader takes one picture after another
    parent: str | None = None  # SHA-256 of the file of the picture that it begins with
    client_id: str | None = None  # the client's own id of the request
    resume: bool = False  # drawn to the end, even by another server after a restart

    @property
    def kind(self) -> str:
        """generation, edit or variation."""
        source = self.request.source
        return "generation" if source is None else type(source).__name__.lower()

    @property
    def parameters(self) -> dict[str, Any]:
        """All that it takes, beside the prompt, to ask for the same pictures again."""
        request = self.request
        return {
            "n": request.n,
            "size": str(request.size),
            "quality": request.quality,
            "background": request.background,
            "seed": request.seed,
            "best_of": request.best_of,
            "retry_below": request.retry_below,
            "output_format": self.format,
            **self._of_format,
        }

    @property
    def _of_format(self) -> dict[str, Any]:
        if self.format == "svg":
            return {"complexity": self.options.complexity}
        if self.format == "gif":
            return {
                "frame_count": self.options.frame_count,
                "frame_duration_ms": self.options.frame_duration_ms,
            }
        return {}


async def submit(
    service: Service, submission: Submission, holder: Holder, id: str, trace: Trace = NO_TRACE
) -> Job:
    """Queue `submission` as request `id` of `holder`.

    Raises RateLimited, QueueFull, ShuttingDown, CannotResume, DatabaseError, or InvalidRequest
    for a format that the engine cannot draw.
    """
    if submission.format not in FORMATS:
        engine = service.worker(submission).engine
        await to_thread.run_sync(check_format, engine, submission.request, submission.format)
    resume = _kept_for_resuming(service, submission)
    ticket = await service.limiter.admitted(holder, submission.request.n)
    try:
        job = service.worker(submission).submit(
            submission.request, holder, id, trace, is_stream=submission.is_stream
        )
    except BaseException:
        await service.limiter.refunded(ticket)
        raise
    job.ticket = ticket
    job.ended = service.count_end(submission, holder.name)
    service.jobs.add(job.status, submission.client_id)
    if service.history:
        asked = Asked(
            id=id,
            key_name=holder.name,
            kind=submission.kind,
            model=service.worker(submission).engine.model,
            prompt=submission.request.prompt,
            n=submission.request.n,
            parameters=submission.parameters,
            parent=submission.parent,
            client_id=submission.client_id,
            resume=resume,
        )
        try:
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
    if not engine.repeatable:
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
