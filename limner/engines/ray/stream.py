"""Reading what a replica sends, so that a cancel is seen while nothing comes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from ray.exceptions import RayError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import RayServeException, ReplicaUnavailableError

from limner.errors import EngineError, LimnerError

SILENCE_S = 600.0  # after which a picture has failed: no replica is free, or one hangs
_POLL_S = 0.25


class Lost(Exception):
    """The replica is gone, and with it what it drew."""


def messages(response: Any, is_stopped: Callable[[], bool]) -> Generator[tuple[str, Any]]:
    """The messages of `response`, a stream of Ray Serve, up to its end or until `is_stopped`.

    A stream that is not read to its end is cancelled. Raises Lost if its replica is lost, and
    EngineError if it is silent for SILENCE_S or fails otherwise.
    """
    told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    # A thread reads, as the iterator of Serve waits without a time limit.
    threading.Thread(target=_read, args=(response, told), name="ray-stream", daemon=True).start()
    is_over = False
    heard_s = time.monotonic()
    try:
        while not is_stopped():
            try:
                kind, value = told.get(timeout=_POLL_S)
            except queue.Empty:
                if time.monotonic() - heard_s > SILENCE_S:
                    raise _silent() from None
                continue
            heard_s = time.monotonic()
            if kind == "failed":
                is_over = True
                raise _as_error(value)
            is_over = kind in ("end", "error")
            yield kind, value
            if is_over:
                return
    finally:
        if not is_over:
            response.cancel()


def _read(response: Any, told: queue.SimpleQueue[tuple[str, Any]]) -> None:
    try:
        for message in response:
            told.put(message)
    except BaseException as error:  # for the thread that waits
        told.put(("failed", error))
    else:
        told.put(("failed", Lost("its stream ended early")))


def _as_error(error: BaseException) -> Exception:
    if isinstance(error, Lost | LimnerError):
        return error
    said = (str(error).strip() or repr(error)).splitlines()[0]
    is_own = isinstance(error, RayTaskError | TaskCancelledError)
    if isinstance(error, RayError | ReplicaUnavailableError) and not is_own:
        return Lost(f"{type(error).__name__}: {said}")
    if isinstance(error, RayServeException):
        return EngineError(
            f"The pool does not draw: {said}", hint="`limner ray status` says how it stands"
        )
    return EngineError(f"The replica failed: {type(error).__name__}: {said}")


def _silent() -> EngineError:
    return EngineError(
        f"The pool sent nothing for {SILENCE_S:g} s",
        hint="`limner ray status` shows whether it has replicas; its cluster may be too busy",
    )
