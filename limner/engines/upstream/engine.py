"""An engine that has its pictures drawn by another image service.

Each picture is one request, so what it costs and what fails is known of each. A request is sent
once: only if nothing was sent, or the service refused before it drew, another service is asked.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from limner.arrays import Pixels
from limner.engines.base import (
    NEVER,
    CancelToken,
    Engine,
    Event,
    ImageTask,
    Notice,
    Picture,
    PictureFile,
    Preview,
    Progress,
)
from limner.engines.upstream import refusals
from limner.engines.upstream.dialects import DIALECTS
from limner.engines.upstream.dialects.base import Answer, Call, Dialect
from limner.engines.upstream.exchange import Limits, NotConnected, Stopped, post
from limner.engines.upstream.recording import Recorder, Replayer, Response
from limner.engines.upstream.refusals import Declined
from limner.engines.upstream.server_sent import events
from limner.errors import DataError, LimnerError, Refused, SettingsError, UpstreamError
from limner.imaging import codec, decode_upload
from limner.request import Format, ImageRequest, Size
from limner.settings import Settings

log = logging.getLogger("limner.engines")

MAX_BODY_BYTES = 200_000_000
_MAX_ERROR_BYTES = 65_536
_REST_S = 30.0  # before a service that did not answer is asked before others again
_STAGE = "drawing"
_FORMATS: tuple[tuple[bytes, int, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "png"),
    (b"\xff\xd8\xff", 0, "jpeg"),
    (b"WEBP", 8, "webp"),
)


@dataclass(frozen=True)
class Upstream:
    """A service, and the key that it wants, if any."""

    url: str
    key: str = field(default="", repr=False)


class UpstreamEngine(Engine):
    """Draws with the first of `upstreams` that can; see `engines.base.Engine`."""

    name = "upstream"

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        dialect: str = "openai",
        model: str = "",
        limits: Limits = Limits(),  # noqa: B008  frozen
        max_concurrency: int = 4,
        recorder: Recorder | None = None,
        replayer: Replayer | None = None,
    ) -> None:
        """With a `replayer`, no service is asked: it gives the answers."""
        self._upstreams = list(upstreams)
        self._dialect: Dialect = DIALECTS[dialect]()
        self._asked_model = model
        self._limits = limits
        self._recorder, self._replayer = recorder, replayer
        self._rests_until: dict[Upstream, float] = {}
        self._lock = threading.Lock()
        # Not the bare name: it may be one of OpenAI's, which has rules of its own here.
        self.model = f"upstream/{model}" if model else "upstream"
        self.max_concurrency = max_concurrency
        self.capabilities = self._dialect.capabilities

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Have pictures drawn, one after the other; a cancelled one closes its connection."""
        for task in tasks:
            if cancel.is_cancelled(task):
                continue
            try:
                for event in self._drawn(task, cancel):
                    yield task, event
            except Stopped:
                continue

    def _drawn(self, task: ImageTask, cancel: CancelToken) -> Iterator[Event]:
        """The events of one picture, by the first service that takes it."""
        call = self._dialect.call(task, self._asked_model)
        refused: list[Refused] = []
        for upstream in self._in_order():
            try:
                yield from self._by(upstream, call, task, lambda: cancel.is_cancelled(task))
                return
            except NotConnected as error:
                self._rest(upstream, _REST_S)
                refused.append(refusals.unreachable(str(error)))
            except Declined as error:
                self._rest(upstream, error.refused.retry_after_s or 1.0)
                refused.append(error.refused)
            log.warning("upstream %s: %s", upstream.url, refused[-1].message)
        # The one after which a client may ask again, and soonest.
        raise min(refused, key=lambda one: (one.status != 429, one.retry_after_s or 1e9))

    def _by(
        self, upstream: Upstream, call: Call, task: ImageTask, is_stopped: Callable[[], bool]
    ) -> Iterator[Event]:
        with self._answered(upstream, call, is_stopped) as response:
            if response.status != 200:
                told = response.read(_MAX_ERROR_BYTES)
                raise refusals.from_status(
                    response.status, dict(response.headers.items()), told, upstream.key
                )
            kind = response.headers.get_content_type()
            if kind == "text/event-stream":
                yield from self._streamed(response, task, upstream.key)
                return
            if call.is_stream:
                yield Notice("The upstream showed no previews")
            answer = self._dialect.answer(_json(response))
        yield from self._finished(answer, task)

    @contextmanager
    def _answered(
        self, upstream: Upstream, call: Call, is_stopped: Callable[[], bool]
    ) -> Iterator[Response]:
        """The answer to `call`: recorded earlier, or of the service."""
        if self._replayer:
            with self._replayer.answer(call) as recorded:
                yield recorded
            return
        headers = {"content-type": call.content_type, "connection": "close"}
        headers["accept"] = "text/event-stream" if call.is_stream else "application/json"
        if upstream.key:
            headers["authorization"] = self._dialect.authorization(upstream.key)
        url = upstream.url + call.path
        with post(url, call.body, headers, self._limits, is_stopped) as response:
            if self._recorder is None:
                yield response
                return
            with self._recorder.keeping(call, response, upstream.key) as copied:
                yield copied

    def _streamed(self, response: Response, task: ImageTask, key: str) -> Iterator[Event]:
        """Previews as they come, and the picture."""
        n_asked, n_shown = task.request.previews, 0
        for event in events(response):
            kind = str(event["type"])
            if kind == "error" or "error" in event:
                raise refusals.from_event(event, key)
            if kind.endswith(".partial_image") and n_shown < n_asked:
                n_shown += 1
                yield Progress(n_shown, n_asked + 1, _STAGE)
                if (pixels := _preview(self._dialect, event)) is not None:
                    yield Preview(task.index, pixels, n_shown, n_asked + 1)
            elif kind.endswith(".completed"):
                yield from self._finished(self._dialect.answer(event), task)
                return
        raise UpstreamError(
            "The stream of the upstream ended before the picture came",
            hint="it may have charged for the picture; its own log tells",
        )

    def _finished(self, answer: Answer, task: ImageTask) -> Iterator[Event]:
        request = task.request
        file = PictureFile(answer.data, _format_of(answer.data))
        pixels = _pixels(answer.data, request)
        n_steps = request.previews + 1
        yield Progress(n_steps, n_steps, _STAGE)
        yield Picture(
            pixels,
            request.prompt,
            task.seed,
            task.index,
            self.model,
            file=file,
            usage=answer.usage,
            revised_prompt=answer.revised_prompt,
        )

    def _in_order(self) -> list[Upstream]:
        """All services; those that failed a moment ago come last."""
        now_s = time.monotonic()
        with self._lock:
            rests = dict(self._rests_until)
        return sorted(self._upstreams, key=lambda one: max(0.0, rests.get(one, 0.0) - now_s))

    def _rest(self, upstream: Upstream, seconds: float) -> None:
        with self._lock:
            self._rests_until[upstream] = time.monotonic() + seconds


def build(settings: Settings) -> UpstreamEngine:
    """The engine that the settings describe; a SettingsError if they name no service."""
    urls, keys = settings.upstream_url, settings.upstream_key
    record, replay = settings.upstream_record, settings.upstream_replay
    if record and replay:
        raise SettingsError(
            "LIMNER_UPSTREAM_RECORD and LIMNER_UPSTREAM_REPLAY are both set",
            hint="record first, and replay what was recorded then",
        )
    if replay and not urls:
        urls, keys = ("http://recorded.invalid",), ()
    if not urls:
        raise SettingsError(
            "Engine upstream needs the address of a service",
            hint="set LIMNER_UPSTREAM_URL, for example to http://127.0.0.1:8000/v1",
        )
    if len(keys) not in (0, 1, len(urls)):
        raise SettingsError(
            f"LIMNER_UPSTREAM_KEY has {len(keys)} keys for {len(urls)} addresses",
            hint="give one key for all, or one for each address in the same order",
        )
    dialect = DIALECTS[settings.upstream_dialect]
    keys = keys * len(urls) if len(keys) == 1 else keys or ("",) * len(urls)
    rooted = [url if urlsplit(url).path else url + dialect.root for url in urls]
    limits = Limits(
        settings.upstream_connect_s, settings.upstream_first_byte_s, settings.upstream_total_s
    )
    return UpstreamEngine(
        [Upstream(url, key) for url, key in zip(rooted, keys, strict=True)],
        settings.upstream_dialect,
        settings.upstream_model,
        limits,
        settings.upstream_requests,
        Recorder(Path(record)) if record else None,
        Replayer(Path(replay)) if replay else None,
    )


def _json(response: Response) -> dict[str, Any]:
    body = response.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise UpstreamError(f"The upstream sent more than {MAX_BODY_BYTES:,} bytes")
    n_missing = response.length or 0
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        what = "its answer is incomplete" if n_missing else "its answer is no JSON object"
        raise UpstreamError(
            f"The upstream sent no picture: {what}",
            hint="it may have charged for the picture; its own log tells",
        )
    return found


def _format_of(data: bytes) -> Format:
    for magic, at, format in _FORMATS:
        if data[at : at + len(magic)] == magic:
            return format
    raise UpstreamError("The upstream sent a file that is neither PNG nor JPEG nor WebP")


def _pixels(data: bytes, request: ImageRequest) -> Pixels:
    """The pixels of a file, which must be of the size that was asked for."""
    try:
        pixels = decode_upload.read(data).pixels
    except DataError as error:
        raise UpstreamError(f"The upstream sent a damaged picture: {error.message}") from error
    size = Size(pixels.shape[1], pixels.shape[0])
    if size != request.size:
        raise UpstreamError(
            f"The upstream drew {size} where {request.size} was asked for",
            hint=f"ask for {size}, or for another size that the upstream draws",
        )
    return pixels


def _preview(dialect: Dialect, event: dict[str, Any]) -> Pixels | None:
    """The pixels of a preview; one that cannot be read is left out, as the picture is to come."""
    try:
        return codec.decode(dialect.answer(event).data)
    except LimnerError as error:
        log.warning("a preview of the upstream is left out: %s", error.message)
        return None
