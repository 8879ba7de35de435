"""Drawn pictures as files: moderated, encoded, and kept in the history and the store."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace

from limner.engines.base import Picture, Preview
from limner.engines.events import Details, details_of
from limner.errors import LimnerError
from limner.imaging import codec
from limner.request import Format
from limner.service.context import Service
from limner.service.queue.jobs import Job
from limner.service.submission import Submission
from limner.storage.db import history


@dataclass(frozen=True)
class OutputFile:
    """A picture as a file; `name` is its name in the store, if it was stored."""

    data: bytes
    is_transparent: bool
    name: str | None = None
    details: Details | None = None  # of whoever drew it


def keep(
    service: Service,
    submission: Submission,
    job: Job,
    picture: Picture,
    *,
    has_address: bool = False,
) -> OutputFile:
    """A finished picture as a file, with its row in the history if there is one.

    Without a history it is stored only if it gets an address (`has_address`). Blocks: call it
    in a thread. Raises ContentRefused, StoreError, DatabaseError or OutputError.
    """
    started_s = time.monotonic()
    file = check_and_encode(service, submission, picture)
    encoding_s = time.monotonic() - started_s
    service.metrics.worked(picture.model, "encoding", encoding_s)
    about = {"limner.picture": picture.index}
    job.trace.add("encoding", encoding_s, **about)
    if has_address or job.record:
        with job.trace.during("storing", **about):
            name = _store(service, job.record, picture, file.data, submission.format)
        file = replace(file, name=name)
    job.n_kept += 1
    return file


def check_and_encode(
    service: Service, submission: Submission, event: Picture | Preview
) -> OutputFile:
    """A picture or a preview as a file. Raises ContentRefused if it may not be shown."""
    service.check_picture(submission, event.pixels)
    return encode(submission, event)


def encode(submission: Submission, event: Picture | Preview) -> OutputFile:
    """A picture or a preview as a file of the size and format that was asked for.

    A file that came with a picture is passed on unchanged if it is of both.
    """
    size, pixels = submission.request.size, event.pixels
    is_sized = pixels.shape[:2] == (size.height, size.width)
    details = details_of(event) if isinstance(event, Picture) else None
    file = event.passed_on(submission.format) if isinstance(event, Picture) else None
    if file is not None and is_sized:
        return OutputFile(file.data, bool((pixels[..., 3] < 255).any()), details=details)
    if not is_sized:  # a preview may be smaller
        pixels = codec.resize(pixels, size.width, size.height)
    if event.label:
        pixels = event.label.marked(pixels)
    text = event.text() if isinstance(event, Picture) else None
    compression = None if submission.format == "png" else submission.compression
    data = codec.encode(pixels, submission.format, text, quality=compression)
    if event.label:
        data = event.label.attach(data)
    is_transparent = submission.format != "jpeg" and bool((pixels[..., 3] < 255).any())
    return OutputFile(data, is_transparent, details=details)


def _store(
    service: Service,
    record: history.Record | None,
    picture: Picture,
    data: bytes,
    format: Format,
) -> str:
    """Store a file, then its row if the request has one; returns the file's name."""
    started_s = time.monotonic()
    service.room.check()
    if record is None:
        name = service.links.store(data, format)
    else:
        name = service.links.keep(data, format, record.asked.id, picture.index)
        _write_row(service, record, picture, name, data, format)
        service.trim_history(len(data))
    service.metrics.worked(picture.model, "storing", time.monotonic() - started_s)
    return name


def _write_row(
    service: Service,
    record: history.Record,
    picture: Picture,
    name: str,
    data: bytes,
    format: Format,
) -> None:
    height, width = picture.pixels.shape[:2]
    details = details_of(picture)
    made = history.Made(
        picture.index,
        picture.seed,
        picture.score,
        width,
        height,
        format,
        details.as_json() if details else None,
    )
    try:
        record.add(made, name, data)
    except BaseException:
        # A picture needs its row. What cannot be checked or deleted now, maintenance does later.
        with suppress(LimnerError):
            if not record.has(name):
                service.links.discard(name)
        raise
