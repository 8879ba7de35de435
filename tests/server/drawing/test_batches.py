"""Batches of the server: same bytes as alone, failures and cancellations of one, fair to keys."""

from __future__ import annotations

import base64
import ctypes
import gc
import os
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.engines.base import Picture
from limner.service.queue.jobs import Job
from tests.server.helpers import (
    GENERATIONS,
    JOBS,
    GatedEngine,
    Server,
    assert_openai_error,
    make_settings,
    running,
    wait_until,
)


def _n_drawn_in_company(server: Server) -> int:
    """Batches of more than one picture."""
    lines = [line for line in server.http.get("/metrics").text.splitlines() if line[0] != "#"]
    told = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
    [name] = [name for name in told if name.startswith("limner_batch_pictures_count")]
    labels = name.partition("{")[2].rstrip("}")
    return int(told[name] - told[f'limner_batch_pictures_bucket{{le="1.0",{labels}}}'])


@pytest.mark.slow
def test_answers_are_the_same_bytes_alone_and_in_batches(tmp_path: Path) -> None:
    asked = [
        {"prompt": prompt, "size": size, "quality": quality, "seed": seed}
        for seed, (prompt, size, quality) in enumerate(
            [
                ("a fox", "256x256", "low"),
                ("一只狐狸", "256x256", "low"),
                ("a house beside a tree", "384x256", "low"),
                ("a fox", "64x96", "medium"),
                ("an apple", "256x256", "medium"),
                ("two cats on a red car, a tree and a small blue house", "256x256", "low"),
            ]
        )
    ]
    with running(make_settings(tmp_path, engine="transformer")) as server:

        def draw(values: dict[str, Any]) -> list[str]:
            answer = server.ask({}, **values, response_format="b64_json")
            return [item["b64_json"] for item in answer.json()["data"]]

        alone = [draw(values) for values in asked]
        assert _n_drawn_in_company(server) == 0
        with ThreadPoolExecutor(12) as pool:
            together = list(pool.map(draw, asked * 2))
        assert _n_drawn_in_company(server) > 0
    assert together == alone * 2
    assert all(base64.b64decode(data)[:4] == b"\x89PNG" for [data] in alone)


def test_batch_of_one_turns_it_off(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, engine="transformer", batch=1, threads=1)) as server:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: server.ask({}, quality="low"), range(4)))
        assert [answer.status_code for answer in answers] == [200] * 4
        assert _n_drawn_in_company(server) == 0


class _Clients:
    """Requests that wait for their answers in threads."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.answers: dict[str, httpx2.Response] = {}
        self._threads: list[threading.Thread] = []

    def ask(self, prompt: str, key: str = "", **values: Any) -> None:
        def post() -> None:
            headers = {"x-client-request-id": prompt}
            if key:
                headers["authorization"] = f"Bearer {key}"
            self.answers[prompt] = self.server.ask(headers, **values, prompt=prompt)

        self._threads.append(threading.Thread(target=post))
        self._threads[-1].start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)

    @property
    def codes(self) -> dict[str, int]:
        return {prompt: answer.status_code for prompt, answer in self.answers.items()}


def _fill(server: Server, engine: GatedEngine, prompts: list[str]) -> _Clients:
    """Let the first of `prompts` be drawn alone while the others wait."""
    engine.most = 8
    clients = _Clients(server)
    for n_waiting, prompt in enumerate(prompts):
        clients.ask(prompt)
        wait_until(lambda: engine.started)
        wait_until(lambda n=n_waiting: server.service.workers["gated"].n_waiting == n)
    return clients


@pytest.fixture
def wide(engine: GatedEngine, tmp_path: Path) -> Any:
    with running(make_settings(tmp_path, engine="gated", queue=20)) as server:
        yield server
        engine.let_all_go()


def test_what_waits_is_drawn_together(wide: Server, engine: GatedEngine) -> None:
    clients = _fill(wide, engine, ["first", "b", "c", "d"])
    engine.let_all_go()
    clients.join()
    assert engine.batches == [["first"], ["b", "c", "d"]]
    assert clients.codes == dict.fromkeys(["first", "b", "c", "d"], 200)


def test_one_that_cannot_be_drawn_fails_alone(wide: Server, engine: GatedEngine) -> None:
    engine.cannot_draw = "bad"
    clients = _fill(wide, engine, ["first", "a", "bad", "b"])
    engine.let_all_go()
    clients.join()
    assert engine.batches == [["first"], ["a", "bad", "b"], ["a"], ["bad"], ["b"]]
    assert clients.codes == {"first": 200, "a": 200, "bad": 500, "b": 200}
    assert_openai_error(clients.answers["bad"], 500, None)
    assert wide.generate().status_code == 200


def test_pictures_that_are_finished_are_not_drawn_again(wide: Server, engine: GatedEngine) -> None:
    clients = _fill(wide, engine, ["first", "a", "b"])
    engine.gate.release(5 + 5)  # five events a card
    wait_until(lambda: "a" in clients.answers)
    engine.fail_at = Picture
    engine.let_all_go()
    clients.join()
    assert engine.batches == [["first"], ["a", "b"], ["b"]]
    assert clients.codes == {"first": 200, "a": 200, "b": 500}


def test_engine_that_cannot_say_what_shares_draws_alone(
    wide: Server, engine: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "batch_key", lambda one: 1 / 0)
    clients = _fill(wide, engine, ["first", "a", "b"])
    engine.let_all_go()
    clients.join()
    assert engine.batches == [["first"], ["a"], ["b"]]
    assert clients.codes == {"first": 200, "a": 200, "b": 200}


def test_one_that_is_cancelled_leaves_its_batch(wide: Server, engine: GatedEngine) -> None:
    clients = _fill(wide, engine, ["first", "a", "b"])
    engine.gate.release(5)
    wait_until(lambda: len(engine.batches) == 2)
    assert wide.http.delete(JOBS + "a").json()["status"] == "cancelled"
    engine.let_all_go()
    clients.join()
    assert_openai_error(clients.answers["a"], 400, "request_cancelled")
    assert clients.codes == {"first": 200, "a": 400, "b": 200}
    assert engine.batches == [["first"], ["a", "b"]]


def test_a_batch_that_nobody_waits_for_is_stopped(wide: Server, engine: GatedEngine) -> None:
    clients = _fill(wide, engine, ["first", "a", "b"])
    engine.gate.release(5)
    wait_until(lambda: len(engine.batches) == 2)
    for id in ("a", "b"):
        wide.http.delete(JOBS + id)
    engine.gate.release(1)
    wait_until(lambda: engine.stopped == ["first", "a", "b"])
    assert engine.gate.acquire(blocking=False) is False
    clients.join()


def test_pictures_of_a_stream_come_one_after_the_other(wide: Server, engine: GatedEngine) -> None:
    engine.most = 8
    engine.let_all_go()
    answer = wide.generate(stream=True, n=3, partial_images=1)
    names = [line for line in answer.text.splitlines() if line.startswith("event:")]
    assert names == [
        f"event: image_generation.{kind}" for kind in ("partial_image", "completed") * 3
    ]
    assert engine.batches == [["a cat"]] * 3


def test_keys_share_equally_while_one_floods(engine: GatedEngine, tmp_path: Path) -> None:
    keys = [f"sk-{name}" for name in ("flood", "one", "two", "three")]
    engine.most = 4
    settings = make_settings(tmp_path, engine="gated", api_keys=",".join(keys), queue=64)
    with running(settings) as server:
        clients = _Clients(server)
        clients.ask("first", keys[0])
        wait_until(lambda: engine.started)
        for number in range(20):
            clients.ask(f"flood {number}", keys[0], n=4)
        wait_until(lambda: server.service.workers["gated"].n_waiting == 20)
        for number in range(12):
            clients.ask(f"{keys[1 + number % 3]} {number // 3}", keys[1 + number % 3])
            wait_until(lambda n=number: server.service.workers["gated"].n_waiting == 21 + n)
        engine.let_all_go()
        clients.join()
    assert set(clients.codes.values()) == {200}
    shared = [{prompt.partition(" ")[0] for prompt in batch} for batch in engine.batches[1:5]]
    assert shared == [{"flood", *keys[1:]}] * 4
    in_order = [prompt for batch in engine.batches for prompt in batch if prompt[:5] == "sk-on"]
    assert in_order == sorted(in_order)


# --- leaving, a thousand times ---


def _ask_and_leave(server: Server, number: int) -> None:
    """Send a request and hang up, or have it cancelled; now and then in the midst of drawing."""
    body = (
        f'{{"prompt": "a cat", "size": "256x256", "n": 2, "stream": {str(number % 2 == 0).lower()},'
        f' "response_format": "url"}}'
    )
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as connection:
        connection.sendall(
            f"POST {GENERATIONS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"x-client-request-id: leaving-{number}\r\ncontent-length: {len(body)}\r\n\r\n"
            f"{body}".encode()
        )
        time.sleep(0.001 * (number % 5))
        if number % 3 == 0:
            server.http.delete(JOBS + f"leaving-{number}")


def _n_jobs() -> int:
    gc.collect()
    # Not isinstance, which asks some objects of PyTorch for a class that they warn of.
    return sum(type(thing) is Job for thing in gc.get_objects())


def _resident_mb() -> float:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is freed and not given back is no leak
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def _leave(server: Server, numbers: range) -> None:
    """Let clients leave, and return once the server is through with all of them."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: _ask_and_leave(server, number), numbers))
    # Connections are taken in their order: with this answer, all others have been read.
    assert server.ask({}).status_code == 200
    wait_until(lambda: server.is_idle, 60)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_that_leave_leave_nothing(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, queue=1024, history=False)) as server:
        n_jobs = _n_jobs()  # of other tests
        _leave(server, range(100))
        threads, resident_mb = threading.active_count(), _resident_mb()
        _leave(server, range(100, 1100))
        wait_until(lambda: _n_jobs() <= n_jobs)
        assert server.service.workers["testcard"].n_waiting == 0
        states = {status.state for status in server.service.jobs._by_id.values()}
        assert states <= {"done", "cancelled"}
        assert "cancelled" in states
        assert {meter.n_running for meter in server.service.limiter._meters.values()} == {0}
        assert threading.active_count() <= threads + 40  # as many as the server's pool has
        assert _resident_mb() - resident_mb < 30
        left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
        assert all(re.match(r"img-|limner\.db|place$", name) for name in left), left
        assert server.generate().status_code == 200
