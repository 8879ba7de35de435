"""Attacks on connections, without a key: endless heads, idle and slow clients, other protocols."""

import contextlib

from _target import Target

GET = "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk-wrong\r\n"
POST = "POST /v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST += "Content-Type: application/json\r\n"
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"


def headers(target: Target) -> None:
    """175 MB of headers after a GET with a wrong key."""
    target.send(GET, b"a:b\r\n", 175e6)


def one_header(target: Target) -> None:
    """One header of 175 MB."""
    target.send(GET + "x: ", b"y", 175e6)


def url(target: Target) -> None:
    """A URL of 175 MB."""
    target.send("GET /", b"x", 175e6)


def trailers(target: Target) -> None:
    """175 MB of headers after a chunked body."""
    target.send(CHUNKED + "2\r\n{}\r\n0\r\n", b"a:b\r\n", 175e6)


def sent_ahead(target: Target) -> None:
    """50 MB of requests on one connection, whose answers are not read."""
    target.send("", (GET + "\r\n").encode(), 50e6)


def idle(target: Target) -> None:
    """1,100 connections that send nothing."""
    target.flood(1100)


def half_a_line(target: Target) -> None:
    """1,100 connections that send half a request line."""
    target.flood(1100, GET[:9])


def slow_headers(target: Target) -> None:
    """1,100 connections that send a header a second."""
    target.flood(1100, GET, "a: b\r\n")


def slow_chunks(target: Target) -> None:
    """1,100 connections that send a chunk of one byte a second."""
    target.flood(1100, CHUNKED, "1\r\n \r\n")


def nonsense(target: Target) -> None:
    """20,000 connections that send no HTTP, one after the other."""
    for _ in range(round(20_000 * target.scale)):
        with contextlib.suppress(OSError), contextlib.closing(target.open()) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            connection.recv(100)
        target.held.clear()


ATTACKS = {
    "heads": (headers, one_header, url, trailers),
    "connections": (sent_ahead, idle, half_a_line, slow_headers, slow_chunks, nonsense),
}
