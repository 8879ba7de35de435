"""Addresses that are no Ray cluster: said at once, with the way out."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("ray.serve", reason="needs limner[ray]")

# A process of its own joins a cluster, of which there may be one for a process.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NO_RAY = "is no Ray cluster"


@contextmanager
def _silent() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@contextmanager
def _nobody() -> Iterator[int]:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextmanager
def _web() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextmanager
def _other_grpc() -> Iterator[int]:
    """As the port of Ray's clients is."""
    grpc = pytest.importorskip("grpc")
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None)


@pytest.mark.parametrize(
    ("listening", "words"),
    [
        (_nobody, "No Ray cluster answers at"),
        (_silent, NO_RAY),
        (_web, NO_RAY),
        (_other_grpc, NO_RAY),
    ],
)
def test_what_is_no_cluster_is_told_with_a_way_out(
    listening: Callable[[], AbstractContextManager[int]], words: str
) -> None:
    with listening() as port:
        address = f"127.0.0.1:{port}"
        asked = subprocess.run(
            [sys.executable, "-m", "limner", "ray", "status", "--address", address],
            capture_output=True,
            text=True,
            timeout=120,  # Ray by itself takes 14 minutes
        )
    assert asked.returncode == 6, asked.stderr
    assert words in asked.stderr
    assert address in asked.stderr
    assert "hint: " in asked.stderr
