"""Authentication: everyone on this machine, or clients with a key.

Keys are those of LIMNER_API_KEYS, which may draw and are named by their hash, and those of
`limner keys`, which have scopes and limits. The latter are read again every `KNOWN_FOR_S`: within
that time, and without a restart, a new key works and a revoked one does not.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from limner.errors import SettingsError
from limner.service.errors import MissingKey, NotPermitted, SessionEnded, WrongKey
from limner.service.threads import Threads
from limner.storage.db.keys import (
    NO_LIMITS,
    SCOPES,
    Key,
    KeyStore,
    Limits,
    hash_of,
    setting_name,
)

log = logging.getLogger("limner.server")

KNOWN_FOR_S = 2.0


@dataclass(frozen=True)
class Holder:
    """The owner of a request: a key, or anyone on a server without keys."""

    name: str  # empty: no key was asked for
    scopes: tuple[str, ...] = ("draw",)
    limits: Limits = NO_LIMITS

    @property
    def sees_only(self) -> str | None:
        """Whose requests and jobs it may see: its own, or, if None, everyone's."""
        return None if "admin" in self.scopes else self.name

    def check(self, scope: str) -> None:
        """Raise NotPermitted unless the key has `scope`."""
        if scope not in self.scopes:
            raise NotPermitted(scope)


ANYONE = Holder("", SCOPES)


class Keys:
    """The keys of a server; only hashes are kept."""

    def __init__(
        self,
        keys: Sequence[str],
        store: KeyStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._of_settings = {hash_of(key): Holder(setting_name(key)) for key in keys}
        self._store = store
        self._clock = clock
        self._holders = self._of_settings
        self._is_open = not keys
        self._read_s = float("-inf")
        self._reading: asyncio.Future[None] | None = None

    async def holder(self, authorization: str | None, threads: Threads) -> Holder:
        """Who sent this Authorization header, by keys that were read within `KNOWN_FOR_S`.

        A key of LIMNER_API_KEYS needs no database. For any other, requests that come at the same
        time wait for one reading, in a thread of `threads`; a DatabaseError lets nobody in.
        """
        if _find(hash_of(_key_in(authorization)), self._of_settings) is None:
            await self._read_if_stale(threads)
        return self.check(authorization)

    async def holder_of_hash(self, key_hash: str | None, threads: Threads) -> Holder:
        """Who has the key with this hash, read as by `holder`; without keys, anyone.

        Raises SessionEnded if `key_hash` is None, and WrongKey if the key works no more.
        """
        if _find(key_hash or "", self._of_settings) is None:
            await self._read_if_stale(threads)
        if self._is_open:
            return ANYONE
        if key_hash is None:
            raise SessionEnded
        holder = _find(key_hash, self._holders)
        if holder is None:
            raise WrongKey("of this visit")
        return holder

    async def _read_if_stale(self, threads: Threads) -> None:
        # A reading that others began may be old when it ends: then one more.
        for _ in range(2):
            if self.is_stale:
                await self._read_once(threads)

    async def _read_once(self, threads: Threads) -> None:
        """Read the stored keys, or wait for the reading that is under way."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(threads.run(self.read))
            self._reading.add_done_callback(self._end_reading)
        await asyncio.shield(self._reading)

    def _end_reading(self, reading: asyncio.Future[None]) -> None:
        self._reading = None
        if not reading.cancelled():
            reading.exception()  # those who wait raise it; nobody may be left

    @property
    def is_stale(self) -> bool:
        """Whether `read` must come before `check`."""
        return self._store is not None and self._clock() - self._read_s >= KNOWN_FOR_S

    @property
    def is_open(self) -> bool:
        """Whether no key is asked for, as last read."""
        return self._is_open

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

    def stored(self) -> list[Key]:
        """The keys that `limner keys` made, revoked ones too. Takes time."""
        return self._store.all() if self._store else []

    def check(self, authorization: str | None) -> Holder:
        """Who sent this Authorization header; without any keys, anyone may do anything."""
        if self._is_open:
            return ANYONE
        key = _key_in(authorization)
        if not key:
            raise MissingKey
        holder = _find(hash_of(key), self._holders)
        if holder is None:
            raise WrongKey(masked(key))
        return holder


def _key_in(authorization: str | None) -> str:
    """The key of an Authorization header; empty if it has none."""
    scheme, _, key = (authorization or "").strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _find(key_hash: str, holders: Mapping[str, Holder]) -> Holder | None:
    """Whose key it is. By hashes, so how long it takes tells nothing of a key."""
    for known, holder in holders.items():
        if hmac.compare_digest(key_hash, known):
            return holder
    return None


def warn_of_names_by_place(store: KeyStore) -> None:
    """Log which requests no key but one with `admin` sees any more, and the way out."""
    for name, n in store.names_by_place().items():
        log.warning(
            "%d requests in the history are of %s, as a key of LIMNER_API_KEYS was called by its "
            "place. Which key that was is not stored, so only keys with admin see them. If you "
            "know it, give them to it: limner keys move %s NAME (limner keys list shows the names)",
            n,
            name,
            name,
        )


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
