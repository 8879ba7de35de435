"""Pictures in a bucket of any server that speaks S3; obstore speaks it for us."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from limner.errors import StoreError, needed
from limner.storage.blobs.store import (
    CHUNK_BYTES,
    MARKER,
    Entry,
    Found,
    Part,
    Seen,
)

# A store that is started again within this time is waited for, then it is said.
PATIENCE_S = 10.0
_CONNECT_S, _REQUEST_S = 5.0, 30.0


class Bucket:
    """Pictures as objects under s3://bucket/prefix."""

    is_shared, is_local = True, False

    def __init__(self, url: str, endpoint: str = "", credentials: str = "") -> None:
        """`credentials` are "key id:secret key". What is empty comes from the AWS_… variables."""
        obstore = _obstore()
        parts = urlsplit(url)
        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL", "")
        given: dict[str, str] = {}
        if credentials:
            given["access_key_id"], _, given["secret_access_key"] = credentials.partition(":")
        if endpoint:
            given["endpoint"] = endpoint
        self.name = f"{url} at {endpoint}" if endpoint else url
        self._url = url.rstrip("/")
        self._error = obstore.exceptions.BaseError
        self._bucket: Any = obstore.store.S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=_CONNECT_S),
                "timeout": timedelta(seconds=_REQUEST_S),
            },
            retry_config={
                "retry_timeout": timedelta(seconds=PATIENCE_S),
                "backoff": {"max_backoff": timedelta(seconds=2)},
            },
            **given,
        )

    def put(self, name: str, data: bytes) -> None:
        """See Store."""
        with self._reported():
            # In one piece: of an upload in parts that is cut short, the parts stay, and cost.
            self._bucket.put(name, data, use_multipart=False)

    def look(self, name: str) -> Seen | None:
        """See Store."""
        with self._reported():
            about = self._unless_missing(self._bucket.head, name)
        if about is None:
            return None
        changed_s = about["last_modified"].timestamp()
        tag = about["e_tag"] or f"{changed_s}-{about['size']}"
        return Seen(about["size"], tag.strip('"'), changed_s)

    def get(self, name: str, part: Part | None = None) -> Found | None:
        """See Store."""
        options = {"range": part} if part else {}
        with self._reported():
            result = self._unless_missing(self._bucket.get, name, options=options)
        if result is None:
            return None
        chunks = self._chunks(result)
        return Found(chunks, chunks.close)

    def delete(self, names: Iterable[str]) -> None:
        """See Store."""
        listed = list(names)
        if listed:
            with self._reported():
                self._bucket.delete(listed)

    def list(self, folder: str) -> Iterator[Entry]:
        """See Store."""
        with self._reported():
            for page in self._bucket.list(folder):
                for found in page:
                    file = found["path"].removeprefix(f"{folder}/")
                    if "/" not in file:
                        yield Entry(file, found["last_modified"].timestamp())

    def is_empty(self, folder: str) -> bool:
        """See Store."""
        with self._reported():
            return not any(page for page in self._bucket.list(folder, chunk_size=1))

    def where(self, name: str) -> str:
        """See Store."""
        return f"{self._url}/{name}"

    def reach(self) -> None:
        """See Store."""
        found = self.get(MARKER)  # whether there is an answer, not which
        if found:
            found.close()

    def probe(self, n_bytes: int) -> None:
        """See Store. Whether a bucket has room is not told, so this asks whether it is there."""
        self.reach()

    def tighten(self, folder: str) -> None:
        """See Store. Who may read a bucket is the matter of its own settings."""

    def _unless_missing(self, call: Callable[..., Any], name: str, **more: Any) -> Any:
        try:
            return call(name, **more)
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise
            return None

    def _chunks(self, result: Any) -> Generator[bytes]:
        with self._reported():
            for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (self._error, OSError) as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> StoreError:
        code = _code(error)
        hint = "see that it runs, and that LIMNER_STORE and LIMNER_STORE_ENDPOINT are right"
        if code == "NoSuchBucket":
            hint = "make the bucket first; limner makes none"
        elif type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
            hint = (
                "see that LIMNER_STORE_CREDENTIALS, or AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, are right and may read, write, list and delete there"
            )
        line = str(error).splitlines()[0]
        reason = code or line.partition(" - ")[2] or line
        return StoreError(f"The store {self.name} cannot be used: {reason}", hint=hint)


def _code(error: Exception) -> str | None:
    """What the S3 server calls the failure, if it was one to say."""
    found = re.search(r"<Code>(\w+)</Code>", str(error))
    return found[1] if found else None


def _obstore() -> Any:
    with needed("A store in S3", "limner[s3]"):
        import obstore
        import obstore.exceptions
        import obstore.store
    return obstore
