"""An engine that has its pictures drawn by the replicas of a pool on a Ray cluster.

A picture whose replica is lost is drawn again by another one: the same seed gives the same bytes,
and what was told of it already is not told again (`engines.events.ProgressTracker`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from limner.engines.base import (
    NEVER,
    CancelToken,
    Engine,
    Event,
    ImageTask,
    Picture,
    Preview,
)
from limner.engines.ray import cluster, pool
from limner.engines.ray.replica import Begun
from limner.engines.ray.stream import Lost, messages
from limner.errors import DataError, EngineError
from limner.settings import Settings

log = logging.getLogger("limner.engines")

ATTEMPTS = 5  # for one picture, of which each ends with the loss of its replica
_PAUSES_S = (0.0, 0.5, 1.0, 2.0)  # before each attempt; the last one before all others
_POLL_S = 0.25


class RayEngine(Engine):
    """Draws with `model` of the pool `name`, or with its first one; see `engines.base.Engine`."""

    name = "ray"

    def __init__(self, address: str, pool_name: str, model: str = "", n_lanes: int = 0) -> None:
        """Joins the cluster; raises what `cluster.connect`, `pool.members` and the model raise."""
        self._address, self._pool = address, pool_name
        self._probes: set[str] = set()
        cluster.connect(address)
        try:
            members = pool.members(pool_name)
            self._asked_model = model or members.models[0]
            if self._asked_model not in members.models:
                raise DataError(
                    f"The pool {pool_name} has no model {model!r}",
                    hint=f"its models are {', '.join(members.models)}",
                )
            about = pool.about(pool_name, self._asked_model)
            handle = pool.handle_of(pool_name).options(stream=True)
        except BaseException:
            self.close()
            raise
        if len(members.models) > 1:
            handle = handle.options(multiplexed_model_id=self._asked_model)
        self._draw = handle.draw
        self.model, self.capabilities = about.model, about.capabilities
        self.max_concurrency = n_lanes or members.n_most

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Have pictures drawn, one after the other."""
        for task in tasks:
            for event in self._drawn(task, cancel):
                yield task, event

    def close(self) -> None:
        """Leave the cluster; the pool stays."""
        address, self._address = self._address, ""
        if address:
            cluster.leave(address)

    def _drawn(self, task: ImageTask, cancel: CancelToken) -> Iterator[Event]:
        """The events of one picture, drawn as often as its replica is lost."""
        most = ATTEMPTS if self.capabilities.repeatable else 1
        for attempt in range(most):
            if not _waited(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)], task, cancel):
                return
            try:
                yield from self._by_one(task, cancel)
                return
            except Lost as lost:
                log.warning("pool %s: picture %s: %s", self._pool, task.index, lost)
                reason = lost
        times = "" if most == 1 else f" {most} times"
        raise EngineError(
            f"The replica that drew the picture was lost{times}: {reason}",
            hint="`limner ray status` shows the pool; ask for fewer or smaller pictures if memory "
            "was short",
        ) from reason

    def _by_one(self, task: ImageTask, cancel: CancelToken) -> Iterator[Event]:
        """The events of one attempt. Raises Lost."""
        response = self._draw.remote(self._asked_model, task)
        with closing(messages(response, lambda: cancel.is_cancelled(task))) as told:
            for kind, value in told:
                if kind == "begin":
                    self._compare(value)
                elif kind == "event":
                    yield self._own(value)
                elif kind == "error":
                    raise value

    def _own(self, event: Event) -> Event:
        """`event` with the name of this model, and pixels that may be written to."""
        if isinstance(event, Picture):
            return replace(event, pixels=event.pixels.copy(), model=self.model)
        if isinstance(event, Preview):
            return replace(event, pixels=event.pixels.copy())
        return event

    def _compare(self, begun: Begun) -> None:
        """Warn once if replicas draw differently."""
        is_new = begun.probe not in self._probes
        self._probes.add(begun.probe)
        if is_new and len(self._probes) == 2:
            log.warning(
                "the replicas of pool %s draw differently, as machines of several kinds may: the "
                "same seed gives the same picture only on machines of one kind",
                self._pool,
            )


def build(settings: Settings) -> RayEngine:
    """The engine that the settings describe."""
    return RayEngine(
        settings.ray_address, settings.ray_pool, settings.ray_model, settings.ray_requests
    )


def _waited(seconds: float, task: ImageTask, cancel: CancelToken) -> bool:
    """Wait; whether the picture is still wanted then."""
    ends_s = time.monotonic() + seconds
    while not cancel.is_cancelled(task):
        left_s = ends_s - time.monotonic()
        if left_s <= 0:
            return True
        time.sleep(min(left_s, _POLL_S))
    return False
