"""Names of stored pictures: img-<24 letters and digits>.png, of which the last ten are a proof.

The proof is a truncated HMAC of the rest with a key of the database, so a name says by itself
whether a server of this database made it. Whatever else lies in a store is never deleted.

A name of the history begins with a tag, a truncated HMAC of its request and its number there, so
that a file without a row can be given back to its request. The letters between are random.
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
_TAG_CHARS, _TOKEN_CHARS, _PROOF_CHARS = 8, 14, 10  # 47 and 83 bits in all, 59 bits of proof


class Names:
    """Makes names of pictures, and knows those that the same `key` made."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"names of pictures", hashlib.sha256)

    def make(self, format: FileFormat, request_id: str | None = None, number: int = 0) -> str:
        """A fresh name for a picture of `format`: of a request, its `number`th, or of none."""
        token = "" if request_id is None else self._tag(request_id, number)
        while len(token) < _TOKEN_CHARS:
            token += secrets.choice(_ALPHABET)
        return f"img-{token}{self._proof(token)}.{ENDINGS[format]}"

    def is_of(self, name: str, request_id: str, number: int) -> bool:
        """Whether `name`, which this key made, is one of that picture of that request."""
        tag = self._tag(request_id, number)
        return hmac.compare_digest(name[len("img-") :][:_TAG_CHARS], tag)

    def owns(self, name: str) -> bool:
        """Whether `name` was made with this key. Names from before the proof were not."""
        if not PATTERN.fullmatch(name):
            return False
        token = name[len("img-") :].partition(".")[0]
        proof = self._proof(token[:_TOKEN_CHARS])
        return hmac.compare_digest(token[_TOKEN_CHARS:], proof)

    def owns_temporary(self, name: str) -> bool:
        """Whether `name` is of a file that is being written for a picture of this key."""
        found = _TEMPORARY.fullmatch(name)
        return found is not None and self.owns(found[1])

    def _proof(self, token: str) -> str:
        return self._letters(token, _PROOF_CHARS)

    def _tag(self, request_id: str, number: int) -> str:
        return self._letters(f"{number} of {request_id}", _TAG_CHARS)  # no token has a space

    def _letters(self, text: str, n_chars: int) -> str:
        """The truncated HMAC of `text`, in letters and digits."""
        digest = hmac.digest(self._key, text.encode(), hashlib.sha256)
        left, letters = int.from_bytes(digest, "big"), ""
        for _ in range(n_chars):
            left, index = divmod(left, len(_ALPHABET))
            letters += _ALPHABET[index]
        return letters


def temporary(name: str) -> str:
    """The name of the file that is written first for the picture `name`."""
    return f".{name}.part"
