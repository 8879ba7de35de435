"""The side of limner: starts the process, hands it pictures to draw, and ends it.

A process that does not answer a cancel is killed. One that crashes fails what it was drawing; the
next picture starts another.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import limner
from limner.engines import registry
from limner.engines.base import (
    NEVER,
    CancelToken,
    Capabilities,
    Engine,
    Event,
    ImageTask,
    Picture,
)
from limner.errors import EngineError
from limner.settings import Settings

log = logging.getLogger("limner.engines")

MODULE = "limner.engines.apart.child"
GRACE_S = 2.0  # that a cancelled picture has to end by itself
_POLL_S = 0.25
_START_S = 600.0  # for weights to be read on a busy machine


def load(name: str, settings: Settings, *, apart: bool = False) -> Engine:
    """Engine `name`, in a process of its own if that is asked for or if it always is.

    Raises what `registry.load` does.
    """
    if apart or registry.engine_info(name).apart:
        return ApartEngine(name, settings)
    return registry.load(name, settings)


@dataclass(frozen=True)
class About:
    """What an engine says of itself."""

    name: str
    model: str
    capabilities: Capabilities
    n_bytes: int


class ApartEngine(Engine):
    """Engine `name` of the registry in a process of its own; one picture at a time.

    See `engines.base.Engine`. Pictures are not drawn in batches, as only the process knows which
    ones can be.
    """

    max_concurrency = 1

    def __init__(self, name: str, settings: Settings) -> None:
        """Starts the process; raises what the engine says is wrong when it is loaded there."""
        self._engine, self._settings = name, settings
        self._lock = threading.Lock()
        self._child: _Child | None = None
        about = self._started().about
        self.name, self.model = about.name, about.model
        self.capabilities, self.n_bytes = about.capabilities, about.n_bytes

    @property
    def pid(self) -> int | None:
        """The id of the process, if there is one."""
        child = self._child
        return child.process.pid if child else None

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Have pictures drawn, one after the other."""
        for task in tasks:
            if not cancel.is_cancelled(task):
                with self._lock:
                    for event in self._drawn(task, cancel):
                        yield task, event

    def close(self) -> None:
        """End the process; its memory is free then."""
        child, self._child = self._child, None
        if child:
            child.kill()

    def _drawn(self, task: ImageTask, cancel: CancelToken) -> Iterator[Event]:
        child = self._started()
        is_over = False
        try:
            child.send(("draw", task))
            is_told = False
            ends_s = 0.0
            while True:
                if not is_told and cancel.is_cancelled(task):
                    is_told, ends_s = True, time.monotonic() + GRACE_S
                    child.send(("cancel", None))
                if is_told and time.monotonic() > ends_s:
                    return
                if not child.connection.poll(_POLL_S):
                    continue
                kind, value = child.receive()
                if kind == "event":
                    is_named = isinstance(value, Picture) and value.model != self.model
                    yield replace(value, model=self.model) if is_named else value
                    continue
                is_over = True
                if kind == "error":
                    raise value
                return
        finally:
            if not is_over:
                self._leave(child)

    def _leave(self, child: _Child) -> None:
        """Nobody waits for what `child` draws: let it end, or end it."""
        if not child.ends_drawing(GRACE_S):
            log.warning("engine %s did not stop when it was told to: killed", self._engine)
            self.close()

    def _started(self) -> _Child:
        if self._child is None or not self._child.is_alive:
            self.close()
            self._child = _Child(self._engine, self._settings)
        return self._child


class _Child:
    """A process, and the connection to it. For one thread at a time."""

    def __init__(self, name: str, settings: Settings) -> None:
        self._name = name
        ours, theirs = socket.socketpair()
        # Found where this package is, whatever the folder that limner was started in.
        paths = [str(Path(limner.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", MODULE, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environ,
            )
        self.connection = Connection(ours.detach())
        try:
            self.send((name, settings))
            if not self.connection.poll(_START_S):
                raise EngineError(f"Engine {name} was not loaded within {_START_S:g} s")
            kind, value = self.receive()
            if kind == "error":
                raise value
        except BaseException:
            self.kill()
            raise
        self.about: About = value

    @property
    def is_alive(self) -> bool:
        """Whether it can draw."""
        return self.process.poll() is None and not self.connection.closed

    def send(self, what: tuple[Any, Any]) -> None:
        """Tell it something; an EngineError if it is gone."""
        try:
            self.connection.send(what)
        except OSError as error:
            raise self._ended() from error

    def receive(self) -> tuple[str, Any]:
        """What it says next; an EngineError if it is gone."""
        try:
            found: tuple[str, Any] = self.connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        return found

    def ends_drawing(self, seconds: float) -> bool:
        """Cancel what it draws; whether it has ended that within `seconds`, or crashed."""
        ends_s = time.monotonic() + seconds
        try:
            self.send(("cancel", None))
            while (left_s := ends_s - time.monotonic()) > 0:
                if self.connection.poll(left_s) and self.receive()[0] != "event":
                    return True
        except EngineError:
            return True
        return False

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        self.connection.close()

    def _ended(self) -> EngineError:
        self.connection.close()
        code = self.process.wait()
        what = f"with exit code {code}"
        if code < 0:
            what = f"by {signal.Signals(-code).name}"
        hint = "the log has its last words; the next picture starts it anew"
        if code == -signal.SIGKILL:
            hint = "most likely it took too much memory; ask for fewer or smaller pictures"
        return EngineError(f"The process of engine {self._name} ended {what}", hint=hint)
