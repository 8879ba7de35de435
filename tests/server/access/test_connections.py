"""What a connection may send and how long it may take, before any key is asked for."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from limner.server.access.proxies import Proxies, peer, subscriber
from limner.server.http import middleware
from limner.server.transport import configuration, connections, protocol
from limner.server.transport.configuration import uvicorn_config
from limner.service.telemetry.log_floods import OnceAMinute
from tests.server.helpers import GENERATIONS, Server, make_settings, running, wait_until
from tests.server.processes import serving
from tests.server.raw import Answer, connect, read_to_the_end, send

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
POST = (
    f"POST {GENERATIONS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
)
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def _answer(url: str, *parts: bytes) -> Answer:
    with connect(url) as connection:
        for part in parts:
            send(connection, part)
        return read_to_the_end(connection)


def _check(answer: Answer, status: int, code: str) -> None:
    """It is a refusal in the one envelope, and the last word on its connection."""
    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    assert int(answer.headers["content-length"]) == len(answer.body)


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ([GET, b"a:b\r\n" * 200], 431, "headers_too_large"),
        ([GET, b"x: ", b"y" * 70_000], 431, "headers_too_large"),
        ([GET, b"y" * 70_000], 431, "headers_too_large"),
        (
            [GET, *(b"x-%d: %s\r\n" % (n, b"y" * 1_000) for n in range(80))],
            431,
            "headers_too_large",
        ),
        ([b"GET /" + b"x" * 9_000, b" HTTP/1.1\r\n\r\n"], 414, "url_too_long"),
        ([b"\r\n" * 40_000], 431, "headers_too_large"),
        ([CHUNKED, b"2\r\n{}\r\n0\r\n", b"a: b\r\n" * 200], 431, "headers_too_large"),
        ([CHUNKED, b"2\r\n{}\r\n0\r\na: ", b"b" * 400_000], 431, "headers_too_large"),
        ([CHUNKED, b"2;", b"x" * 400_000], 431, "headers_too_large"),
        ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello"], 400, "invalid_http"),
        ([GET + b"\r\n", b"nonsense\r\n\r\n"], 400, "invalid_http"),
    ],
    ids=[
        *("many headers", "long header", "long name", "large head", "long url", "empty lines"),
        *("many trailers", "long trailer", "chunk extension", "TLS", "after a request"),
    ],
)
def test_what_is_too_large_is_refused(
    server: Server, parts: list[bytes], status: int, code: str
) -> None:
    with connect(server.url) as connection:
        for part in parts:
            send(connection, part)
        answer = read_to_the_end(connection)
    if answer.status == 200:  # of the request before
        answer = _second(answer)
    _check(answer, status, code)


def _second(answer: Answer) -> Answer:
    size = int(answer.headers["content-length"])
    rest = answer.body[size:]
    head, _, body = rest.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    return Answer(int(line.split()[1]), dict(each.split(": ", 1) for each in lines), body)


def test_what_is_just_small_enough_is_read(server: Server) -> None:
    rest = b"Connection: close\r\n\r\n"
    n_others = 2
    lines = b"".join(b"x-%d: y\r\n" % n for n in range(protocol.MAX_HEADERS - n_others))
    assert _answer(server.url, GET + lines + rest).status == 200
    filler = b"x: %s\r\n" % (b"y" * (protocol.MAX_HEAD_BYTES - len(GET + rest) - 5))
    assert len(GET + filler + rest) == protocol.MAX_HEAD_BYTES
    assert _answer(server.url, GET + filler + rest).status == 200
    url = b"/health?" + b"x" * (protocol.MAX_URL_BYTES - 8)
    assert _answer(server.url, GET.replace(b"/health", url) + rest).status == 200


def test_trailers_are_no_headers(server: Server) -> None:
    """They come after the checks of headers, and must not get into the request behind them."""
    trailers = b"Idempotency-Key: late\r\nAuthorization: Bearer x\r\n\r\n"
    body = b'{"prompt": "a cat", "size": "256x256"}'
    for _ in range(2):
        start = CHUNKED.replace(b"Transfer", b"Connection: close\r\nTransfer")
        answer = _answer(server.url, start, b"%x\r\n%s\r\n0\r\n" % (len(body), body), trailers)
        assert answer.status == 200
        assert "idempotent-replayed" not in answer.headers


def test_requests_sent_ahead_are_few(server: Server) -> None:
    few = GET + b"\r\n"
    last = GET + b"Connection: close\r\n\r\n"
    answer = _answer(server.url, few * protocol.MAX_SENT_AHEAD + last)
    assert answer.body.count(b"HTTP/1.1 200") == protocol.MAX_SENT_AHEAD
    answer = _answer(server.url, few * 5_000)
    assert answer.body.count(b"HTTP/1.1 200") < 20


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server whose time-outs are short."""
    for module, name, value in (
        (protocol, "HEAD_S", 0.3),
        (protocol, "UNREAD_S", 0.3),
        (middleware, "SLOW_S", 0.3),
        (middleware, "DRAIN_S", 0.3),
        (connections, "LOOK_S", 0.05),
        (configuration, "IDLE_S", 0.3),
    ):
        monkeypatch.setattr(module, name, value)
    with running(make_settings(tmp_path)) as server:
        yield server


def test_who_sends_nothing_is_cut(impatient: Server) -> None:
    assert _answer(impatient.url).status == 0
    answer = _answer(impatient.url, GET + b"\r\n")
    assert answer.status == 200  # and then the end, as nothing more comes


def _trickle(connection: socket.socket, part: bytes, most: int = 2_000) -> Answer:
    """What the server answers to `part` again and again, one every few ms."""
    connection.settimeout(0.01)
    answer = b""
    for _ in range(most):
        send(connection, part)
        try:
            answer = connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            continue
        except ConnectionResetError:
            return Answer(0, {}, b"")
        break
    else:
        pytest.fail("a trickle went on and on")
    return read_to_the_end(connection) if answer else Answer(0, {}, b"")


@pytest.mark.parametrize("start", [GET[:9], GET], ids=["half a line", "half a head"])
def test_who_does_not_end_a_head_is_told(impatient: Server, start: bytes) -> None:
    _check(_answer(impatient.url, start), 408, "request_timeout")


def test_a_trickle_ends(impatient: Server) -> None:
    for start, part in ((GET + b"x: ", b"y"), (CHUNKED, b"1\r\n \r\n")):
        with connect(impatient.url) as connection:
            send(connection, start)
            answer = _trickle(connection, part)
        assert (answer.status, answer.error["code"]) == (408, "request_timeout")
    with connect(impatient.url) as connection:  # no byte of a body, but framing
        send(connection, CHUNKED + b"2;")
        assert _trickle(connection, b"x").status == 408
    with connect(impatient.url) as connection:  # after the answer, the rest of a body
        send(connection, GET + b"Content-Length: 100000\r\n\r\n")
        assert _trickle(connection, b"y").status in (0, 200)


def test_a_body_in_time_is_read_however_long_it_takes(
    impatient: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate is that of the last moments, over several times what a pause may be."""
    monkeypatch.setattr(middleware, "MIN_BODY_BYTES_PER_S", 100)
    monkeypatch.setattr(protocol, "MIN_PART_BYTES", 10)  # as small beside what must come
    body = b'{"prompt": "a cat", "size": "256x256"}' + b" " * 4_000
    with connect(impatient.url) as connection:
        send(connection, POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        connection.settimeout(0.01)
        *parts, last = (body[start : start + 40] for start in range(0, len(body), 40))
        for part in parts:  # some 100 of 10 ms
            send(connection, part)
            with pytest.raises(TimeoutError):
                connection.recv(1)
        send(connection, last)  # which a fast machine may answer within 10 ms
        assert read_to_the_end(connection).status == 200


def test_who_takes_nothing_of_an_answer_is_cut(impatient: Server) -> None:
    links = impatient.service.links
    address = links.address(links.store(os.urandom(30_000_000), "png"))
    with connect(impatient.url) as connection:
        send(connection, f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        state = impatient.uvicorn.server_state
        wait_until(lambda: not state.connections and not state.tasks, 30)


def test_who_takes_an_answer_too_slowly_is_cut(
    impatient: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "UNREAD_S", 2.0)
    monkeypatch.setattr(protocol, "MIN_ANSWER_BYTES_PER_S", 1_000_000)
    links = impatient.service.links
    address = links.address(links.store(os.urandom(30_000_000), "png"))
    state = impatient.uvicorn.server_state
    with connect(impatient.url) as connection:
        connection.settimeout(30)
        send(connection, f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        n_read = len(connection.recv(2_000))
        with suppress(ConnectionResetError):
            while state.connections and (part := connection.recv(2_000)):
                n_read += len(part)
                time.sleep(0.01)
        assert 0 < n_read < 30_000_000
        wait_until(lambda: not state.connections and not state.tasks, 30)


def test_idle_connections_keep_nobody_out(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, connections=30, connections_per_address=10)
    with running(settings) as server, ExitStack() as held:
        for number in range(60):
            source = f"127.0.0.{2 + number // 20}"
            held.enter_context(connect(server.url, source))
            assert httpx2.get(f"{server.url}/health", timeout=30).status_code == 200
        wait_until(lambda: len(server.uvicorn.server_state.connections) <= 30)


def test_no_address_has_more_than_its_share_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "SLOW_AFTER_S", 1000.0)  # or they would make room
    settings = make_settings(tmp_path, connections=30, connections_per_address=10)
    with running(settings) as server, ExitStack() as held:
        for _ in range(10):
            busy = held.enter_context(connect(server.url, "127.0.0.2"))
            send(busy, CHUNKED)
        # All are at work, so the next is told; others are not concerned.
        wait_until(lambda: len(server.uvicorn.server_state.tasks) == 10)
        with connect(server.url, "127.0.0.2") as refused:
            answer = read_to_the_end(refused)
        _check(answer, 503, "server_is_overloaded")
        assert answer.headers["retry-after"] == "2"
        assert server.http.get("/health").status_code == 200


def test_proxies_have_no_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SLOW_AFTER_S", 0.0)  # they would make room if need be
    settings = make_settings(tmp_path, connections_per_address=2, proxies="127.0.0.2")
    with running(settings) as server, ExitStack() as held:
        for number in range(8):
            busy = held.enter_context(connect(server.url, "127.0.0.2"))
            send(busy, CHUNKED)
            wait_until(lambda n=number + 1: len(server.uvicorn.server_state.tasks) == n)


def test_a_body_that_comes_too_slowly_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "SLOW_AFTER_S", 0.0)
    settings = make_settings(tmp_path, connections=10)
    with running(settings) as server, ExitStack() as held:
        for _ in range(20):
            send(held.enter_context(connect(server.url)), CHUNKED)
            assert httpx2.get(f"{server.url}/health", timeout=30).status_code == 200


def test_addresses_are_compared_as_networks() -> None:
    proxies = Proxies(["10.0.0.0/8", "fd00::1"])
    for host, trusted in (
        *(("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.0.0.1", False)),
        *(("fd00::1", True), ("fd00::2", False), ("", False), ("10.0.0.1.example", False)),
    ):
        assert proxies.trusts(host) == trusted, host
    assert subscriber("2001:db8::1") == subscriber("2001:db8::ffff:2")
    assert subscriber("2001:db8::1") != subscriber("2001:db8:0:1::1")
    assert subscriber("::ffff:1.2.3.4") == "1.2.3.4" != subscriber("1.2.3.5")
    assert peer({"client": None}) == ""


def test_a_kind_of_line_is_written_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    once = OnceAMinute(lambda: now_s)
    log = logging.getLogger("limner.tests.floods")
    log.addFilter(once)
    for now_s in (0.0, 1.0, 59.0, 61.0, 62.0):
        log.warning("refused %s", now_s)
        log.warning("of another kind\nwith %r", now_s)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4
    assert said[2] == "refused 61.0 (and 2 times since the last line)"


def test_what_is_no_http_does_not_flood_the_log(tmp_path: Path) -> None:
    said: list[str] = []
    with serving(tmp_path, engine="testcard", said=said) as (_, url):
        for _ in range(200):
            assert _answer(url, b"nonsense\r\n\r\n").status in (0, 400)
        assert httpx2.get(f"{url}/health").status_code == 200
    assert len([line for line in said if "not a valid HTTP" in line]) == 1
    assert len(said) < 10


def test_without_files_left_it_still_answers(tmp_path: Path) -> None:
    """A process that may open few files takes few connections, and says so at most once."""
    said: list[str] = []
    program = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))\n"
        "from limner.cli import main\nmain()"
    )
    with (
        serving(tmp_path, engine="testcard", program=program, said=said) as (_, url),
        ExitStack() as held,
    ):
        for _ in range(400):
            held.enter_context(connect(url))
        assert httpx2.get(f"{url}/health", timeout=30).status_code == 200
    assert "Traceback" not in "".join(said)


def test_open_files_are_raised_as_far_as_needed(tmp_path: Path) -> None:
    program = (
        "import resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))\n"
        "from limner.cli import main\nmain()"
    )
    with serving(tmp_path, engine="testcard", program=program) as (process, url):
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        soft = int(limits.split("Max open files")[1].split()[0])
        assert soft == 1000 + connections.SPARE_FILES
        assert httpx2.get(f"{url}/health").status_code == 200


def test_a_body_in_single_bytes_is_handed_on_in_parts(tmp_path: Path) -> None:
    """Each byte of a slow body woke its request: 1,100 such held up /health for 1.3 s."""
    parts: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        is_over = scope["type"] != "http"
        while not is_over:
            message = await receive()
            parts.append(len(message["body"]))
            is_over = not message["more_body"]
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"%d" % sum(parts)})

    config = uvicorn_config(app, make_settings(tmp_path), port=0, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    [listening] = server.servers[0].sockets
    n_bytes = 3 * protocol.MIN_PART_BYTES + 5
    with connect(f"http://127.0.0.1:{listening.getsockname()[1]}") as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        send(connection, CHUNKED[:-2] + b"Connection: close\r\n\r\n")
        for _ in range(n_bytes):
            send(connection, b"1\r\n \r\n")
        send(connection, b"0\r\n\r\n")
        answer = read_to_the_end(connection)
    server.should_exit = True
    thread.join(60)
    assert (answer.status, sum(parts)) == (200, n_bytes)
    assert len(parts) <= 4
