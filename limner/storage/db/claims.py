"""Idempotency-Key claims: which request used a key first, for all servers of one database."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from limner.storage.db.clock import uptime
from limner.storage.db.database import Database

SUBMITTED_WITHIN_S = 60.0  # after that, a first request without a row was never submitted
_MOST_AWAITED = 10_000
_AGAIN = ("failed", "cancelled", "interrupted")  # after these a request may be tried again
_TAKE_OVER = (
    "UPDATE requests SET resume = NULL WHERE id = ? AND state = 'interrupted' "
    "AND (resume IS NULL OR ?) RETURNING id"
)


@dataclass(frozen=True)
class Claim:
    """The first request with a key."""

    fingerprint: str  # SHA-256 of what it asked for
    request_id: str
    is_done: bool  # its pictures are in the history


class Claims:
    """The Idempotency-Keys in a database."""

    def __init__(
        self,
        database: Database,
        believed_s: Callable[[], float],
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], float] = uptime,
    ) -> None:
        """`believed_s` gives the Unix time to which ages are counted (`ClockWatch`)."""
        self._database, self._believed_s = database, believed_s
        self._clock, self._uptime = clock, uptime
        # Requests that had no row when this server first asked for them, and when that was.
        self._awaited: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()  # of the above, since claims are made in threads

    def claim(
        self, name: tuple[str, str], fingerprint: str, request_id: str, lifetime_s: float
    ) -> Claim | None:
        """Claim `name` (API key, Idempotency-Key) for request `request_id`.

        Returns None if this request won, else the existing claim. A claim is replaced if its
        request failed, was never submitted, or is older than `lifetime_s`. No reading of the clock
        alone makes one too old or lost: one without a row is lost when this server has found it so
        for SUBMITTED_WITHIN_S of its own running. The claim of an interrupted request is replaced
        unless another server has resumed it; a replaced request is not resumed any more.
        """
        now_s = self._clock()
        with self._database.transaction() as run:
            run(
                "DELETE FROM idempotency_keys WHERE created_s < ?",
                [self._believed_s() - lifetime_s],
            )
            if run(
                "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (key_name, key) DO NOTHING RETURNING request_id",
                [*name, fingerprint, request_id, now_s],
            ):
                return None
            [first] = run(
                "SELECT k.fingerprint, k.request_id, r.state "
                "FROM idempotency_keys k LEFT JOIN requests r ON r.id = k.request_id "
                "WHERE k.key_name = ? AND k.key = ?",
                [*name],
            )
            is_lost = self._is_lost(first["request_id"], has_row=first["state"] is not None)
            is_over = first["state"] in _AGAIN
            if first["state"] == "interrupted":
                is_same = first["fingerprint"] == fingerprint
                is_over = bool(run(_TAKE_OVER, [first["request_id"], is_same]))
            if (is_lost or is_over) and run(
                "UPDATE idempotency_keys SET fingerprint = ?, request_id = ?, created_s = ? "
                "WHERE key_name = ? AND key = ? AND request_id = ? RETURNING request_id",
                [fingerprint, request_id, now_s, *name, first["request_id"]],
            ):
                return None
        return Claim(first["fingerprint"], first["request_id"], first["state"] == "done")

    def _is_lost(self, request_id: str, *, has_row: bool) -> bool:
        """Whether the first request has had no row for as long as this server knows of it."""
        with self._lock:
            if has_row:
                self._awaited.pop(request_id, None)
                return False
            now_s = self._uptime()
            since_s = self._awaited.setdefault(request_id, now_s)
            while len(self._awaited) > _MOST_AWAITED:
                self._awaited.popitem(last=False)
        return now_s - since_s > SUBMITTED_WITHIN_S

    def release(self, name: tuple[str, str], request_id: str) -> None:
        """Be the first no longer, as nothing came of it; a request to be drawn on stays it."""
        self._database.execute(
            "DELETE FROM idempotency_keys WHERE key_name = ? AND key = ? AND request_id = ? "
            "AND NOT EXISTS (SELECT id FROM requests WHERE id = request_id AND resume IS NOT NULL)",
            [*name, request_id],
        )
