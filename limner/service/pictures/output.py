"""Moderate and encode drawn pictures, and keep them in the history and the store."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

from limner.engines.base import Picture, Preview
from limner.engines.events import Details, details_of
from limner.errors import LimnerError
from limner.finish.vector import svg_metadata
from limner.imaging import codec, gif
from limner.request import FileFormat, Format
from limner.service.context import Service
from limner.service.queue.jobs import Job
from limner.service.submission import Submission
from limner.storage.history import history


@dataclass(frozen=True)
class OutputFile:
    """An encoded picture; `name` is its name in the store, if it was stored."""

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
    size, format, options = submission.request.size, submission.format, submission.options
    if event.pixels.shape[:2] != (size.height, size.width):  # a preview may be smaller
        pixels = codec.resize(event.pixels, size.width, size.height)
        if isinstance(event, Picture):
            event = replace(event, pixels=pixels, file=None)
        else:
            event = replace(event, pixels=pixels)
    details = None
    if isinstance(event, Picture):
        details = details_of(event)
        data = event.encode(format, options)
    else:  # of a stream, which has no other formats
        pixels = event.label.marked(event.pixels) if event.label else event.pixels
        data = codec.encode(pixels, cast("Format", format), quality=options.compression)
        data = event.label.attach(data) if event.label else data
    opaque = gif.HALF if format == "gif" else 255
    is_clear = format != "jpeg" and bool((event.pixels[..., 3] < opaque).any())
    return OutputFile(data, is_clear, details=details)


def is_transparent(data: bytes, format: FileFormat) -> bool:
    """Whether a file that `encode` made shows what is behind it anywhere.

    Raises DataError if it is damaged.
    """
    if format == "svg":
        return svg_metadata.read(data).text.get("background") == "transparent"
    return bool((codec.decode(data)[..., 3] < 255).any())


def _store(
    service: Service,
    record: history.Record | None,
    picture: Picture,
    data: bytes,
    format: FileFormat,
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
    format: FileFormat,
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
