"""The confirmed time: the time from which ages are computed before anything is deleted for its age.

A clock can be wrong for a while, and what is deleted meanwhile is lost. So a reading of the clock
is confirmed only after servers have run for `CONFIRM_S` and no clock has stepped forward or back
since. The confirmed time is therefore three to six hours of running time in the past. Time in
which no server runs does not count. All servers of a database share the confirmed time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from limner.storage.db.database import Database

log = logging.getLogger("limner.storage")

CONFIRM_S = 3 * 3600.0
STEP_S = 300.0  # more than the clocks of several machines differ
_COUNTED_S = 120.0  # of the time since the last look: a server that runs looks every minute


def uptime() -> float:
    """Seconds since an arbitrary start; includes the machine's sleep where the system counts it."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class ClockWatch:
    """Tracks the confirmed time of a database. `clock` returns Unix time in seconds."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], float] = uptime,
    ) -> None:
        self._database, self._clock, self._uptime = database, clock, uptime
        self._last: tuple[float, float] | None = None  # clock and uptime
        self.believed_s = 0.0  # Unix time to which ages may be counted

    def look(self) -> None:
        """Read the clock and advance `believed_s`. Call it about once a minute."""
        now_s, up_s = self._clock(), self._uptime()
        with self._database.transaction() as run:
            run(
                "INSERT INTO clock VALUES (1, ?, 0, ?, 0) ON CONFLICT (id) DO NOTHING",
                [now_s, now_s],
            )
            [row] = run("UPDATE clock SET id = id RETURNING *")
            step_s = self._step(now_s, up_s, row["seen_s"])
            believed_s, candidate_s = row["believed_s"], row["candidate_s"]
            running_s = row["running_s"] + min(max(0.0, now_s - row["seen_s"]), _COUNTED_S)
            if step_s:
                believed_s, candidate_s, running_s = min(believed_s, now_s), now_s, 0.0
            elif running_s >= CONFIRM_S:
                believed_s, candidate_s, running_s = candidate_s, now_s, 0.0
            run(
                "UPDATE clock SET seen_s = ?, believed_s = ?, candidate_s = ?, running_s = ?",
                [now_s, believed_s, candidate_s, running_s],
            )
        if step_s:
            log.warning(
                "the clock moved by %+.0f s; it is believed when servers have run for %.0f h "
                "with it, and nothing is deleted by it until then",
                step_s,
                CONFIRM_S / 3600,
            )
        self._last, self.believed_s = (now_s, up_s), believed_s

    def _step(self, now_s: float, up_s: float, seen_s: float) -> float:
        """Seconds by which the clock stepped relative to the uptime; 0 if it did not step."""
        if now_s - seen_s < -STEP_S:
            return now_s - seen_s
        if self._last is None:
            return 0.0
        drift_s = (now_s - self._last[0]) - (up_s - self._last[1])
        return drift_s if abs(drift_s) > STEP_S else 0.0
