"""The models that are in memory: loaded on first use, the least recently used given back for room.

One is loaded at a time. None that draws is given back. A model that others wait for stays at least
as long as STAY times its loading took, so that two models that do not fit beside each other spend
most of the time drawing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from limner.engines.base import Engine
from limner.errors import EngineError

log = logging.getLogger("limner.engines")

STAY = 4.0
IDLE_S = 1.0  # unused for so long, a model need not stay any longer
_POLL_S = 0.25  # how often who waits looks whether he still has to


class NotWanted(Exception):
    """Nobody waits for the model any more."""


@dataclass
class _Slot:
    engine: Engine
    n_bytes: int
    stays_until_s: float
    n_users: int = 1
    used_s: float = field(default_factory=time.monotonic)

    def may_go(self, now_s: float) -> bool:
        """Whether it may be given back for another."""
        is_over = now_s >= self.stays_until_s or now_s - self.used_s >= IDLE_S
        return not self.n_users and is_over


class ModelCache:
    """Engines by name, within `max_bytes` together; 0 means any."""

    def __init__(self, max_bytes: int = 0, idle_s: float = 0, pinned: Collection[str] = ()) -> None:
        """Unused for `idle_s`, an engine is given back by `sweep`; 0 means never.

        Those in `pinned` stay until they are dropped by name.
        """
        self._max_bytes, self._idle_s, self._pinned = max_bytes, idle_s, frozenset(pinned)
        self._slots: dict[str, _Slot] = {}
        self._waiting: list[str] = []  # names that are to be loaded, in order
        self._is_loading = False
        self._changed = threading.Condition()

    def loaded(self) -> dict[str, int]:
        """Bytes of each engine in memory, the least recently used first."""
        with self._changed:
            slots = sorted(self._slots.items(), key=lambda item: item[1].used_s)
            return {name: slot.n_bytes for name, slot in slots}

    def is_drawing(self, name: str) -> bool:
        """Whether engine `name` draws now."""
        slot = self._slots.get(name)
        return slot is not None and slot.n_users > 0

    def peek(self, name: str) -> Engine | None:
        """Engine `name`, if it is in memory."""
        slot = self._slots.get(name)
        return slot.engine if slot else None

    @contextmanager
    def borrowed(
        self,
        name: str,
        n_bytes: int,
        build: Callable[[], Engine],
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[Engine]:
        """Engine `name` for as long as it draws; built if it is not in memory.

        Raises NotWanted if `is_stopped` meanwhile, EngineError if there can be no room for it, and
        what `build` raises.
        """
        slot = self._taken(name, is_stopped, n_bytes) or self._loaded(name, n_bytes, build)
        try:
            yield slot.engine
        finally:
            with self._changed:
                slot.n_users -= 1
                slot.used_s = time.monotonic()
                self._changed.notify_all()

    def drop(self, name: str) -> bool:
        """Give engine `name` back unless it draws; whether it is not in memory now."""
        with self._changed:
            slot = self._slots.get(name)
            if slot is None:
                return True
            if slot.n_users:
                return False
            del self._slots[name]
            self._changed.notify_all()
        slot.engine.close()
        return True

    def sweep(self) -> None:
        """Give back what has not been used for `idle_s`."""
        if not self._idle_s:
            return
        now_s = time.monotonic()
        with self._changed:
            names = [
                name
                for name, slot in self._slots.items()
                if name not in self._pinned and now_s - slot.used_s >= self._idle_s
            ]
        for name in names:
            self.drop(name)

    def close(self) -> None:
        """Give all back that does not draw."""
        for name in self.loaded():
            self.drop(name)

    def _taken(self, name: str, is_stopped: Callable[[], bool], n_bytes: int) -> _Slot | None:
        """The slot of `name`, or None if the caller is to load it and there is room."""
        with self._changed:
            self._waiting.append(name)
            try:
                while True:
                    slot = self._slots.get(name)
                    if slot and (name in self._pinned or not self._must_yield(slot)):
                        slot.n_users += 1
                        return slot
                    if slot is None:
                        self._check_room(name, n_bytes)
                    if slot is None and self._may_load(name):
                        gone = self._room_for(n_bytes)
                        if gone is not None:
                            self._is_loading = True
                            break
                    if is_stopped():
                        raise NotWanted
                    self._changed.wait(_POLL_S)
            finally:
                self._waiting.remove(name)
                self._changed.notify_all()
        for engine in gone:
            engine.close()
        return None

    def _loaded(self, name: str, n_bytes: int, build: Callable[[], Engine]) -> _Slot:
        started_s = time.monotonic()
        engine = None
        try:
            engine = build()
        finally:
            with self._changed:
                self._is_loading = False
                now_s = time.monotonic()
                if engine is not None:
                    stays_until_s = now_s + STAY * (now_s - started_s)
                    slot = self._slots[name] = _Slot(engine, n_bytes, stays_until_s)
                self._changed.notify_all()
        log.info("model %s is loaded (%.1f s)", name, now_s - started_s)
        return slot

    def _check_room(self, name: str, n_bytes: int) -> None:
        """Raise EngineError if there can never be room beside the pinned engines."""
        pinned = {other: s.n_bytes for other, s in self._slots.items() if other in self._pinned}
        if not self._max_bytes or n_bytes + sum(pinned.values()) <= self._max_bytes:
            return
        said = f"Model {name} takes {_mb(n_bytes)}, and LIMNER_MEMORY allows {_mb(self._max_bytes)}"
        hint = "raise LIMNER_MEMORY, or take a smaller model"
        if pinned:
            said += f", of which pinned models take {_mb(sum(pinned.values()))}"
            hint += f", or pin fewer than {', '.join(pinned)}"
        raise EngineError(said, hint=hint)

    def _may_load(self, name: str) -> bool:
        """Whether `name` is the first of those that wait to be loaded, and nothing is loading."""
        first = next(other for other in self._waiting if other not in self._slots)
        return first == name and not self._is_loading

    def _must_yield(self, slot: _Slot) -> bool:
        """Whether a model that has had its time is to be given back for one that waits."""
        is_wanted = any(name not in self._slots for name in self._waiting)
        may_go = slot.n_bytes > 0 and slot.may_go(time.monotonic())
        return is_wanted and may_go and not self._is_loading

    def _room_for(self, n_bytes: int) -> list[Engine] | None:
        """Engines that were taken off to make room; None if there is none yet."""
        now_s = time.monotonic()
        n_free = self._max_bytes - sum(slot.n_bytes for slot in self._slots.values())
        going: list[str] = []
        if self._max_bytes:
            for name, slot in sorted(self._slots.items(), key=lambda item: item[1].used_s):
                if n_free >= n_bytes:
                    break
                if slot.n_bytes and name not in self._pinned and slot.may_go(now_s):
                    going.append(name)
                    n_free += slot.n_bytes
            if n_free < n_bytes:
                return None
        return [self._slots.pop(name).engine for name in going]


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"
