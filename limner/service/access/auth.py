"""Who may do what: everyone on this machine, or whoever holds a key.

Keys are those of LIMNER_API_KEYS, which may draw, and those of `limner keys`, which have scopes
and limits. The latter are read again every `KNOWN_FOR_S`: within that time, and without a restart,
a new key works and a revoked one does not.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from limner.errors import SettingsError
from limner.server.openai import errors
from limner.storage.db.keys import (
    NO_LIMITS,
    SCOPES,
    KeyStore,
    Limits,
    hash_of,
)

KNOWN_FOR_S = 2.0


@dataclass(frozen=True)
class Holder:
    """Whose request it is."""

    name: str  # empty: no key was asked for
    scopes: tuple[str, ...] = ("draw",)
    limits: Limits = NO_LIMITS

    @property
    def sees_only(self) -> str | None:
        """Whose requests and jobs it may see: its own, or, if None, everyone's."""
        return None if "admin" in self.scopes else self.name

    def check(self, scope: str) -> None:
        """Refuse what the key is not for."""
        if scope not in self.scopes:
            raise errors.not_permitted(scope)


ANYONE = Holder("", SCOPES)


class Keys:
    """The keys of a server, kept as hashes only."""

    def __init__(
        self,
        keys: Sequence[str],
        store: KeyStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._of_settings = {
            hash_of(key): Holder(f"key-{number}") for number, key in enumerate(keys, start=1)
        }
        self._store = store
        self._clock = clock
        self._holders = self._of_settings
        self._is_open = not keys
        self._read_s = float("-inf")

    @property
    def is_stale(self) -> bool:
        """Whether `read` must come before `check`."""
        return self._store is not None and self._clock() - self._read_s >= KNOWN_FOR_S

    def read(self) -> None:
        """Read the stored keys again; a DatabaseError lets nobody in. Takes time."""
        if self._store is None:
            return
        read_s = self._clock()
        stored = self._store.all()
        working = {
            key.hash: Holder(key.name, key.scopes, key.limits)
            for key in stored
            if key.revoked_s is None
        }
        self._holders = self._of_settings | working
        # A server whose last key was revoked is closed, not open.
        self._is_open = not self._of_settings and not stored
        self._read_s = read_s

    def check(self, authorization: str | None) -> Holder:
        """Who sent this Authorization header; without any keys, anyone may do anything."""
        if self._is_open:
            return ANYONE
        scheme, _, key = (authorization or "").strip().partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise errors.missing_key()
        given = hash_of(key)
        # Of hashes, so how long it takes tells nothing of a key.
        for known, holder in self._holders.items():
            if hmac.compare_digest(given, known):
                return holder
        raise errors.wrong_key(masked(key))


def masked(key: str) -> str:
    """A key as a message may show it."""
    if len(key) < 16:
        return "*" * len(key)
    return f"{key[:5]}{'*' * 10}{key[-4:]}"


def check_exposure(host: str, keys: Sequence[object], *, allow_open: bool) -> None:
    """Refuse to listen beyond this machine without keys, unless told to."""
    if keys or allow_open or is_loopback(host):
        return
    raise SettingsError(
        f"Listening at {host} lets everyone who reaches this machine draw, as no keys are set",
        hint="make one with limner keys create, set LIMNER_API_KEYS, or say --allow-open if that "
        "is what you want",
    )


def is_loopback(host: str) -> bool:
    """Whether `host` is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
