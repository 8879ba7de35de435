"""Addresses of pictures: unguessable, signed, and good for a while, across restarts too.

    /v1/images/files/img-<24 letters and digits>.png?se=<unix time of its end>&sig=<signature>

The key of the signatures and the pictures are kept under LIMNER_HOME. Pictures of the history
lie in its folder, and stay there as long as it keeps them. Of any other picture nothing is left
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
from contextlib import suppress
from pathlib import Path

from limner.errors import LimnerError
from limner.request import Format
from limner.storage import files, history

log = logging.getLogger("limner.server")

ROUTE = "/v1/images/files/"
ENDINGS: dict[Format, str] = {"png": "png", "jpeg": "jpg", "webp": "webp"}
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}

_NAME = re.compile(r"img-[A-Za-z0-9]{24}\.(png|jpg|webp)", re.ASCII)
_ALPHABET = string.ascii_letters + string.digits
_KEY_BYTES = 32
_SWEEP_EVERY_S = 60.0


class LinkGone(LimnerError):
    """An address that is not or no longer valid."""

    status = 403
    code = "link_expired"


class Links:
    """Stores pictures and gives out their addresses."""

    def __init__(
        self, home: Path, lifetime_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Raises OutputError if LIMNER_HOME cannot be written."""
        self.folder = home / "pictures"
        self.kept = home / history.FOLDER
        self._lifetime_s = lifetime_s
        self._clock = clock
        for folder in (self.folder, self.kept):
            with files.reported(folder):
                folder.mkdir(parents=True, exist_ok=True)
        self._key = _read_key(home / "link.key")
        self._swept_s = 0.0
        self._sweep()

    def store(self, data: bytes, format: Format, *, keep: bool = False) -> str:
        """Write a picture, to `keep` for the history or for its address alone; returns its name."""
        self._sweep()
        token = "".join(secrets.choice(_ALPHABET) for _ in range(24))
        name = f"img-{token}.{ENDINGS[format]}"
        files.write_whole((self.kept if keep else self.folder) / name, data)
        return name

    def address(self, name: str) -> str:
        """The address of a stored picture, without the host."""
        end = int(self._clock() + self._lifetime_s)
        return f"{ROUTE}{name}?se={end}&sig={self._signature(name, str(end))}"

    def find(self, name: str, end: str, signature: str) -> tuple[Path, str] | None:
        """The file and media type behind an address, or None if there is no such picture.

        A wrong signature and an address past its end raise LinkGone.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        expected = self._signature(name, end)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise LinkGone("The signature of this address is not valid.")
        if self._clock() >= int(end):  # signed, so it is a number of ours
            raise LinkGone("This address has expired; ask for the picture again.")
        for path in (self.folder / name, self.kept / name):
            if path.is_file():
                return path, MEDIA_TYPES[match[1]]
        return None

    def _signature(self, name: str, end: str) -> str:
        message = f"{name}\n{end}".encode("utf-8", "replace")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    def _sweep(self) -> None:
        """Delete pictures past their end, at most once a minute."""
        now_s = self._clock()
        if 0 <= now_s - self._swept_s < _SWEEP_EVERY_S:
            return
        self._swept_s = now_s
        n_deleted = 0
        for path in self.folder.iterdir():
            with suppress(OSError):  # another server sweeps the same folder
                if _NAME.fullmatch(path.name) and now_s - path.stat().st_mtime > self._lifetime_s:
                    path.unlink()
                    n_deleted += 1
        if n_deleted:
            log.info("deleted %d pictures whose address had ended", n_deleted)


def _read_key(path: Path) -> bytes:
    """The key at `path`, made now if there is none; two servers that start at once agree on it."""
    if not path.exists():
        with suppress(FileExistsError):
            files.write_whole(path, secrets.token_bytes(_KEY_BYTES), overwrite=False)
    with files.reported(path):
        path.chmod(0o600)
        return path.read_bytes()
