"""Which request was the first with its Idempotency-Key."""

from __future__ import annotations

from pathlib import Path

from limner.storage.db.claims import SUBMITTED_WITHIN_S, Claims
from limner.storage.db.database import Database

DAY_S = 86_400.0


def test_one_reading_of_the_clock_makes_no_key_too_old(tmp_path: Path) -> None:
    now_s = believed_s = 1_000_000.0
    claims = Claims(Database("", tmp_path), lambda: believed_s, lambda: now_s)
    name = ("phone", "key")
    assert claims.claim(name, "a", "req_1", DAY_S) is None
    now_s += 31 * DAY_S
    assert claims.claim(("phone", "other"), "b", "req_2", DAY_S) is None
    now_s -= 31 * DAY_S
    first = claims.claim(name, "a", "req_3", DAY_S)
    assert first is not None
    assert first.request_id == "req_1"
    believed_s += 2 * DAY_S
    assert claims.claim(name, "a", "req_4", DAY_S) is None


def test_one_reading_of_the_clock_makes_no_first_request_lost(tmp_path: Path) -> None:
    now_s, up_s = 1_000_000.0, 500.0
    claims = Claims(Database("", tmp_path), lambda: 0.0, lambda: now_s, lambda: up_s)
    name = ("phone", "key")
    assert claims.claim(name, "a", "req_1", DAY_S) is None  # its row is on its way
    for jump_s in (31 * DAY_S, -31 * DAY_S, 2 * SUBMITTED_WITHIN_S):
        now_s += jump_s
        first = claims.claim(name, "a", "req_2", DAY_S)
        assert first is not None
        assert first.request_id == "req_1"
    up_s += SUBMITTED_WITHIN_S + 1  # now it is certain that no row will come
    assert claims.claim(name, "a", "req_3", DAY_S) is None
