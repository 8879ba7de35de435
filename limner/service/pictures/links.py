"""Addresses of pictures: unguessable, signed, and valid for a limited time, also after a restart.

    /v1/images/files/img-<24 letters and digits>.png?se=<unix time of its end>&sig=<signature>

The key of the signatures is in the database: servers that share it sign alike, and with a store
that they share, too, each hands out what any of them drew. Pictures of the history lie in its
folder of the store, and stay there as long as it keeps them. Any other picture is deleted once
its address has ended: by the server that stored it, or, if that has stopped, by one that finds a
file old enough whose name this database made.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from limner.errors import LimnerError
from limner.request import FileFormat
from limner.storage.blobs.names import PATTERN, Names
from limner.storage.blobs.store import HISTORY, PASSING, Found, Part, Seen, Store
from limner.storage.db.clock import uptime

log = logging.getLogger("limner.server")

ROUTE = "/v1/images/files/"
MEDIA_TYPES = {  # by the ending of a name
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "svg": "image/svg+xml",
}


class LinkGone(LimnerError):
    """An address with a wrong signature, or past its end."""

    code = "link_expired"


class Links:
    """Stores pictures and gives out their addresses."""

    def __init__(
        self,
        store: Store,
        key: bytes,
        lifetime_s: float,
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], float] = uptime,
    ) -> None:
        self._store, self._key = store, key
        self._lifetime_s = lifetime_s
        self._clock, self._uptime = clock, uptime
        self.names = Names(key)
        self._passing: deque[tuple[float, str]] = deque()  # when stored, and which, oldest first
        self._sweeping = threading.Lock()

    def store(self, data: bytes, format: FileFormat) -> str:
        """Store a picture for its address alone; returns its name."""
        name = self.names.make(format)
        self._store.put(f"{PASSING}/{name}", data)
        self._passing.append((self._uptime(), name))
        return name

    def keep(self, data: bytes, format: FileFormat, request_id: str, number: int) -> str:
        """Store a picture for the history, the `number`th of its request; returns its name."""
        name = self.names.make(format, request_id, number)
        self._store.put(f"{HISTORY}/{name}", data)
        return name

    def discard(self, name: str) -> None:
        """Delete a picture that was stored for the history."""
        self._store.delete([f"{HISTORY}/{name}"])

    def address(self, name: str) -> str:
        """The address of a stored picture, without the host."""
        end = int(self._clock() + self._lifetime_s)
        return f"{ROUTE}{name}?se={end}&sig={self._signature(name, str(end))}"

    def find(self, name: str, end: str, signature: str) -> tuple[str, Seen] | None:
        """Where in the store the picture behind an address is, or None if there is none.

        A wrong signature and an address past its end raise LinkGone.
        """
        if not PATTERN.fullmatch(name):
            return None
        expected = self._signature(name, end)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise LinkGone("The signature of this address is not valid.")
        if self._clock() >= int(end):  # signed, so it is a number of ours
            raise LinkGone("This address has expired; ask for the picture again.")
        for folder in (HISTORY, PASSING):
            path = f"{folder}/{name}"
            if seen := self._store.look(path):
                return path, seen
        self._store.reach()  # or a bucket that is gone would pass for a picture that is
        return None

    def read(self, path: str, part: Part) -> Found | None:
        """Begin to read a part of what was found."""
        return self._store.get(path, part)

    def sweep(self, believed_s: float) -> None:
        """Delete what was stored for its address alone, and the address has ended.

        What this server stored it measures itself. For other files ages are counted to
        `believed_s`, a Unix time.
        """
        with self._sweeping:
            names = self._ended()
            own = {name for _, name in self._passing}
            end_s = believed_s - self._lifetime_s
            left = [
                entry.file
                for entry in self._store.list(PASSING)
                if entry.changed_s < end_s and entry.file not in own and self._made(entry.file)
            ]
            self._store.delete(f"{PASSING}/{name}" for name in [*names, *left])
            for _ in names:
                self._passing.popleft()
        if names or left:
            log.info("deleted %d pictures whose address had ended", len(names) + len(left))

    def _ended(self) -> list[str]:
        end_s, names = self._uptime() - self._lifetime_s, []
        for stored_s, name in self._passing.copy():
            if stored_s > end_s:
                break
            names.append(name)
        return names

    def _made(self, file: str) -> bool:
        return self.names.owns(file) or self.names.owns_temporary(file)

    def _signature(self, name: str, end: str) -> str:
        message = f"{name}\n{end}".encode("utf-8", "replace")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
