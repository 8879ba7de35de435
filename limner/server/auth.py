"""Who may draw: everyone on this machine, or whoever holds one of the keys that were set."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from ipaddress import ip_address

from limner.errors import SettingsError
from limner.server.wire import errors


class Keys:
    """The keys that may draw, kept as hashes only."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._hashes = [_hash(key) for key in keys]

    def check(self, authorization: str | None) -> str:
        """The name of the key in an Authorization header; any other header is refused.

        Without keys there is nothing to check, and the name is empty.
        """
        if not self._hashes:
            return ""
        scheme, _, key = (authorization or "").strip().partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise errors.missing_key()
        given = _hash(key)
        # Of hashes, so how long it takes tells nothing of a key.
        for number, known in enumerate(self._hashes, start=1):
            if hmac.compare_digest(given, known):
                return f"key-{number}"
        raise errors.wrong_key(masked(key))


def masked(key: str) -> str:
    """A key as a message may show it."""
    if len(key) < 16:
        return "*" * len(key)
    return f"{key[:5]}{'*' * 10}{key[-4:]}"


def check_exposure(host: str, keys: Sequence[str], *, allow_open: bool) -> None:
    """Refuse to listen beyond this machine without keys, unless told to."""
    if keys or allow_open or is_loopback(host):
        return
    raise SettingsError(
        f"Listening at {host} lets everyone who reaches this machine draw, as no keys are set",
        hint="set LIMNER_API_KEYS, or say --allow-open if that is what you want",
    )


def is_loopback(host: str) -> bool:
    """Whether `host` is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _hash(key: str) -> bytes:
    # Keys are long and random, so a fast hash is as good as a slow one.
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
