"""The keys that `limner keys` makes: names, scopes and limits. Of the key itself, a hash.

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
_SETTING_NAME = re.compile(r"key-[0-9]+", re.ASCII)  # the keys of LIMNER_API_KEYS


# By kind: when, in Unix time, and how many.
Counts = dict[str, Sequence[Sequence[float]]]


@dataclass(frozen=True)
class Limits:
    """What a key may do; None: as much as it likes."""

    requests_per_minute: int | None = None
    pictures_per_minute: int | None = None
    pictures_per_day: int | None = None  # a day begins at midnight UTC
    concurrent: int | None = None  # requests that wait or are drawn


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
        """Make a key and return it: nobody can tell it again. A name is used once for ever."""
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
        """Every key by age, revoked ones too."""
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

    def count_pictures(self, name: str, day: str, n: int, limit: int) -> int:
        """Add `n` to the pictures of `day` if that keeps to `limit`; returns the sum before."""
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
        """What a key has taken of late, by kind; what is changed in the block is stored after it.

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
    """What addresses of pictures are signed with, made up once: the same for all who share."""
    database.execute(
        "INSERT INTO secrets VALUES ('link', ?) ON CONFLICT (name) DO NOTHING",
        [secrets.token_hex(_SECRET_BYTES)],
    )
    [row] = database.read("SELECT value FROM secrets WHERE name = 'link'")
    return bytes.fromhex(row["value"])


def hash_of(secret: str) -> str:
    """SHA-256 of a key in hexadecimal. Keys are long and random: a fast hash is as good as any."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or _SETTING_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} cannot be the name of a key",
            param="name",
            hint="use up to 64 letters, digits, dots, hyphens and underscores; key-1 and so on "
            "are the keys of LIMNER_API_KEYS",
        )


def _key(row: Row) -> Key:
    limits = Limits(**{field.name: row[field.name] for field in fields(Limits)})
    scopes = tuple(row["scopes"].split())
    return Key(row["name"], row["hash"], scopes, limits, row["created_s"], row["revoked_s"])
