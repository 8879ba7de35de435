"""Attacks on what a server holds: bodies, uploads, edits that wait, streams that nobody reads.

Each function takes the base URL of a server without keys and returns when it has done its worst.
Alone, this file starts a server with default settings for each and prints a table:

    python benchmarks/_attacks_bounds.py [NAME …]
"""

import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET, create_connection, socket
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
from PIL import Image

EDITS, GENERATIONS = "/v1/images/edits", "/v1/images/generations"
_FORM = "multipart/form-data; boundary=b"
_SEND_S = 30.0  # for one body; a server that answers early may read no further


def nested_json(url: str) -> None:
    """One edit of 99 MB of empty arrays."""
    _send(url, EDITS, "application/json", b'{"images":[', b"[]," * 333_333, 99)


def named_json(url: str) -> None:
    """One edit of 99 MB of empty names."""
    _send(url, EDITS, "application/json", b'{"prompt":"x",', b'"":0,' * 200_000, 99)


def quoted_json(url: str) -> None:
    """One edit whose prompt is 99 MB of escaped quotes."""
    _send(url, EDITS, "application/json", b'{"prompt":"', b'\\"' * 500_000, 99)


def pictures_in_json(url: str) -> None:
    """Four edits at a time, each with four pictures of 20 MB, which are none, in base64."""
    picture = {"image_url": "data:image/png;base64," + "A" * 20_000_000}
    body = json.dumps({"prompt": "x", "images": [picture] * 4}).encode()
    _at_once(4, lambda _: _post(url, EDITS, "application/json", body))


def unfinished_bodies(url: str) -> None:
    """20 forms of 98 of 99 MB; the rest never comes."""
    start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    with ExitStack() as stack:
        connections = [stack.enter_context(_connect(url)) for _ in range(20)]

        def send(at: int) -> None:
            with suppress(OSError):
                connections[at].sendall(_head(EDITS, _FORM, 99_000_000) + start)
                for _ in range(98):
                    connections[at].sendall(bytes(1_000_000))

        _at_once(len(connections), send)
        time.sleep(5)


def scans(url: str) -> None:
    """Two edits of a JPEG of 15,000 scans of 4096x4096; the senders leave after two seconds."""
    _leave_edits(url, _jpeg_of_scans(15_000), 2)


def scans_within_limits(url: str) -> None:
    """Eight edits of a JPEG of 100 scans; the senders leave after two seconds."""
    _leave_edits(url, _jpeg_of_scans(100), 8)


def waiting_edits(url: str) -> None:
    """40 edits at a time of a small file that has 4096x4096 pixels, and of a mask like it."""
    mask = np.full((4096, 4096, 4), 255, np.uint8)
    mask[1000:3000, 1000:3000] = 0
    picture, hidden = _png(np.zeros_like(mask) + np.uint8(200)), _png(mask)
    form = _form(("prompt", b"a cat"), ("size", b"256x256"), ("quality", b"low"))
    body = form + _file("image", picture) + _file("mask", hidden) + b"--b--\r\n"
    _at_once(40, lambda _: _post(url, EDITS, _FORM, body))


def unread_streams(url: str) -> None:
    """Eight streams of ten pictures of 3840x1280 with previews, none of which is read."""
    body = {"prompt": "a cat", "n": 10, "size": "3840x1280", "model": "gpt-image-2"}
    body |= {"stream": True, "partial_images": 3, "quality": "low"}
    sent = json.dumps(body).encode()
    with ExitStack() as stack:
        for _ in range(8):
            connection = stack.enter_context(_connect(url))
            connection.sendall(_head(GENERATIONS, "application/json", len(sent)) + sent)
        time.sleep(90)


def long_words(url: str) -> None:
    """480 kB to judge of a character that is 18 in plain letters, eight times at once."""
    body = json.dumps({"input": "\ufdfa" * 160_000}, ensure_ascii=False).encode()
    _at_once(8, lambda _: _post(url, "/v1/moderations", "application/json", body))


ATTACKS: dict[str, Callable[[str], None]] = {
    attack.__name__: attack
    for attack in (
        nested_json,
        named_json,
        quoted_json,
        pictures_in_json,
        unfinished_bodies,
        scans,
        scans_within_limits,
        waiting_edits,
        unread_streams,
        long_words,
    )
}


def _leave_edits(url: str, picture: bytes, n: int) -> None:
    form = _form(("prompt", b"a cat"), ("model", b"gpt-image-1"))
    body = form + _file("image", picture) + b"--b--\r\n"
    with ExitStack() as stack:
        for _ in range(n):
            connection = stack.enter_context(_connect(url))
            with suppress(OSError):
                connection.sendall(_head(EDITS, _FORM, len(body)) + body)
        time.sleep(2)


def _jpeg_of_scans(n: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4096, 4096), "red").save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (n - data.count(b"\xff\xda") + 1) + data[-2:]


def _png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _form(*fields: tuple[str, bytes]) -> bytes:
    line = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    return b"".join(line % (name.encode(), value) for name, value in fields)


def _file(name: str, data: bytes) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\n'
    return head % name.encode() + data + b"\r\n"


def _head(path: str, kind: str, n_bytes: int) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-type: {kind}"]
    return "\r\n".join([*lines, f"content-length: {n_bytes}", "", ""]).encode()


def _connect(url: str) -> socket:
    address = urlsplit(url)
    connection = create_connection((address.hostname, address.port), timeout=_SEND_S)
    connection.setsockopt(SOL_SOCKET, SO_RCVBUF, 65_536)
    return connection


def _send(url: str, path: str, kind: str, start: bytes, unit: bytes, n: int) -> None:
    """Send a body of `n` units, and wait for what is said to it."""
    with _connect(url) as connection, suppress(OSError):
        connection.sendall(_head(path, kind, len(start) + n * len(unit)) + start)
        for _ in range(n):
            connection.sendall(unit)
        connection.recv(65_536)


def _post(url: str, path: str, kind: str, body: bytes) -> None:
    with suppress(httpx2.HTTPError):
        httpx2.post(url + path, content=body, headers={"content-type": kind}, timeout=300)


def _at_once(n: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(at,)) for at in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Alone: what each does to a server of its own.


def _memory_mb(pid: int) -> float:
    """What a process and its children hold, shared pages by their share."""
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if int(folder.name) == pid or parent == pid:
                text = (folder / "smaps_rollup").read_text()
                total += int(re.findall(r"^Pss:\s+(\d+)", text, re.M)[0]) / 1000
    return total


class _Watch:
    """Memory and answers of /health until it is stopped."""

    def __init__(self, url: str, pid: int) -> None:
        self._url, self._pid = url, pid
        self._is_over = threading.Event()
        self.peak_mb = self.longest_s = 0.0
        self._threads = [threading.Thread(target=work) for work in (self._look, self._ask)]

    def __enter__(self) -> "_Watch":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.1):
            self.peak_mb = max(self.peak_mb, _memory_mb(self._pid))

    def _ask(self) -> None:
        with httpx2.Client(timeout=120) as http:
            while not self._is_over.wait(0.05):
                started_s = time.monotonic()
                with suppress(httpx2.HTTPError):
                    http.get(self._url + "/health")
                self.longest_s = max(self.longest_s, time.monotonic() - started_s)


def _measure(attack: Callable[[str], None], home: Path) -> str:
    command = [sys.executable, "-m", "limner", "serve", "--port", "0", "--quiet"]
    environment = {**os.environ, "LIMNER_HOME": str(home)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stderr
            found = re.search(r"http://127\.0\.0\.1:\d+", server.stderr.readline())
            assert found
            threading.Thread(target=server.stderr.read, daemon=True).start()
            url = found[0]
            # What drawing itself takes depends on the size, and ONNX Runtime keeps it.
            size = "3840x1280" if attack is unread_streams else "256x256"
            n = 2 if attack is unread_streams else 1  # a picture for each thread that draws
            body: dict[str, Any] = {"prompt": "a cat", "size": size, "n": n, "quality": "low"}
            body |= {"model": "gpt-image-2" if attack is unread_streams else "dall-e-2"}
            httpx2.post(url + GENERATIONS, json=body, timeout=300)
            before_mb = _memory_mb(server.pid)
            with _Watch(url, server.pid) as watch:
                attack(url)
                ended_s = time.monotonic()
                while _memory_mb(server.pid) > before_mb + 100 and time.monotonic() < ended_s + 180:
                    time.sleep(0.2)
                recovered_s = time.monotonic() - ended_s
            left_mb = _memory_mb(server.pid) - before_mb
        finally:
            server.kill()
    return (
        f"| {attack.__name__} | {watch.peak_mb - before_mb:.0f} MB | {watch.longest_s:.2f} s "
        f"| {recovered_s:.0f} s | {left_mb:.0f} MB |"
    )


def main() -> None:
    """Print a row for each attack named, or for all."""
    print("| attack | memory above the quiet server | longest /health | recovered | left |")
    print("|---|---|---|---|---|")
    for name in sys.argv[1:] or ATTACKS:
        with tempfile.TemporaryDirectory() as home:
            print(_measure(ATTACKS[name], Path(home)), flush=True)


if __name__ == "__main__":
    main()
