"""What the routes share: studio, workers, links, keys and the moderation hooks, built once."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import cast

from anyio import CapacityLimiter
from fastapi import Request

from limner.engines.base import Picture
from limner.errors import LimnerError
from limner.imaging.codec import Pixels
from limner.request import Format
from limner.server.idempotency import Answers
from limner.server.openai import errors
from limner.server.openai.calls import Call
from limner.server.openai.profiles import Catalogue
from limner.service.access.auth import Holder, Keys
from limner.service.access.rate_limits import Limiter
from limner.service.links import Links
from limner.service.moderation import safety
from limner.service.moderation.word_list import (
    ALWAYS,
    Moderator,
    PictureModerator,
    Verdict,
    WordList,
)
from limner.service.queue.jobs import Jobs
from limner.service.queue.worker import Worker
from limner.service.telemetry import traces
from limner.service.telemetry.metrics import Metrics
from limner.settings import Settings
from limner.storage.blobs import store as pictures
from limner.storage.db import history
from limner.storage.db.claims import Claims
from limner.storage.db.database import Database
from limner.storage.db.keys import KeyStore, signing_key
from limner.storage.db.maintenance import Maintenance, Retention
from limner.studio import Studio

_TESTCARD = "testcard"  # costs nothing to have, and lets people try their programs for real


class Service:
    """One server's parts. Building it loads the engine, so whatever is wrong is said at start."""

    def __init__(
        self,
        settings: Settings,
        moderator: Moderator | None = None,
        picture_moderator: PictureModerator | None = None,
    ) -> None:
        self.settings = settings
        studio = Studio(settings)
        self.metrics = Metrics()
        self.traces = traces.exporting() if settings.traces else traces.Traces()
        names = dict.fromkeys([settings.engine, _TESTCARD])
        self.workers = {name: Worker(studio, name, settings.queue, self.metrics) for name in names}
        own = {worker.engine.model: name for name, worker in self.workers.items()}
        self.catalogue = Catalogue(settings.engine, own)
        self.database = Database(settings.database, settings.home)
        self._store = store = pictures.open_store(settings)
        self.history: history.History | None = None
        self.maintenance: Maintenance | None = None
        if settings.history:
            self.history = history.History(self.database, store, settings.home)
            self.maintenance = Maintenance(self.history, settings.home, _retention(settings))
        self.links = Links(store, signing_key(self.database), settings.link_minutes * 60)
        keys = KeyStore(self.database)
        self.keys = Keys(settings.api_keys, keys)
        self.limiter = Limiter(keys)
        self.jobs = Jobs()
        # Pictures are large once decoded: two at a time keep memory bounded.
        self.decoders = CapacityLimiter(2)
        # A store that does not answer must not take the threads that check keys and write rows.
        self.readers = CapacityLimiter(16)
        self.answers = Answers(settings.link_minutes * 60)
        self.claims = Claims(self.database) if settings.history else None
        self.moderator: Moderator = moderator or WordList()
        self.picture_moderator = picture_moderator
        if settings.safety:
            safety.check_installed()
            self.moderator = safety.Together(self.moderator, safety.Swearing())
            self.picture_moderator = picture_moderator or safety.Nudity()

    def count_end(self, call: Call, key_name: str) -> Callable[[str], None]:
        """What counts how `call` ended, once told."""
        return partial(self.metrics.ended, self.worker(call).engine.model, key_name)

    @property
    def max_upload_bytes(self) -> int:
        """Size of a request with pictures."""
        return self.settings.max_upload_mb * 1_000_000

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests."""
        return all(worker.is_ready for worker in self.workers.values())

    def interrupt(self) -> None:
        """Take nothing new, and tell who waits that the server stops."""
        for worker in self.workers.values():
            worker.interrupt()

    def worker(self, call: Call) -> Worker:
        """Who draws `call`."""
        return self.workers[call.target.engine]

    def open(self) -> None:
        """Take part among the servers of this home, and put right what a killed one left."""
        if self.maintenance:
            self.maintenance.acquire()
        self.links.sweep()

    def run_maintenance(self) -> None:
        """What is due every `maintenance.EVERY_S`. Takes time: not on the loop."""
        if self.maintenance:
            self.maintenance.run_maintenance()
        self.links.sweep()

    def close(self) -> None:
        """Stop taking part."""
        if self.maintenance:
            self.maintenance.release()
        self.database.close()

    def keep(
        self, record: history.Record | None, picture: Picture, data: bytes, format: Format
    ) -> str:
        """Store a finished picture, and its row if the request has one; returns its name."""
        started_s = time.monotonic()
        name = self.links.store(data, format, keep=record is not None)
        if record is not None:
            self._write_row(record, picture, name, data, format)
        self.metrics.worked(picture.model, "storing", time.monotonic() - started_s)
        return name

    def kept_picture(self, name: str) -> bytes:
        """The file of a picture in the history; FileNotFoundError if the store has it not."""
        found = self._store.get(f"{history.FOLDER}/{name}")
        if found is None:
            raise FileNotFoundError(name)
        return found.read()

    def _write_row(
        self, record: history.Record, picture: Picture, name: str, data: bytes, format: Format
    ) -> None:
        height, width = picture.pixels.shape[:2]
        made = history.Made(picture.index, picture.seed, picture.score, width, height, format)
        try:
            record.add(made, name, data)
        except BaseException:
            # No picture without its row; what cannot be told or deleted now, maintenance does later.
            with suppress(LimnerError):
                if not record.has(name):
                    self.links.discard(name)
            raise

    def check_prompt(self, call: Call, request_id: str) -> None:
        """Refuse a prompt that the moderation hook flags; "low" lets all but the worst pass."""
        if not self.settings.moderation or not call.request.prompt:
            return
        self._refuse(call, self.moderator.check(call.request.prompt), request_id, "input")

    def check_picture(self, call: Call, pixels: Pixels, request_id: str) -> None:
        """Refuse a picture that was drawn, as a prompt is refused. Takes time: not on the loop."""
        if self.settings.moderation and self.picture_moderator:
            verdict = self.picture_moderator.check(pixels)
            self._refuse(call, verdict, request_id, "output")

    def _refuse(self, call: Call, verdict: Verdict, request_id: str, stage: errors.Stage) -> None:
        categories = verdict.categories
        if call.moderation == "low":
            categories = [name for name in categories if name in ALWAYS]
        if categories:
            raise errors.blocked(categories, request_id, is_gpt=call.target.is_gpt, stage=stage)


def _retention(settings: Settings) -> Retention:
    return Retention(settings.history_days or None, settings.history_mb * 1_000_000 or None)


def of(request: Request) -> Service:
    """The service that answers `request`."""
    return cast("Service", request.app.state.service)


def holder(request: Request) -> Holder:
    """Whose `request` it is; known behind the check of keys."""
    return cast("Holder", request.state.holder)


def trace(request: Request) -> traces.Trace:
    """The spans of `request`."""
    return cast("traces.Trace", request.state.trace)


def request_id(request: Request) -> str:
    """The id that the doorway gave `request`."""
    return str(request.state.request_id)
