"""Names of stored pictures: img-<24 letters and digits>.png, of which the last ten are a proof.

The proof is a truncated HMAC of the rest with a key of the database, so a name says by itself
whether a server of this database made it. Whatever else lies in a store is never deleted.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string

from limner.request import FileFormat

ENDINGS: dict[FileFormat, str] = {
    "png": "png",
    "jpeg": "jpg",
    "webp": "webp",
    "gif": "gif",
    "svg": "svg",
}
_NAME = rf"img-[A-Za-z0-9]{{24}}\.(?:{'|'.join(ENDINGS.values())})"
PATTERN = re.compile(_NAME, re.ASCII)
_TEMPORARY = re.compile(rf"\.({_NAME})\.part", re.ASCII)
_ALPHABET = string.ascii_letters + string.digits
_RANDOM_CHARS, _PROOF_CHARS = 14, 10  # 83 bits to tell pictures apart, 59 bits of proof


class Names:
    """Makes names of pictures, and knows those that the same `key` made."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"names of pictures", hashlib.sha256)

    def make(self, format: FileFormat) -> str:
        """A fresh name for a picture of `format`."""
        token = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARS))
        return f"img-{token}{self._proof(token)}.{ENDINGS[format]}"

    def owns(self, name: str) -> bool:
        """Whether `name` was made with this key. Names from before the proof were not."""
        if not PATTERN.fullmatch(name):
            return False
        token = name[len("img-") :].partition(".")[0]
        proof = self._proof(token[:_RANDOM_CHARS])
        return hmac.compare_digest(token[_RANDOM_CHARS:], proof)

    def owns_temporary(self, name: str) -> bool:
        """Whether `name` is of a file that is being written for a picture of this key."""
        found = _TEMPORARY.fullmatch(name)
        return found is not None and self.owns(found[1])

    def _proof(self, token: str) -> str:
        digest = hmac.digest(self._key, token.encode(), hashlib.sha256)
        number, letters = int.from_bytes(digest, "big"), ""
        for _ in range(_PROOF_CHARS):
            number, index = divmod(number, len(_ALPHABET))
            letters += _ALPHABET[index]
        return letters


def temporary(name: str) -> str:
    """The name of the file that is written first for the picture `name`."""
    return f".{name}.part"
