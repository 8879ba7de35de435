"""Requests that outlive their client and their server, and are the same bytes all the same."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.cli.serve import DRAIN_S
from tests.server.helpers import (
    BODY,
    EDITS,
    GENERATIONS,
    GatedEngine,
    Server,
    assert_openai_error,
    make_settings,
    picture_file,
    running,
    wait_until,
)
from tests.server.processes import serving

JOBS = "/v1/images/jobs/"
HISTORY = "/v1/images/history/"
MINE = {"x-limner-resume": "true", "x-client-request-id": "mine"}
EVENTS_A_PICTURE = 5  # of the gated engine, without previews


def _begin(url: str, answers: list[httpx2.Response] | None = None, **body: Any) -> None:
    """Ask for pictures under the id "mine", and do not wait for them."""

    def draw() -> None:
        with suppress(httpx2.HTTPError):
            answer = httpx2.post(url + GENERATIONS, json=BODY | body, headers=MINE, timeout=60)
            if answers is not None:
                answers.append(answer)

    threading.Thread(target=draw, daemon=True).start()
    wait_until(lambda: httpx2.get(f"{url}{JOBS}mine").status_code == 200)


def _job(url: str) -> dict[str, Any]:
    job: dict[str, Any] = httpx2.get(f"{url}{JOBS}mine", timeout=60).json()
    return job


def _hashes(job: dict[str, Any]) -> dict[int, str]:
    return {picture["index"]: picture["sha256"] for picture in job["pictures"]}


def _kill_and_draw_on(home: Path, engine: str, **body: Any) -> None:
    with serving(home, engine=engine) as (process, url):
        _begin(url, n=10, **body)
        wait_until(lambda: len(_job(url)["pictures"]) >= 2, timeout_s=60)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    with serving(home, engine=engine) as (_, url):
        wait_until(lambda: _job(url)["status"] == "done", timeout_s=90)
        job = _job(url)
        row = httpx2.get(f"{url}{HISTORY}{job['id']}").json()
        assert row["status"] == "done"
        assert row["pictures"] != []
        seed = row["parameters"]["seed"]
        again = BODY | {"n": 10, "seed": seed} | body
        answer = httpx2.post(url + GENERATIONS, json=again, timeout=90)
        whole = httpx2.get(url + HISTORY + answer.headers["x-request-id"]).json()
        assert sorted(_hashes(job)) == list(range(10))
        assert _hashes(job) == _hashes(whole)
        for picture in job["pictures"]:
            assert httpx2.get(picture["url"]).status_code == 200
        lines = httpx2.get(f"{url}/metrics").text.splitlines()
        [drawn] = [line for line in lines if line.startswith("limner_pictures_total{")]
        assert 10 < float(drawn.split()[-1]) < 20  # what was kept was not drawn again


def test_killed_server_draws_on_at_its_next_start(tmp_path: Path) -> None:
    _kill_and_draw_on(tmp_path, "testcard", model="testcard", size="1536x1536")


@pytest.mark.slow
def test_killed_server_draws_on_with_the_model(tmp_path: Path) -> None:
    _kill_and_draw_on(tmp_path, "onnx", quality="low")


@pytest.mark.slow
def test_stopped_server_ends_within_its_bound_and_is_drawn_on(tmp_path: Path) -> None:
    answers: list[httpx2.Response] = []
    with serving(tmp_path, engine="onnx") as (process, url):
        for _ in range(5):  # each takes some seconds
            _begin(url, answers, n=10, size="1024x1024", quality="high", seed=1)
        wait_until(lambda: (_job(url)["position"] or 0) >= 3)
        started_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        assert DRAIN_S - 1 < time.monotonic() - started_s < DRAIN_S + 10
    wait_until(lambda: len(answers) == 5)
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert_openai_error(answers[-1], 503, "server_is_overloaded")
    with serving(tmp_path, engine="onnx") as (_, url):
        assert _job(url)["status"] in ("queued", "drawing")  # the last of them
        assert httpx2.delete(f"{url}{JOBS}mine").json()["status"] == "cancelled"


def test_interrupted_request_is_drawn_on_but_for_what_it_has(
    tmp_path: Path, engine: GatedEngine
) -> None:
    settings = make_settings(tmp_path, engine="gated")
    answers: list[httpx2.Response] = []
    with running(settings) as server:
        _begin(server.url, answers, n=3, output_format="webp", output_compression=40)
        engine.gate.release(EVENTS_A_PICTURE + 1)
        wait_until(lambda: len(_job(server.url)["pictures"]) == 1)
        server.service.interrupt()
        wait_until(lambda: answers)
        assert_openai_error(answers[0], 503, "server_is_overloaded")
        wait_until(lambda: _job(server.url)["status"] == "interrupted")
        first = _job(server.url)
        row = server.http.get(HISTORY + first["id"])
        wait_until(lambda: row.json()["status"] == "interrupted")
        engine.let_all_go()
    with running(settings) as server:
        wait_until(lambda: _job(server.url)["status"] == "done")
        job = _job(server.url)
        assert job["id"] == first["id"]
        assert job["progress"] == {"done": 8, "total": 8, "stage": "drawing"}  # of two pictures
        assert [picture["index"] for picture in job["pictures"]] == [0, 1, 2]
        assert job["pictures"][0]["sha256"] == first["pictures"][0]["sha256"]
        again: dict[str, Any] = {"n": 3, "output_format": "webp", "output_compression": 40}
        seed = server.http.get(HISTORY + job["id"]).json()["parameters"]["seed"]
        whole = server.generate(seed=seed, **again).headers["x-request-id"]
        assert _hashes(job) == _hashes(server.http.get(HISTORY + whole).json())
    with running(settings) as server:  # nothing is left to draw
        assert _job(server.url)["status"] == "done"
    assert len(engine.started) == 2 + 2 + 3  # begun before the stop, drawn on, drawn whole


def test_without_the_header_a_request_stays_interrupted(
    tmp_path: Path, engine: GatedEngine
) -> None:
    settings = make_settings(tmp_path, engine="gated")
    ids = []
    with running(settings) as server:
        thread = threading.Thread(target=lambda: ids.append(server.generate()))
        thread.start()
        wait_until(lambda: engine.started)
        server.service.interrupt()
        engine.let_all_go()
        thread.join(20)
    with running(settings) as server:
        job = server.http.get(JOBS + ids[0].headers["x-request-id"]).json()
        assert (job["status"], job["pictures"]) == ("interrupted", [])
    assert engine.started == ["a cat"]


def test_request_outlives_its_client(gated: Server, engine: GatedEngine) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(
            gated.url + GENERATIONS,
            json=BODY,
            headers=MINE,
            timeout=0.3,
        )
    wait_until(lambda: engine.started)
    engine.let_all_go()
    wait_until(lambda: _job(gated.url)["status"] == "done")
    assert len(_job(gated.url)["pictures"]) == 1


def test_other_model_leaves_it_interrupted(
    tmp_path: Path, engine: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(make_settings(tmp_path, engine="gated")) as server:
        _begin(server.url)
        wait_until(lambda: engine.started)
        server.service.interrupt()
        engine.let_all_go()
    with running(make_settings(tmp_path)) as server:
        assert _job(server.url)["status"] == "interrupted"
        assert server.generate().status_code == 200


def test_what_cannot_be_resumed_is_refused(server: Server, tmp_path: Path) -> None:
    resume = {"x-limner-resume": "true"}
    response = server.http.post(
        EDITS,
        data={"prompt": "a hat", "size": "256x256"},
        files={"image": ("a.png", picture_file(256), "image/png")},
        headers=resume,
    )
    message = assert_openai_error(response, 400, "unsupported_operation", "x-limner-resume")
    assert "Leave the header out" in message
    response = server.ask({"x-limner-resume": "yes"})
    assert_openai_error(response, 400, "invalid_value", "x-limner-resume")
    with running(make_settings(tmp_path, history="off")) as other:
        response = other.ask(resume)
        assert_openai_error(response, 400, "no_history", "x-limner-resume")
