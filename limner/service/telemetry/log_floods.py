"""Limit log lines that any client can cause: one of a kind per minute, with a count."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

PAUSE_S = 60.0
_MAX_KINDS = 100


class OnceAMinute(logging.Filter):
    """Lets one record of a kind pass a minute; it says how many were left out since the last.

    Of one kind are the records of a logger whose messages are alike before their values are put
    in, or begin with the same line.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._passed: dict[tuple[str, str], tuple[float, int]] = {}  # when, and how many since

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is written; its message gets the count."""
        kind = (record.name, str(record.msg).partition("\n")[0][:100])
        now_s = self._clock()
        last_s, n_left_out = self._passed.get(kind, (float("-inf"), 0))
        if now_s - last_s < PAUSE_S:
            self._passed[kind] = (last_s, n_left_out + 1)
            return False
        if len(self._passed) >= _MAX_KINDS:
            self._passed.clear()
        self._passed[kind] = (now_s, 0)
        if n_left_out:
            record.msg = f"{record.getMessage()} (and {n_left_out:,} times since the last line)"
            record.args = ()
        return True
