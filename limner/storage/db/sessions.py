"""Visits in a browser: a random token for the cookie, and the key it stands for, both as hashes."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable

from limner.storage.db.database import Database
from limner.storage.db.keys import signing_key

LIFETIME_S = 7 * 86_400.0
_TOKEN_BYTES = 32


class Sessions:
    """The visits in a database; servers that share it share them."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock
        secret = signing_key(database)
        self.id = hashlib.sha256(b"sessions" + secret).hexdigest()[:8]
        """Distinguishes this database from others: 8 hexadecimal digits."""

    def begin(self, key_hash: str) -> str:
        """A new token for the key with this hash. Forgets the visits that have ended."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        now_s = self._clock()
        with self._database.transaction() as run:
            run("DELETE FROM sessions WHERE ends_s <= ?", [now_s])
            run(
                "INSERT INTO sessions VALUES (?, ?, ?)",
                [_hash(token), key_hash, now_s + LIFETIME_S],
            )
        return token

    def key_hash(self, token: str) -> str | None:
        """The hash of the key that `token` stands for; None if the visit has ended."""
        rows = self._database.read(
            "SELECT key_hash FROM sessions WHERE token_hash = ? AND ends_s > ?",
            [_hash(token), self._clock()],
        )
        return str(rows[0]["key_hash"]) if rows else None

    def end(self, token: str) -> None:
        """End a visit; one that has ended stays so."""
        self._database.execute("DELETE FROM sessions WHERE token_hash = ?", [_hash(token)])


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
