"""One request to a service over HTTP, with limits of time, that can be stopped at any moment.

A connection serves one request and is closed then: nothing is ever sent on one that the service
may have closed meanwhile, so it is always known whether a request was sent. No redirect is
followed, as the key would go with it.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from limner.errors import UpstreamError

POLL_S = 0.25  # how often it is looked whether somebody still waits

_MAYBE_CHARGED = "the upstream may have drawn the picture and charged for it; its own log tells"


@dataclass(frozen=True)
class Limits:
    """How long a service may take, in seconds."""

    connect_s: float = 5
    first_byte_s: float = 300  # from the request to the begin of the answer
    total_s: float = 600  # from the request to the end of the answer


class NotConnected(Exception):
    """There is no connection, and nothing was sent."""


class Stopped(Exception):
    """Nobody waits for the answer any more; the connection is closed."""


class TooSlow(UpstreamError):
    """The answer did not begin or end within the limits."""


@contextmanager
def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    limits: Limits,
    is_stopped: Callable[[], bool],
) -> Iterator[http.client.HTTPResponse]:
    """Send `body`; gives the answer as soon as it begins, to be read within this context.

    Raises NotConnected, Stopped as soon as `is_stopped`, and UpstreamError if the answer does not
    come, takes too long or is cut off.
    """
    connection = _connection(url, limits.connect_s)
    with closing(connection):
        try:
            connection.connect()
        except (OSError, UnicodeError) as error:  # UnicodeError: no name that can be looked up
            raise NotConnected(_reason(error)) from error
        connection.sock.settimeout(None)  # the guard ends what takes too long
        with _Guard(connection.sock, limits, is_stopped) as guard:
            try:
                address = urlsplit(url)
                connection.request("POST", address.path, body, dict(headers))
                response = connection.getresponse()
                guard.has_begun = True
                with closing(response):
                    yield response
            except Exception as error:
                if guard.failure:
                    raise guard.failure from error
                if isinstance(error, OSError | http.client.HTTPException):
                    raise UpstreamError(
                        f"The upstream cut the connection off: {_reason(error)}",
                        hint=_MAYBE_CHARGED,
                    ) from error
                raise


class _Guard:
    """A thread that closes a connection when its time is over or nobody waits for it.

    `failure` says then why. Shutting a socket down wakes the thread that reads from it.
    """

    def __init__(self, sock: socket.socket, limits: Limits, is_stopped: Callable[[], bool]) -> None:
        self._sock, self._limits, self._is_stopped = sock, limits, is_stopped
        self._started_s = time.monotonic()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="upstream-guard", daemon=True)
        self.has_begun = False  # the answer
        self.failure: Exception | None = None

    def __enter__(self) -> _Guard:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(POLL_S):
            self.failure = self._found()
            if self.failure:
                with suppress(OSError):  # closed already
                    # Not that of an SSL socket, which another thread may not use meanwhile.
                    socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
                return

    def _found(self) -> Exception | None:
        passed_s = time.monotonic() - self._started_s
        limits = self._limits
        if self._is_stopped():
            return Stopped()
        if not self.has_begun and passed_s > limits.first_byte_s:
            return _too_slow("did not begin to answer", limits.first_byte_s, "FIRST_BYTE_S")
        if passed_s > limits.total_s:
            return _too_slow("did not end its answer", limits.total_s, "TOTAL_S")
        return None


def _too_slow(what: str, limit_s: float, setting: str) -> TooSlow:
    return TooSlow(
        f"The upstream {what} within {limit_s:g} s",
        hint=f"{_MAYBE_CHARGED}; LIMNER_UPSTREAM_{setting} is the limit",
    )


def _connection(url: str, timeout_s: float) -> http.client.HTTPConnection:
    address = urlsplit(url)
    assert address.hostname
    if address.scheme == "https":
        return http.client.HTTPSConnection(
            address.hostname, address.port, timeout=timeout_s, context=_tls()
        )
    return http.client.HTTPConnection(address.hostname, address.port, timeout=timeout_s)


@cache
def _tls() -> ssl.SSLContext:
    """With the certificates of this machine, or of SSL_CERT_FILE; made once, as it is slow."""
    return ssl.create_default_context()


def _reason(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "its answer is incomplete"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).lower() or type(error).__name__
