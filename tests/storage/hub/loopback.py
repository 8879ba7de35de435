"""A hub on loopback: one repository, and the faults that a test asks for."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

REPO, COMMIT = "someone/tiny", "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What it has, how it fails, and what it was asked."""

    files: dict[str, bytes]
    url: str = ""
    licence: str = "openrail"
    api_status: int = 200
    told: dict[str, bytes] = field(default_factory=dict)  # hashes are of these, if there are any
    cut: dict[str, int] = field(default_factory=dict)  # the connection breaks after so many, once
    failing: set[str] = field(default_factory=set)  # answered with 503
    asked: list[tuple[str, str]] = field(default_factory=list)  # (path, Range)
    tokens: set[str] = field(default_factory=set)  # that came with requests for files

    def info(self) -> bytes:
        """What the API says of the repository."""
        siblings = []
        for path, data in (self.files | self.told).items():
            one: dict[str, object] = {"rfilename": path, "size": len(data)}
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            if path.endswith((".json", ".txt", ".md")):
                one["blobId"] = blob
            else:
                sha256 = hashlib.sha256(data).hexdigest()
                one["blobId"] = "0" * 40  # of the pointer
                one["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 130}
            siblings.append(one)
        told = {
            "id": REPO,
            "sha": COMMIT,
            "siblings": siblings,
            "cardData": {"license": self.licence},
        }
        return json.dumps(told).encode()


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Hub]:
    """Serve a repository with `files` meanwhile."""
    hub = Hub(files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if path.startswith(f"/api/models/{REPO}/revision/"):
                self._send(hub.api_status, hub.info() if hub.api_status == 200 else b"{}")
                return
            prefix = f"/{REPO}/resolve/{COMMIT}/"
            name = path.removeprefix(prefix) if path.startswith(prefix) else path.lstrip("/")
            if name not in hub.files:
                self._send(404, b"")
                return
            if with_body:
                hub.asked.append((name, self.headers.get("Range", "")))
                hub.tokens.add(self.headers.get("Authorization", ""))
            if name in hub.failing:
                self._send(503, b"")
                return
            self._send_file(name, with_body=with_body)

        def _send_file(self, name: str, *, with_body: bool) -> None:
            data, status, headers = hub.files[name], 200, {}
            if found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
                begin = int(found[1])
                headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
                data, status = data[begin:], 206
            n_cut = hub.cut.pop(name, None) if with_body else None
            self._send(status, data, headers, n_cut=n_cut, with_body=with_body)

        def _send(
            self,
            status: int,
            body: bytes,
            headers: dict[str, str] | None = None,
            *,
            n_cut: int | None = None,
            with_body: bool = True,
        ) -> None:
            self.send_response(status)
            if status == 404 and "/api/" not in self.path:
                self.send_header("X-Error-Code", "EntryNotFound")
            elif status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            elif status == 403:
                self.send_header("X-Error-Code", "GatedRepo")
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body[:n_cut])
            if n_cut is not None:
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
