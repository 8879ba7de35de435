"""Addresses of pictures: unguessable, signed, and good for a while, across restarts too.

    /v1/images/files/img-<24 letters and digits>.png?se=<unix time of its end>&sig=<signature>

The key of the signatures is in the database: servers that share it sign alike, and with a store
that they share, too, each hands out what any of them drew. Pictures of the history lie in its
folder of the store, and stay there as long as it keeps them. Of any other picture nothing is left
once its address has ended, so it is deleted.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import string
import time
from collections.abc import Callable

from limner.errors import LimnerError
from limner.request import Format
from limner.storage.blobs.store import (
    Found,
    Part,
    Seen,
    Store,
    outlived,
)
from limner.storage.db import history

log = logging.getLogger("limner.server")

ROUTE = "/v1/images/files/"
PASSING = "pictures"  # the folder of pictures that are in no history
ENDINGS: dict[Format, str] = {"png": "png", "jpeg": "jpg", "webp": "webp"}
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}

_NAME = re.compile(r"img-[A-Za-z0-9]{24}\.(png|jpg|webp)", re.ASCII)
_ALPHABET = string.ascii_letters + string.digits


class LinkGone(LimnerError):
    """An address that is not or no longer valid."""

    status = 403
    code = "link_expired"


class Links:
    """Stores pictures and gives out their addresses."""

    def __init__(
        self,
        store: Store,
        key: bytes,
        lifetime_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._key = store, key
        self._lifetime_s = lifetime_s
        self._clock = clock

    def store(self, data: bytes, format: Format, *, keep: bool = False) -> str:
        """Store a picture, to `keep` for the history or for its address alone; returns its name."""
        token = "".join(secrets.choice(_ALPHABET) for _ in range(24))
        name = f"img-{token}.{ENDINGS[format]}"
        self._store.put(f"{history.FOLDER if keep else PASSING}/{name}", data)
        return name

    def discard(self, name: str) -> None:
        """Delete a picture that was stored for the history."""
        self._store.delete([f"{history.FOLDER}/{name}"])

    def address(self, name: str) -> str:
        """The address of a stored picture, without the host."""
        end = int(self._clock() + self._lifetime_s)
        return f"{ROUTE}{name}?se={end}&sig={self._signature(name, str(end))}"

    def find(self, name: str, end: str, signature: str) -> tuple[str, Seen] | None:
        """Where in the store the picture behind an address is, or None if there is none.

        A wrong signature and an address past its end raise LinkGone.
        """
        if not _NAME.fullmatch(name):
            return None
        expected = self._signature(name, end)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise LinkGone("The signature of this address is not valid.")
        if self._clock() >= int(end):  # signed, so it is a number of ours
            raise LinkGone("This address has expired; ask for the picture again.")
        for folder in (history.FOLDER, PASSING):
            path = f"{folder}/{name}"
            if seen := self._store.look(path):
                return path, seen
        self._store.reach()  # or a bucket that is gone would pass for a picture that is
        return None

    def read(self, path: str, part: Part) -> Found | None:
        """Begin to read a part of what was found."""
        return self._store.get(path, part)

    def sweep(self) -> None:
        """Delete what was stored for its address alone, and the address has ended."""
        names = outlived(self._store, PASSING, self._lifetime_s, self._clock())
        self._store.delete(f"{PASSING}/{name}" for name in names)
        if names:
            log.info("deleted %d pictures whose address had ended", len(names))

    def _signature(self, name: str, end: str) -> str:
        message = f"{name}\n{end}".encode("utf-8", "replace")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
