"""Attacks on memory: bodies, uploads, waiting edits, unread streams.

Each function returns when its attack is over. The server has no keys.
"""

import io
import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from socket import SO_RCVBUF, SOL_SOCKET, create_connection, socket
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
from _target import Target
from PIL import Image

EDITS, GENERATIONS = "/v1/images/edits", "/v1/images/generations"
_FORM = "multipart/form-data; boundary=b"
_SEND_S = 30.0  # for one body; a server that answers early may read no further


def nested_json(target: Target) -> None:
    """One edit of 99 MB of empty arrays."""
    _send(target, EDITS, "application/json", b'{"images":[', b"[]," * 333_333, 99)


def named_json(target: Target) -> None:
    """One edit of 99 MB of empty names."""
    _send(target, EDITS, "application/json", b'{"prompt":"x",', b'"":0,' * 200_000, 99)


def quoted_json(target: Target) -> None:
    """One edit whose prompt is 99 MB of escaped quotes."""
    _send(target, EDITS, "application/json", b'{"prompt":"', b'\\"' * 500_000, 99)


def pictures_in_json(target: Target) -> None:
    """Four edits at a time, each with four pictures of 20 MB, which are none, in base64."""
    picture = {"image_url": "data:image/png;base64," + "A" * 20_000_000}
    body = json.dumps({"prompt": "x", "images": [picture] * 4}).encode()
    _at_once(4, lambda _: _post(target, EDITS, "application/json", body))


def unfinished_bodies(target: Target) -> None:
    """20 forms of 98 of 99 MB; the rest never comes."""
    start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    with ExitStack() as stack:
        connections = [stack.enter_context(_connect(target)) for _ in range(20)]

        def send(at: int) -> None:
            with suppress(OSError):
                connections[at].sendall(_head(EDITS, _FORM, 99_000_000) + start)
                for _ in range(98):
                    connections[at].sendall(bytes(1_000_000))

        _at_once(len(connections), send)
        time.sleep(5)


def scans(target: Target) -> None:
    """Two edits of a JPEG of 15,000 scans of 4096x4096; the senders leave after two seconds."""
    _leave_edits(target, _jpeg_of_scans(15_000), 2)


def scans_within_limits(target: Target) -> None:
    """Eight edits of a JPEG of 100 scans; the senders leave after two seconds."""
    _leave_edits(target, _jpeg_of_scans(100), 8)


def waiting_edits(target: Target) -> None:
    """40 edits at a time of a small file that has 4096x4096 pixels, and of a mask like it."""
    mask = np.full((4096, 4096, 4), 255, np.uint8)
    mask[1000:3000, 1000:3000] = 0
    picture, hidden = _png(np.zeros_like(mask) + np.uint8(200)), _png(mask)
    form = _form(("prompt", b"a cat"), ("size", b"256x256"), ("quality", b"low"))
    body = form + _file("image", picture) + _file("mask", hidden) + b"--b--\r\n"
    _at_once(40, lambda _: _post(target, EDITS, _FORM, body))


def unread_streams(target: Target) -> None:
    """Eight streams of ten pictures of 3840x1280 with previews, none of which is read."""
    body = {"prompt": "a cat", "n": 10, "size": "3840x1280", "model": "gpt-image-2"}
    body |= {"stream": True, "partial_images": 3, "quality": "low"}
    sent = json.dumps(body).encode()
    with ExitStack() as stack:
        for _ in range(8):
            connection = stack.enter_context(_connect(target))
            connection.sendall(_head(GENERATIONS, "application/json", len(sent)) + sent)
        time.sleep(90)


def left_answers(target: Target) -> None:
    """Four streams of three pictures of 3840x1280 with an Idempotency-Key; the clients leave."""
    body = {"prompt": "a cat", "n": 3, "size": "3840x1280", "model": "gpt-image-2"}
    body |= {"stream": True, "partial_images": 3, "quality": "low"}
    sent = json.dumps(body).encode()
    for number in range(4):
        with _connect(target) as connection:
            head = _head(GENERATIONS, "application/json", len(sent))
            key = f"\r\nidempotency-key: {number}\r\n\r\n".encode()
            connection.sendall(head.removesuffix(b"\r\n\r\n") + key + sent)
            time.sleep(1)  # the request is read
    time.sleep(60)


def long_words(target: Target) -> None:
    """Eight moderations at a time of 480 kB of a character that expands to 18 letters."""
    body = json.dumps({"input": "\ufdfa" * 160_000}, ensure_ascii=False).encode()
    _at_once(8, lambda _: _post(target, "/v1/moderations", "application/json", body))


def _leave_edits(target: Target, picture: bytes, n: int) -> None:
    form = _form(("prompt", b"a cat"), ("model", b"gpt-image-1"))
    body = form + _file("image", picture) + b"--b--\r\n"
    with ExitStack() as stack:
        for _ in range(n):
            connection = stack.enter_context(_connect(target))
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


def _connect(target: Target) -> socket:
    address = urlsplit(target.url)
    connection = create_connection((address.hostname, address.port), timeout=_SEND_S)
    connection.setsockopt(SOL_SOCKET, SO_RCVBUF, 65_536)
    return connection


def _send(target: Target, path: str, kind: str, start: bytes, unit: bytes, n: int) -> None:
    """Send a body of `n` units, and wait for the answer."""
    with _connect(target) as connection, suppress(OSError):
        connection.sendall(_head(path, kind, len(start) + n * len(unit)) + start)
        for _ in range(n):
            connection.sendall(unit)
        connection.recv(65_536)


def _post(target: Target, path: str, kind: str, body: bytes) -> None:
    with suppress(httpx2.HTTPError):
        httpx2.post(target.url + path, content=body, headers={"content-type": kind}, timeout=300)


def _at_once(n: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(at,)) for at in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


ATTACKS = {
    "bodies": (nested_json, named_json, quoted_json, pictures_in_json, unfinished_bodies),
    "streams": (unread_streams, left_answers),
    "edits": (waiting_edits,),
    "decoding": (scans, scans_within_limits),
    "moderation": (long_words,),
}
