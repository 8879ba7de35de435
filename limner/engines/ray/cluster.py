"""The connection of this process to a Ray cluster, and what is said if there is none."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayError

from limner.errors import EngineError, SettingsError

CONNECT_S = 5.0  # that a cluster has to answer
# How a client of HTTP/2 begins, with settings that change nothing, and the type of frame that every
# server answers with first (RFC 9113, sections 3.4 and 6.5). Ray speaks gRPC, which is HTTP/2.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS, _HEAD_BYTES = 4, 9
# Ray tries so often to reach a cluster; each attempt that is not answered takes 40 s.
_ATTEMPTS = "RAY_gcs_server_port_wait_time_s"

_lock = threading.Lock()
_users: dict[str, int] = {}  # of the one address that this process is connected to
_joined: set[str] = set()  # where it was not connected before


def connect(address: str) -> None:
    """Join the cluster at `address` ("auto" or host:port); each call needs a `leave`.

    Ray has one connection for a process. Raises SettingsError without an address, or if the process
    is in another cluster; EngineError if the cluster does not answer or is of another version.
    """
    if not address:
        raise SettingsError(
            "Engine ray needs the address of a cluster",
            hint="set LIMNER_RAY_ADDRESS: auto on a node of the cluster, or host:6379 of its head",
        )
    with _lock:
        other = next((one for one in _users if one != address), None)
        if other is not None:
            raise SettingsError(
                f"This process is in the Ray cluster at {other}, and cannot join that at {address}",
                hint="one server draws on one cluster",
            )
        if not ray.is_initialized():
            _join(address)
            _joined.add(address)
        _users[address] = _users.get(address, 0) + 1


def leave(address: str) -> None:
    """Take back one `connect`; the last one ends the connection, if `connect` made it."""
    with _lock:
        left = _users.pop(address, 0) - 1
        if left > 0:
            _users[address] = left
        elif address in _joined:
            _joined.remove(address)
            ray.shutdown()


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be in the cluster at `address`."""
    connect(address)
    try:
        yield
    finally:
        leave(address)


@contextmanager
def here(n_cpus: int) -> Iterator[None]:
    """A cluster of this machine alone, which is taken to have so many processor cores."""
    _init(num_cpus=n_cpus, include_dashboard=False)
    try:
        yield
    finally:
        ray.shutdown()


def _join(address: str) -> None:
    if address != "auto":
        _check_answers(address)
    before = os.environ.get(_ATTEMPTS)
    os.environ.setdefault(_ATTEMPTS, "1")
    try:
        _init(address=address)
    except (OSError, RuntimeError, ValueError, AssertionError, RayError) as error:
        ray.shutdown()
        raise _refusal(address, error) from error
    finally:
        if before is None:
            del os.environ[_ATTEMPTS]


def _init(**how: Any) -> None:
    """Call ray.init; signals stay with who has them, and nothing is reported to Ray's makers."""
    logging.getLogger("ray.serve").setLevel(logging.WARNING)  # it tells of each step
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    is_main = threading.current_thread() is threading.main_thread()
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)} if is_main else {}
    try:
        ray.init(logging_level=logging.WARNING, log_to_driver=False, configure_logging=False, **how)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_answers(address: str) -> None:
    """Raise EngineError unless a server of HTTP/2 is at `address`. Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
                return  # it answers to a greeting of TLS only
            said = _said(connection)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EngineError(
            f"No Ray cluster answers at {address}: {reason.lower()}",
            hint="start one with `ray start --head`, or check LIMNER_RAY_ADDRESS",
        ) from error
    if len(said) < _HEAD_BYTES or said[3] != _SETTINGS:
        raise _no_ray(address)


def _said(connection: socket.socket) -> bytes:
    """The head of the frame that a server of HTTP/2 begins with; another one says less or other."""
    said = b""
    try:
        connection.sendall(_GREETING)
        while len(said) < _HEAD_BYTES and (more := connection.recv(_HEAD_BYTES - len(said))):
            said += more
    except OSError:
        pass  # silence, or a connection that was cut off
    return said


def _no_ray(address: str) -> EngineError:
    return EngineError(
        f"What answers at {address} is no Ray cluster",
        hint="give the port of the head node: `ray start --head` says it, most often 6379; that of "
        "the dashboard (8265) and that of Ray's clients (10001) are others",
    )


def _refusal(address: str, error: Exception) -> EngineError:
    said = str(error.__cause__ or error).strip()
    if "ersion mismatch" in said:
        what = "; ".join(line.strip() for line in said.splitlines() if line.strip())
        return EngineError(
            f"The Ray cluster at {address} is of another version: {what}",
            hint="install the same Python and the same limner[ray] on all its machines",
        )
    hint = "limner must run on a node of the cluster: `ray start --address HOST:6379`"
    if "uthenticat" in said or "token" in said.lower():
        hint = "give limner the cluster's token: RAY_AUTH_TOKEN, or ~/.ray/auth_token"
    elif "connect to GCS" in said:
        return _no_ray(address)
    reason = said.splitlines()[0] if said else repr(error)
    return EngineError(f"The Ray cluster at {address} cannot be joined: {reason}", hint=hint)
