"""Answers of services kept in a folder, and given again without a network.

An answer is kept by the SHA-256 of what was posted: path and body. Of answers to the same request,
the first is given first, and the last one again and again. Neither keys nor the address of the
service are kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.client import OK
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from limner.engines.upstream.dialects.base import Call
from limner.engines.upstream.refusals import Declined
from limner.errors import DataError, EngineError
from limner.storage import files

_KEPT_HEADERS = ("content-type", "retry-after", "retry-after-ms")


class Response(Protocol):
    """What is read of an answer."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Message: ...

    @property
    def length(self) -> int | None:
        """Bytes that are still to come, if that is known."""

    def read(self, n: int, /) -> bytes: ...

    def readline(self, limit: int = -1, /) -> bytes: ...


class Recorder:
    """Keeps answers in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    @contextmanager
    def keeping(self, call: Call, response: Response, key: str = "") -> Iterator[Response]:
        """`response`, which is kept once it was read: a refusal by its status, too.

        An answer that stalled, was cut off or held no picture is not kept. If a refusal repeats
        `key`, that is left out.
        """
        copied = _Copied(response)
        try:
            yield copied
        except (Declined, EngineError):
            if response.status != OK:
                if key:
                    copied.data = copied.data.replace(key.encode(), b"...")
                self._write(call, copied)
            raise
        self._write(call, copied)

    def _write(self, call: Call, answer: _Copied) -> None:
        told = {
            "path": call.path,
            "status": answer.status,
            "headers": {
                name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers
            },
            "body": base64.b64encode(bytes(answer.data)).decode("ascii"),
        }
        with self._lock:
            files.make_private_folder(self._folder)
            number = len(recorded(self._folder, call))
            path = self._folder / f"{digest(call)}-{number:04}.json"
            files.write_whole(path, json.dumps(told, indent=2).encode() + b"\n")


class Replayer:
    """Gives the answers in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n_given: dict[str, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def answer(self, call: Call) -> Iterator[Response]:
        """The next answer to `call`; a DataError if none was recorded."""
        paths = recorded(self._folder, call)
        if not paths:
            raise DataError(
                f"No answer to this request is recorded in {self._folder}",
                hint="record it with LIMNER_UPSTREAM_RECORD; the seed and all else must be the "
                "same",
            )
        with self._lock:
            number = self._n_given.get(digest(call), 0)
            self._n_given[digest(call)] = number + 1
        yield _Recorded(paths[min(number, len(paths) - 1)])


def digest(call: Call) -> str:
    """By what an answer is kept."""
    return hashlib.sha256(call.path.encode() + b"\n" + call.body).hexdigest()


def recorded(folder: Path, call: Call) -> list[Path]:
    """The answers to `call`, in the order in which they came."""
    return sorted(folder.glob(f"{digest(call)}-*.json"))


class _Copied:
    """A response, and what was read of it."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self.status, self.headers = response.status, response.headers
        self.data = bytearray()

    @property
    def length(self) -> int | None:
        return self._response.length

    def read(self, n: int, /) -> bytes:
        data = self._response.read(n)
        self.data += data
        return data

    def readline(self, limit: int = -1, /) -> bytes:
        line = self._response.readline(limit)
        self.data += line
        return line


class _Recorded(BytesIO):
    """A recorded answer."""

    length = None

    def __init__(self, path: Path) -> None:
        try:
            told: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
            super().__init__(base64.b64decode(told["body"], validate=True))
            self.status = int(told["status"])
            self.headers = Message()
            for name, value in told["headers"].items():
                self.headers[name] = value
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"The recorded answer {path} cannot be read", hint="record it again"
            ) from error
