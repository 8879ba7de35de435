"""What the tests of the server share: a real server on a free port, and one check of all errors."""

from __future__ import annotations

import base64
import http.client
import io
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from fastapi import FastAPI
from PIL import Image, ImageDraw

from limner import settings as settings_module
from limner.engines.base import (
    NEVER,
    BatchKey,
    CancelToken,
    Capabilities,
    Engine,
    Event,
    ImageTask,
)
from limner.engines.testcard import CardEngine
from limner.server.app import create_app
from limner.server.transport.configuration import uvicorn_config
from limner.service.context import Service
from limner.service.moderation.word_list import Moderator, PictureModerator
from limner.settings import Settings

GENERATIONS = "/v1/images/generations"
EDITS = "/v1/images/edits"
VARIATIONS = "/v1/images/variations"
JOBS = "/v1/images/jobs/"
HISTORY = "/v1/images/history"
BODY = {"prompt": "a cat", "size": "256x256"}


@dataclass
class Server:
    """A server that runs, and a client for it."""

    url: str
    app: FastAPI
    http: httpx2.Client
    uvicorn: uvicorn.Server

    @property
    def is_idle(self) -> bool:
        """Whether all requests that it has read have been dealt with to their end."""
        return not self.uvicorn.server_state.tasks

    @property
    def service(self) -> Service:
        """Its inside, for tests of what cannot be seen from outside."""
        service = self.app.state.service
        assert isinstance(service, Service)
        return service

    @property
    def stored(self) -> list[Path]:
        """The files of all pictures it has stored in its home."""
        home = self.service.settings.home
        return [path for folder in ("history", "pictures") for path in (home / folder).glob("*")]

    def generate(self, **body: Any) -> httpx2.Response:
        """Ask for pictures of a cat at the smallest size, unless `body` says otherwise."""
        return self.http.post(GENERATIONS, json=BODY | body)

    def ask(self, headers: dict[str, str], timeout_s: float = 60, **body: Any) -> httpx2.Response:
        """`generate` with headers, by a connection of its own."""
        url = self.url + GENERATIONS
        return httpx2.post(url, json=BODY | body, headers=headers, timeout=timeout_s)

    def job(self, id: str) -> dict[str, Any]:
        """How the request `id` stands."""
        body: dict[str, Any] = self.http.get(JOBS + id).json()
        return body

    def begin(
        self, answers: list[httpx2.Response], headers: dict[str, str], **body: Any
    ) -> threading.Thread:
        """`ask` in a thread, which puts the answer into `answers`."""
        thread = threading.Thread(
            target=lambda: answers.append(self.ask(headers, **body)), daemon=True
        )
        thread.start()
        return thread

    def abandon(
        self,
        condition: Any,
        body: dict[str, Any],
        headers: dict[str, str] | None = None,
        path: str = GENERATIONS,
    ) -> None:
        """Send a request, and close its connection unread once `condition()` is true."""
        client = http.client.HTTPConnection(self.url.removeprefix("http://"))
        headers = {"content-type": "application/json"} | (headers or {})
        with closing(client):
            # The same bytes as of the other requests, which a repeated Idempotency-Key must have.
            client.request("POST", path, httpx2.Request("POST", "", json=body).content, headers)
            wait_until(condition)

    def edit(self, files: Any, **values: Any) -> httpx2.Response:
        """Ask for an edit by a form."""
        return self.http.post(EDITS, data={"prompt": "a hat"} | values, files=files)


def make_settings(home: Path, **values: Any) -> Settings:
    """Settings for the testcard engine in `home`, with `values` over them."""
    flags = {"engine": "testcard", "port": 0} | values
    return settings_module.load(flags, environ={"LIMNER_HOME": str(home)}, folder=home)


@contextmanager
def running(
    settings: Settings,
    moderator: Moderator | None = None,
    picture_moderator: PictureModerator | None = None,
    *,
    port: int = 0,
) -> Iterator[Server]:
    """A server in a thread of this process, on `port` of loopback; 0: a free one."""
    app = create_app(settings, moderator, picture_moderator)
    config = uvicorn_config(app, settings, port=port)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        with httpx2.Client(base_url=url, timeout=60) as client:
            yield Server(url, app, client, server)
    finally:
        server.should_exit = True
        thread.join(60)
    assert not thread.is_alive(), "the server did not stop"


def wait_until(condition: Any, timeout_s: float = 60.0) -> None:
    """Return once `condition()` is true."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def assert_openai_error(
    response: httpx2.Response, status: int, code: str | None, param: str | None = None
) -> str:
    """Check that `response` is a refusal in the one envelope; returns its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["openai-version"] == "2020-10-01"
    assert int(response.headers["openai-processing-ms"]) >= 0
    assert "request-id" not in response.headers
    body = response.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert (error["code"], error["param"]) == (code, param), error
    message: str = error["message"]
    return message


@dataclass
class GatedEngine(Engine):
    """A card engine that waits before every event until the test lets it go on."""

    name: str = "gated"
    model: str = "gated"
    max_concurrency: int = 1
    most: int = 1  # pictures in a batch
    capabilities: Capabilities = field(default=Capabilities(previews=True, transparent=True))
    card: CardEngine = field(default_factory=CardEngine)
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    batches: list[list[str]] = field(default_factory=list)  # prompts of each
    started: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    fail_at: type[Event] | None = None
    cannot_draw: str | None = None  # a prompt

    def batch_key(self, task: ImageTask) -> BatchKey:
        """Pictures of one size share."""
        return BatchKey(task.request.size, self.most)

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Yield what the card engine yields, one event for each release of the gate."""
        prompts = [task.request.prompt for task in tasks]
        self.batches.append(prompts)
        self.started += prompts
        try:
            for one, event in self.card.draw(tasks):
                assert self.gate.acquire(timeout=60)
                if self.fail_at and isinstance(event, self.fail_at):
                    raise ZeroDivisionError("a mistake in the engine")
                if self.cannot_draw in prompts:
                    raise ZeroDivisionError("a mistake at this prompt")
                yield one, event
        finally:
            self.stopped += prompts

    def let_all_go(self) -> None:
        """Open the gate for good."""
        self.gate.release(10_000)


def picture_file(
    width: int = 64,
    height: int | None = None,
    *,
    mode: str = "RGBA",
    format: str = "PNG",
    colour: Any = 0,
) -> bytes:
    """A plain picture as a file; by default black, and clear where the mode has alpha."""
    file = io.BytesIO()
    Image.new(mode, (width, height or width), colour).save(file, format)
    return file.getvalue()


def two_things_file() -> bytes:
    """A red circle to the left of a blue square on nothing, 256x256, as a PNG file."""
    image = Image.new("RGBA", (256, 256))
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 80, 110, 170), fill=(221, 46, 68))
    draw.rectangle((146, 80, 236, 170), fill=(62, 132, 226))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def open_picture(data: bytes | str) -> Image.Image:
    """A picture of an answer, decoded in full; text is base64."""
    raw = base64.b64decode(data, validate=True) if isinstance(data, str) else data
    image = Image.open(io.BytesIO(raw))
    image.load()
    return image
