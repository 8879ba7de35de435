"""The parts of the service, built once: studio, workers, store, keys, limits, moderation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from limner.arrays import Pixels
from limner.errors import LimnerError
from limner.recognition.finding import Found
from limner.recognition.look import Look
from limner.service.access.auth import Keys, warn_of_names_by_place
from limner.service.access.rate_limits import Limiter
from limner.service.errors import ContentRefused, Stage
from limner.service.model_workers import Models
from limner.service.moderation import safety
from limner.service.moderation.word_list import (
    ALWAYS,
    Moderator,
    PictureModerator,
    Verdict,
    WordList,
)
from limner.service.pictures.disk_space import Room
from limner.service.pictures.links import Links
from limner.service.queue.jobs import Jobs
from limner.service.queue.worker import Worker
from limner.service.recovery.rebuild_rows import Recovery
from limner.service.submission import Strictness, Submission
from limner.service.telemetry import traces
from limner.service.telemetry.metrics import Metrics
from limner.service.threads import Threads
from limner.settings import Settings
from limner.storage.blobs.opening import open_store
from limner.storage.db import store_id
from limner.storage.db.claims import Claims
from limner.storage.db.clock import ClockWatch
from limner.storage.db.database import BUSY_S, N_CONNECTIONS, Database
from limner.storage.db.keys import KeyStore, signing_key
from limner.storage.db.sessions import Sessions
from limner.storage.history import history
from limner.storage.history.maintenance import Maintenance, Retention
from limner.studio import Studio

log = logging.getLogger("limner.server")

P = ParamSpec("P")
T = TypeVar("T")

MAX_ENCODED_AT_ONCE = 4  # pictures and previews
_MAINTENANCE_S = 60.0  # for one statement over many rows


class Service:
    """The parts of one server. Building it loads the engine, so errors appear at the start."""

    def __init__(
        self,
        settings: Settings,
        moderator: Moderator | None = None,
        picture_moderator: PictureModerator | None = None,
    ) -> None:
        self.settings = settings
        self.studio = studio = Studio(settings)
        self._looking = CapacityLimiter(1)  # a look takes a core; pictures are drawn meanwhile
        # Files are made on cores, and each at work holds its pixels several times.
        self._encoders = CapacityLimiter(MAX_ENCODED_AT_ONCE)
        self.metrics = Metrics()
        self.traces = traces.exporting() if settings.traces else traces.Traces()
        self.models = Models(studio, settings.queue, self.metrics)
        store_id.check(settings)
        self.database = Database(settings.database, settings.home)
        # A database that does not answer must not take the threads that all else runs in.
        self.database_threads = Threads(2 * N_CONNECTIONS, BUSY_S)
        self._store = store = open_store(settings)
        self.history: history.History | None = None
        self.maintenance: Maintenance | None = None
        if settings.history:
            self.history = history.History(self.database, store, settings.home)
        else:
            store_id.claim(self.database, store)
        self.links = Links(store, signing_key(self.database), settings.link_minutes * 60)
        if self.history:
            self.maintenance = Maintenance(
                self.history,
                settings.home,
                _retention(settings),
                names=self.links.names,
                adopt=Recovery(self.history, self.links.names).adopt_all,
            )
        self._clock = self.maintenance.clock if self.maintenance else ClockWatch(self.database)
        self.room = Room(settings.home, store, self.database, self.maintenance)
        self._is_open = False
        keys = KeyStore(self.database)
        self.keys = Keys(settings.api_keys, keys)
        self.sessions = Sessions(self.database)
        if settings.api_keys:
            warn_of_names_by_place(keys)
        # A count may wait for another server's: it takes half of the connections at most.
        self.limiter = Limiter(keys, threads=Threads(N_CONNECTIONS // 2, BUSY_S))
        self.jobs = Jobs()
        # A store that does not answer must not take the threads that check keys and write rows.
        self.readers = CapacityLimiter(16)
        self.claims = (
            Claims(self.database, lambda: self._clock.believed_s) if settings.history else None
        )
        self.moderator: Moderator = moderator or WordList()
        self.picture_moderator = picture_moderator
        if settings.safety:
            safety.check_installed()
            self.moderator = safety.Together(self.moderator, safety.Swearing())
            self.picture_moderator = picture_moderator or safety.Nudity()

    def count_end(self, submission: Submission, key_name: str) -> Callable[[str], None]:
        """A function to call once with how `submission` ended."""
        return partial(self.metrics.ended, self.worker(submission).engine.model, key_name)

    @property
    def workers(self) -> Mapping[str, Worker]:
        """The worker of each engine that takes requests."""
        return self.models.workers

    @property
    def max_upload_bytes(self) -> int:
        """Size of a request with pictures."""
        return self.settings.max_upload_mb * 1_000_000

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests."""
        return all(worker.is_ready for worker in self.workers.values())

    @property
    def is_drawing(self) -> bool:
        """Whether a thread may be in an engine, also after `close`."""
        return any(worker.is_drawing for worker in self.models.all_workers())

    def interrupt(self) -> None:
        """Refuse new requests, and tell waiting clients that the server stops."""
        for worker in self.models.all_workers():
            worker.interrupt()

    def worker(self, submission: Submission) -> Worker:
        """The worker that draws `submission`."""
        return self.models.worker(submission.engine)

    def open(self) -> None:
        """Take part among the servers of this home, and put right what a killed one left.

        Once: `limner serve` calls it before it listens to the application, which does it else.
        """
        if self._is_open:
            return
        self._is_open = True
        if self.maintenance:
            with self.database.patience(_MAINTENANCE_S):
                self.maintenance.acquire()
        else:
            self._clock.look()
        self.links.sweep(self._clock.believed_s)

    def run_maintenance(self) -> None:
        """What is due every `maintenance.EVERY_S`. Blocks: call it in a thread."""
        self.studio.cache.sweep()
        self.models.sweep()
        with self.database.patience(_MAINTENANCE_S):
            if self.maintenance:
                self.maintenance.run_maintenance()
            else:
                self._clock.look()
        self.links.sweep(self._clock.believed_s)

    def close(self) -> None:
        """Stop taking part."""
        if self.maintenance:
            self.maintenance.release()
        self.database.close()

    def trim_history(self, n_bytes: int) -> None:
        """Delete the oldest pictures if `n_bytes` more make the history too large.

        A failure is logged; the next turn of maintenance tries again.
        """
        try:
            if self.maintenance:
                self.maintenance.stored(n_bytes)
        except LimnerError as error:
            log.error("the history is larger than it should be: %s", error.message)

    def has_picture(self, name: str) -> bool:
        """Whether the store has the file of a picture in the history."""
        return self._store.look(f"{history.FOLDER}/{name}") is not None

    def kept_picture(self, name: str) -> bytes:
        """The file of a picture in the history; FileNotFoundError if the store has it not."""
        found = self._store.get(f"{history.FOLDER}/{name}")
        if found is None:
            raise FileNotFoundError(name)
        return found.read()

    async def look(self, pixels: Pixels, asked: str | None) -> Look:
        """Look at a picture, one at a time; see `Studio.look`."""
        return await to_thread.run_sync(self.studio.look, pixels, asked, limiter=self._looking)

    async def find(self, pixels: Pixels, words: str) -> Found:
        """Find what `words` name in a picture; see `Studio.find`."""
        return await to_thread.run_sync(self.studio.find, pixels, words, limiter=self._looking)

    async def encode(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """The result of `call`, which makes files of pictures, in one of few threads."""
        return await to_thread.run_sync(partial(call, *arguments, **named), limiter=self._encoders)

    def check_prompt(self, submission: Submission) -> None:
        """Raise ContentRefused for a prompt that the moderation hook flags."""
        self.check_text(submission.request.prompt, submission.moderation)

    def check_text(self, text: str, strictness: Strictness) -> None:
        """Raise ContentRefused for a text of a client that the moderation hook flags."""
        if self.settings.moderation and text:
            _refuse(strictness, self.moderator.check(text), "input")

    def check_picture(self, submission: Submission, pixels: Pixels) -> None:
        """Raise ContentRefused for a drawn picture that the hook flags. Blocks: use a thread."""
        if self.settings.moderation and self.picture_moderator:
            _refuse(submission.moderation, self.picture_moderator.check(pixels), "output")


def _refuse(strictness: Strictness, verdict: Verdict, stage: Stage) -> None:
    """With moderation "low", only the categories that are always refused count."""
    categories = verdict.categories
    if strictness == "low":
        categories = [name for name in categories if name in ALWAYS]
    if categories:
        raise ContentRefused(categories, stage)


def _retention(settings: Settings) -> Retention:
    return Retention(settings.history_days or None, settings.history_mb * 1_000_000 or None)
