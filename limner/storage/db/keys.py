"""API keys made by `limner keys`: names, scopes and limits. Only a hash of the key is stored.

A key of LIMNER_API_KEYS is not stored. Its name is made of its hash, so that it keeps its requests
when others are added or removed. Until then it was named by its place in the list (`key-1`, …), and
no record says which key that was: whoever runs the server does, by `move`.

Also the key that signs addresses of pictures, which must be kept as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields

from limner.errors import InvalidRequest
from limner.storage.db.database import Database, Row

PREFIX = "sk-limner-"
SCOPES = ("draw", "admin")
_SECRET_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_SETTING_NAME = re.compile(r"key-([0-9]+|[0-9a-f]{12})", re.ASCII)  # keys of LIMNER_API_KEYS
_NAME_BY_PLACE = re.compile(r"key-[0-9]{1,11}", re.ASCII)  # as they were named before


# By kind: when, in Unix time, and how many.
Counts = dict[str, Sequence[Sequence[float]]]


@dataclass(frozen=True)
class Limits:
    """Limits of a key; None means unlimited."""

    requests_per_minute: int | None = None
    pictures_per_minute: int | None = None
    pictures_per_day: int | None = None  # a day begins at midnight UTC
    concurrent: int | None = None  # requests that wait or are drawn

    @property
    def are_stored(self) -> bool:
        """Whether any of them is counted in the database."""
        counted = (self.requests_per_minute, self.pictures_per_minute, self.pictures_per_day)
        return any(limit is not None for limit in counted)


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Key:
    """A key as it is stored."""

    name: str
    hash: str  # SHA-256 in hexadecimal
    scopes: tuple[str, ...]
    limits: Limits
    created_s: float
    revoked_s: float | None


class KeyStore:
    """The keys in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, name: str, scopes: Sequence[str] = ("draw",), limits: Limits = NO_LIMITS
    ) -> str:
        """Make a key and return it. It cannot be shown again. A name can never be reused."""
        _check_name(name)
        secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        made = self._database.execute(
            "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL) "
            "ON CONFLICT (name) DO NOTHING RETURNING name",
            [
                name,
                hash_of(secret),
                " ".join(scopes),
                limits.requests_per_minute,
                limits.pictures_per_minute,
                limits.pictures_per_day,
                limits.concurrent,
                time.time(),
            ],
        )
        if not made:
            raise InvalidRequest(
                f"There is a key named {name} already",
                param="name",
                hint="choose another name: the history tells keys apart by it, revoked ones too",
            )
        return secret

    def all(self) -> list[Key]:
        """All keys, oldest first, including revoked ones."""
        return [_key(row) for row in self._database.read("SELECT * FROM keys ORDER BY created_s")]

    def revoke(self, name: str) -> None:
        """End a key for good."""
        ended = self._database.execute(
            "UPDATE keys SET revoked_s = ? WHERE name = ? AND revoked_s IS NULL RETURNING name",
            [time.time(), name],
        )
        if not ended:
            raise InvalidRequest(
                f"There is no key named {name} that works",
                param="name",
                hint="limner keys list shows them",
            )

    def names_by_place(self) -> dict[str, int]:
        """The names `key-1`, … that requests still have, and how many have each."""
        rows = self._database.read(
            "SELECT key_name, count(*) AS n FROM requests WHERE key_name LIKE ? "
            "GROUP BY key_name ORDER BY key_name",
            ["key-%"],
        )
        counts = {row["key_name"]: row["n"] for row in rows}
        return {name: n for name, n in counts.items() if _NAME_BY_PLACE.fullmatch(name)}

    def move(self, old: str, new: str) -> int:
        """Give all that is stored under `old`, a name `key-1`, …, to `new`; returns how many
        requests. Raises InvalidRequest if there is nothing.
        """
        if not _NAME_BY_PLACE.fullmatch(old):
            raise InvalidRequest(
                f"{old} is no name that a key had by its place in LIMNER_API_KEYS",
                param="old",
                hint="those are key-1, key-2 and so on; requests of other keys are not moved",
            )
        with self._database.transaction() as run:
            moved = run(
                "UPDATE requests SET key_name = ? WHERE key_name = ? RETURNING id", [new, old]
            )
            run(
                "UPDATE idempotency_keys SET key_name = ? WHERE key_name = ? AND key NOT IN "
                "(SELECT key FROM idempotency_keys WHERE key_name = ?)",
                [new, old, new],
            )
            run("DELETE FROM idempotency_keys WHERE key_name = ?", [old])
        if not moved:
            raise InvalidRequest(f"Nothing in the history is of {old}", param="old")
        return len(moved)

    def count_pictures(self, name: str, day: str, n: int, limit: int) -> int:
        """Add `n` to the pictures of `day` unless that exceeds `limit`; returns the sum before."""
        with self._database.transaction() as run:
            [row] = run(
                "INSERT INTO pictures_by_day VALUES (?, ?, ?) ON CONFLICT (key_name, day) "
                "DO UPDATE SET n_pictures = pictures_by_day.n_pictures + excluded.n_pictures "
                "RETURNING n_pictures",
                [name, day, n],
            )
            before = int(row["n_pictures"]) - n
            if before + n > limit:
                run(
                    "UPDATE pictures_by_day SET n_pictures = ? WHERE key_name = ? AND day = ?",
                    [before, name, day],
                )
        return before

    @contextmanager
    def recent(self, name: str) -> Iterator[Counts]:
        """Recent usage of a key, by kind. Changes made inside the block are stored at its end.

        Until then every other server that counts for this key waits.
        """
        with self._database.transaction() as run:
            # Writing what is there holds the row in PostgreSQL, as the transaction does in SQLite.
            [row] = run(
                "INSERT INTO recent VALUES (?, '{}') ON CONFLICT (key_name) "
                "DO UPDATE SET taken = recent.taken RETURNING taken",
                [name],
            )
            counts: Counts = json.loads(row["taken"])
            yield counts
            run(
                "UPDATE recent SET taken = ? WHERE key_name = ?",
                [json.dumps(counts, separators=(",", ":")), name],
            )


def signing_key(database: Database) -> bytes:
    """The key that signs picture addresses. Made once; shared by all servers of the database."""
    database.execute(
        "INSERT INTO secrets VALUES ('link', ?) ON CONFLICT (name) DO NOTHING",
        [secrets.token_hex(_SECRET_BYTES)],
    )
    [row] = database.read("SELECT value FROM secrets WHERE name = 'link'")
    return bytes.fromhex(row["value"])


def hash_of(secret: str) -> str:
    """SHA-256 of a key in hexadecimal. Keys are long and random, so a fast hash is safe."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def setting_name(secret: str) -> str:
    """The name of a key of LIMNER_API_KEYS; it does not depend on the key's place in the list."""
    return f"key-{hash_of(secret)[:12]}"


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or _SETTING_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} cannot be the name of a key",
            param="name",
            hint="use up to 64 letters, digits, dots, hyphens and underscores; key- with digits, "
            "or with 12 of 0-9 and a-f, is a key of LIMNER_API_KEYS",
        )


def _key(row: Row) -> Key:
    limits = Limits(**{field.name: row[field.name] for field in fields(Limits)})
    scopes = tuple(row["scopes"].split())
    return Key(row["name"], row["hash"], scopes, limits, row["created_s"], row["revoked_s"])
