"""The queue before an engine: order, bounds, who leaves, and what a stream shows meanwhile."""

from __future__ import annotations

import json
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.engines.base import Picture
from limner.server.routes.images import drawing
from tests.server.helpers import (
    GENERATIONS,
    GatedEngine,
    Server,
    assert_openai_error,
    make_settings,
    running,
    wait_until,
)


def _in_thread(
    server: Server, answers: dict[str, httpx2.Response], prompt: str
) -> threading.Thread:
    def generate() -> None:
        with httpx2.Client(base_url=server.url, timeout=30) as http:
            body = {"prompt": prompt, "size": "256x256"}
            answers[prompt] = http.post(GENERATIONS, json=body)

    thread = threading.Thread(target=generate)
    thread.start()
    return thread


def _n_waiting(server: Server) -> int:
    return server.service.workers["gated"].n_waiting


def _post_by_hand(server: Server, **body: Any) -> socket.socket:
    """Send a request and leave the connection open."""
    data = json.dumps({"prompt": "a cat", "size": "256x256"} | body).encode()
    connection = socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
    head = f"POST {GENERATIONS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    connection.sendall(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
    return connection


def test_full_queue_is_429_and_those_in_it_are_drawn_in_order(
    gated: Server, engine: GatedEngine
) -> None:
    answers: dict[str, httpx2.Response] = {}
    threads = [_in_thread(gated, answers, "first")]
    wait_until(lambda: engine.started == ["first"])
    for n_waiting, prompt in enumerate(["second", "third"], start=1):
        threads.append(_in_thread(gated, answers, prompt))
        wait_until(lambda n=n_waiting: _n_waiting(gated) == n)
    response = gated.generate()
    message = assert_openai_error(response, 429, "rate_limit_exceeded")
    assert "2 requests are waiting" in message
    assert 1 <= int(response.headers["retry-after"]) <= 60
    engine.let_all_go()
    for thread in threads:
        thread.join(60)
    assert [answer.status_code for answer in answers.values()] == [200] * 3
    assert engine.started == ["first", "second", "third"]
    assert gated.generate(model="testcard").status_code == 200


@pytest.mark.parametrize("body", [{}, {"stream": True}])
def test_who_leaves_stops_the_drawing(
    gated: Server, engine: GatedEngine, body: dict[str, Any]
) -> None:
    connection = _post_by_hand(gated, **body)
    wait_until(lambda: engine.started == ["a cat"])
    connection.close()
    wait_until(lambda: _is_cancelled(gated))
    engine.gate.release()
    wait_until(lambda: engine.stopped == ["a cat"])
    assert engine.gate.acquire(blocking=False) is False
    assert gated.stored == []


def _is_cancelled(server: Server) -> bool:
    return all(job.is_cancelled for job in server.service.workers["gated"]._drawing)


def test_who_leaves_mid_stream_stops_the_drawing(gated: Server, engine: GatedEngine) -> None:
    connection = _post_by_hand(gated, stream=True, partial_images=3)
    engine.gate.release(3)
    connection.settimeout(20)
    seen = b""
    while b"partial_image" not in seen:
        seen += connection.recv(65536)
    connection.close()
    wait_until(lambda: _is_cancelled(gated))
    engine.gate.release()
    wait_until(lambda: engine.stopped == ["a cat"])


def test_who_leaves_the_queue_is_never_drawn(gated: Server, engine: GatedEngine) -> None:
    first = _post_by_hand(gated, prompt="first")
    wait_until(lambda: engine.started == ["first"])
    leaving = [_post_by_hand(gated, prompt="leaves") for _ in range(2)]
    wait_until(lambda: _n_waiting(gated) == 2)
    for connection in leaving:
        connection.close()
    waiting = gated.service.workers["gated"]._waiting
    wait_until(lambda: all(job.is_cancelled for job in waiting))
    answers: dict[str, httpx2.Response] = {}
    thread = _in_thread(gated, answers, "stays")  # their places are free again
    wait_until(lambda: _n_waiting(gated) == 1)
    engine.let_all_go()
    thread.join(60)
    assert answers["stays"].status_code == 200
    assert engine.started == ["first", "stays"]
    first.close()


def test_failure_before_the_first_event_of_a_stream_is_an_ordinary_error(
    gated: Server, engine: GatedEngine
) -> None:
    engine.fail_at = object  # type: ignore[assignment]  # whatever comes first
    engine.let_all_go()
    assert_openai_error(gated.generate(stream=True), 500, None)


def test_failure_in_the_middle_of_a_stream_is_a_nested_event(
    gated: Server, engine: GatedEngine
) -> None:
    engine.fail_at = Picture
    engine.let_all_go()
    response = gated.generate(stream=True, partial_images=1)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    # Between them a comment, if a second has passed.
    blocks = [one for one in response.text.strip().split("\n\n") if not one.startswith(":")]
    assert [block.splitlines()[0] for block in blocks] == [
        "event: image_generation.partial_image",
        "event: error",
    ]
    error = json.loads(blocks[-1].splitlines()[1].removeprefix("data: "))
    assert error["type"] == "error"
    assert set(error["error"]) == {"message", "type", "param", "code"}


def test_stream_is_kept_alive_by_comments_alone(
    gated: Server, engine: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "FIRST_EVENT_S", 0.05)
    monkeypatch.setattr(drawing, "KEEP_ALIVE_S", 0.05)
    body = {"prompt": "a cat", "size": "256x256", "stream": True}
    with gated.http.stream("POST", GENERATIONS, json=body) as response:
        lines = response.iter_lines()
        assert [next(lines) for _ in range(4)] == [": keep-alive", ""] * 2
        engine.let_all_go()
        rest = [line for line in lines if line and not line.startswith(":")]
    assert rest[0] == "event: image_generation.completed"
    assert len(rest) == 2


def test_n_pictures_of_a_stream_have_previews_each(server: Server) -> None:
    response = server.generate(stream=True, n=2, partial_images=2)
    bodies = [
        json.loads(line.removeprefix("data: "))
        for line in response.text.splitlines()
        if line.startswith("data: ")
    ]
    assert [body.get("partial_image_index", "done") for body in bodies] == [0, 1, "done"] * 2
    assert all("usage" in body for body in bodies if body["type"].endswith("completed"))
    assert "[DONE]" not in response.text


def test_stopping_the_server_ends_what_is_drawn(engine: GatedEngine, tmp_path: Path) -> None:
    answers: dict[str, httpx2.Response] = {}
    with running(make_settings(tmp_path, engine="gated")) as server:
        thread = _in_thread(server, answers, "a cat")
        wait_until(lambda: engine.started == ["a cat"])
        worker = server.service.workers["gated"]
        closing = threading.Thread(target=worker.close)
        closing.start()
        thread.join(60)
        assert_openai_error(answers["a cat"], 503, "server_is_overloaded")
        assert_openai_error(server.generate(), 503, "server_is_overloaded")
        assert server.http.get("/ready").status_code == 503
        engine.let_all_go()
        closing.join(60)
        wait_until(lambda: engine.stopped == ["a cat"])


def test_other_requests_are_answered_while_one_is_drawn(gated: Server, engine: GatedEngine) -> None:
    connection = _post_by_hand(gated)
    wait_until(lambda: engine.started == ["a cat"])
    started_s = time.monotonic()
    assert gated.http.get("/health").status_code == 200
    assert time.monotonic() - started_s < 5
    connection.close()


@pytest.mark.parametrize("is_repeatable", [True, False])
def test_failed_batch_is_drawn_again_only_if_that_costs_nothing(
    gated: Server, engine: GatedEngine, is_repeatable: bool
) -> None:
    engine.most, engine.cannot_draw = 8, "bad"
    engine.capabilities = replace(engine.capabilities, repeatable=is_repeatable)
    answers: dict[str, httpx2.Response] = {}
    threads = [_in_thread(gated, answers, "first")]
    wait_until(lambda: engine.started == ["first"])
    for n_waiting, prompt in enumerate(["good", "bad"], start=1):
        threads.append(_in_thread(gated, answers, prompt))
        wait_until(lambda n=n_waiting: _n_waiting(gated) == n)
    engine.let_all_go()
    for thread in threads:
        thread.join(60)
    again = [["good"], ["bad"]] if is_repeatable else []
    assert engine.batches == [["first"], ["good", "bad"], *again]
    expected = {"first": 200, "good": 200 if is_repeatable else 500, "bad": 500}
    assert {prompt: answer.status_code for prompt, answer in answers.items()} == expected
