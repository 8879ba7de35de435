"""Pictures by their addresses: whole, in part, or not at all as the client has them."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

import httpx2
import pytest

from tests.server.helpers import Server, assert_openai_error, make_settings, running
from tests.support.s3 import CREDENTIALS, S3Server


@dataclass
class Stored:
    """A picture of a server, and its bytes."""

    http: httpx2.Client
    url: str
    data: bytes

    def get(self, method: str = "GET", **headers: str) -> httpx2.Response:
        """Ask for it; names of headers with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, self.url, headers=named)


def _store(server: Server) -> Stored:
    url = server.generate().json()["data"][0]["url"]
    return Stored(server.http, url, server.http.get(url).content)


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    values = {}
    if request.param == "bucket":
        s3_server: S3Server = request.getfixturevalue("s3_server")
        values = s3_server.settings(request.getfixturevalue("bucket"))
    with running(make_settings(tmp_path, **values)) as server:
        yield _store(server)


def test_whole_picture_says_what_it_is(stored: Stored) -> None:
    answer, head = stored.get(), stored.get("HEAD")
    assert (answer.status_code, head.status_code, head.content) == (200, 200, b"")
    for headers in (answer.headers, head.headers):
        assert headers["content-type"] == "image/png"
        assert headers["accept-ranges"] == "bytes"
        assert headers["content-length"] == str(len(stored.data))
        assert headers["etag"] == answer.headers["etag"]
        changed = parsedate_to_datetime(headers["last-modified"])
        assert abs(changed.timestamp() - time.time()) < 60
    assert answer.headers["etag"][0] == answer.headers["etag"][-1] == '"'


def test_part_of_a_picture(stored: Stored) -> None:
    n = len(stored.data)
    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=5-99", 5, 100),
        ("Bytes=100-", 100, n),
        ("bytes=-7", n - 7, n),
        (f"bytes=3-{n * 9}", 3, n),
        (f"bytes=-{n * 9}", 0, n),
    ):
        answer = stored.get(range=asked)
        assert answer.status_code == 206, asked
        assert answer.content == stored.data[start:end]
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{n}"
        assert answer.headers["content-length"] == str(end - start)
        assert answer.headers["content-type"] == "image/png"


def test_range_that_is_none_is_passed_over(stored: Stored) -> None:
    for asked in ("bytes=9-3", "bytes=-", "items=0-3", "bytes=0-1,4-5", "x", "bytes=" + "9" * 30):
        answer = stored.get(range=asked)
        assert (answer.status_code, answer.content) == (200, stored.data), asked
    head = stored.get("HEAD", range="bytes=0-3")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(stored.data)))


def test_range_beyond_the_end_is_refused(stored: Stored) -> None:
    for asked in (f"bytes={len(stored.data)}-", "bytes=-0", "bytes=99999999999-"):
        answer = stored.get(range=asked)
        assert str(len(stored.data)) in assert_openai_error(
            answer, 416, "range_not_satisfiable"
        ).replace(",", "")
        assert answer.headers["content-range"] == f"bytes */{len(stored.data)}"


def test_what_the_client_has_is_not_sent_again(stored: Stored) -> None:
    known = stored.get("HEAD").headers
    tag, date = known["etag"], known["last-modified"]
    for method in ("GET", "HEAD"):
        for said in (tag, f'"other", {tag}', f"W/{tag}", "*"):
            answer = stored.get(method, if_none_match=said, range="bytes=0-3")
            assert (answer.status_code, answer.content) == (304, b""), said
            assert answer.headers["etag"] == tag
            assert answer.headers["cache-control"] == "private, max-age=3600"
            assert "content-length" not in answer.headers
    assert stored.get(if_modified_since=date).status_code == 304
    for headers in (
        {"if_none_match": '"other"'},
        {"if_none_match": '"other"', "if_modified_since": date},
        {"if_none_match": tag.strip('"')},
        {"if_modified_since": formatdate(0, usegmt=True)},
        {"if_modified_since": "yesterday"},
        {"if_modified_since": '99999999999999999999 "(,'},
    ):
        answer = stored.get(**headers)
        assert (answer.status_code, answer.content) == (200, stored.data), headers
    wrong = Stored(stored.http, stored.url.replace("sig=", "sig=0"), b"")
    assert_openai_error(wrong.get(if_none_match="*"), 403, "link_expired")


def test_part_is_of_the_picture_that_was_begun(stored: Stored) -> None:
    known = stored.get("HEAD").headers
    for said in (known["etag"], known["last-modified"]):
        assert stored.get(range="bytes=0-3", if_range=said).status_code == 206
    for said in ('"other"', f"W/{known['etag']}", formatdate(0, usegmt=True), ""):
        answer = stored.get(range="bytes=0-3", if_range=said)
        assert (answer.status_code, answer.content) == (200, stored.data), said
    answer = stored.get(range="bytes=99999999999-", if_range='"other"')
    assert answer.status_code == 200


def test_page_may_read_the_headers(stored: Stored) -> None:
    answer = stored.get(origin="http://localhost:3000", range="bytes=0-3")
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"accept-ranges", "content-range", "etag"} <= set(exposed)


@contextmanager
def _counted(port: int) -> Iterator[tuple[int, list[int]]]:
    """A port that leads to `port`, and the lengths of all that comes back from there."""
    lengths: list[int] = []

    def pass_on(source: socket.socket, target: socket.socket, counted: list[int]) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
                counted.append(len(data))
            target.shutdown(socket.SHUT_WR)

    def join(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            asking = threading.Thread(target=pass_on, args=(client, server, []), daemon=True)
            asking.start()
            pass_on(server, client, lengths)
            asking.join()

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=join, args=listener.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1], lengths
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.slow
def test_no_more_is_fetched_than_the_part(tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    with _counted(s3_server.ports["s3.port"]) as (port, lengths):
        values = {
            "store": bucket,
            "store_endpoint": f"http://127.0.0.1:{port}",
            "store_credentials": CREDENTIALS,
        }
        with running(make_settings(tmp_path, **values)) as server:
            links, data = server.service.links, os.urandom(20_000_000)
            url = links.address(links.keep(data, "png", "req_1", 0))
            lengths.clear()
            for headers in ({"range": "bytes=10000000-10000999"}, {"if-none-match": "*"}):
                answer = server.http.get(url, headers=headers)
                assert answer.content in (data[10_000_000:10_001_000], b"")
                assert answer.status_code in (206, 304)
            assert server.http.head(url).status_code == 200
            assert 1_000 < sum(lengths) < 50_000
