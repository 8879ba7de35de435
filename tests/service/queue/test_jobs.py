"""How a request stands while it is not answered: asked for by id, told in a stream, stopped."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.request import ImageRequest
from limner.server.routes.images import drawing
from limner.service.access.auth import ANYONE
from limner.service.queue import jobs
from limner.service.queue.jobs import Job, Jobs, Status
from tests.server.helpers import (
    BODY,
    GENERATIONS,
    HISTORY,
    JOBS,
    GatedEngine,
    Server,
    assert_openai_error,
    make_settings,
    running,
    wait_until,
)


def _start(server: Server, id: str, **body: Any) -> list[httpx2.Response]:
    """Begin a request; its answer will be in the list."""
    answers: list[httpx2.Response] = []
    server.begin(answers, {"x-client-request-id": id}, **body)
    wait_until(lambda: server.http.get(JOBS + id).status_code == 200)
    return answers


def test_job_from_queue_to_end(gated: Server, engine: GatedEngine) -> None:
    answers = {"one": _start(gated, "one", n=2)}
    wait_until(lambda: gated.job("one")["status"] == "drawing")
    answers["two"] = _start(gated, "two")
    two = gated.job("two")
    assert (two["status"], two["position"], two["progress"], two["n"]) == ("queued", 1, None, 1)
    engine.gate.release(3)
    wait_until(lambda: (gated.job("one")["progress"] or {}).get("done") == 3)
    one = gated.job("one")
    assert one["progress"] == {"done": 3, "total": 8, "stage": "drawing"}
    assert (one["object"], one["position"]) == ("image.job", None)
    assert abs(one["created_at"] - time.time()) < 60
    engine.let_all_go()
    wait_until(lambda: all(answers.values()))
    for id in ("one", "two"):
        assert gated.job(id)["status"] == "done"
        by_server_id = gated.job(answers[id][0].headers["x-request-id"])
        for job in (by_server_id, by_client_id := gated.job(id)):
            for picture in job["pictures"]:
                del picture["url"]  # signed anew each time
        assert by_server_id == by_client_id
    assert_openai_error(gated.http.get(JOBS + "req_no"), 404, "not_found")


def test_stopping_a_job_that_waits_and_one_that_is_drawn(
    gated: Server, engine: GatedEngine
) -> None:
    answers = {"one": _start(gated, "one")}
    wait_until(lambda: engine.started)
    answers["two"] = _start(gated, "two")
    for id in ("two", "one"):
        assert gated.http.delete(JOBS + id).json()["status"] == "cancelled"
        wait_until(lambda id=id: answers[id])
        assert_openai_error(answers[id][0], 400, "request_cancelled")
        assert gated.job(id)["status"] == "cancelled"
    engine.let_all_go()
    assert gated.generate().status_code == 200
    assert engine.started == ["a cat", "a cat"]  # the one that waited was never begun
    rows = gated.http.get(HISTORY).json()["data"]
    assert sorted(row["status"] for row in rows) == ["cancelled", "cancelled", "done"]


def test_stopping_a_stream_is_an_event_and_a_finished_job_stays(
    gated: Server, engine: GatedEngine
) -> None:
    engine.gate.release(2)
    body = BODY | {"stream": True, "partial_images": 1}
    with gated.http.stream("POST", GENERATIONS, json=body) as response:
        id = response.headers["x-request-id"]
        assert gated.job(id)["status"] == "drawing"
        gated.http.delete(JOBS + id)
        text = response.read().decode()
    assert text.strip().splitlines()[-2] == "event: error"
    assert json.loads(text.strip().splitlines()[-1][6:])["error"]["code"] == "request_cancelled"
    engine.let_all_go()
    id = gated.generate().headers["x-request-id"]
    assert gated.http.delete(JOBS + id).json()["status"] == "done"


def test_stream_tells_position_and_progress(
    gated: Server, engine: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "PROGRESS_EVERY_S", 0.0)
    _start(gated, "first")
    wait_until(lambda: engine.started)
    _start(gated, "second")
    with gated.http.stream("POST", GENERATIONS, json=BODY | {"stream": True}) as response:
        lines = (line for line in response.iter_lines() if line)
        assert next(lines) == ": position 2"
        assert gated.job(response.headers["x-request-id"])["position"] == 2
        engine.let_all_go()
        assert next(lines) == ": position 1"
        rest = list(lines)
    assert rest[:4] == [f": drawing {done}/4" for done in (1, 2, 3, 4)]
    assert rest[4] == "event: image_generation.completed"


def test_jobs_of_other_keys_are_not_seen(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, api_keys="sk-one, sk-two")) as server:
        one, two = ({"authorization": f"Bearer sk-{name}"} for name in ("one", "two"))
        named = one | {"x-client-request-id": "mine"}
        id = server.http.post(GENERATIONS, json=BODY, headers=named).headers["x-request-id"]
        for name in (id, "mine"):
            assert server.http.get(JOBS + name, headers=one).status_code == 200
            for method in ("GET", "DELETE"):
                response = server.http.request(method, JOBS + name, headers=two)
                assert_openai_error(response, 404, "not_found")


def test_job_of_another_server_is_told_from_the_history_and_stopped_there(
    tmp_path: Path, engine: GatedEngine
) -> None:
    settings = make_settings(tmp_path, engine="gated")
    with running(settings) as one, running(settings) as two:
        answers = _start(one, "mine")
        wait_until(lambda: engine.started)
        wait_until(lambda: two.http.get(JOBS + "mine").status_code == 200)
        job = two.job("mine")
        assert (job["status"], job["progress"], job["pictures"]) == ("drawing", None, [])
        assert_openai_error(two.http.delete(JOBS + "mine"), 400, "request_elsewhere")
        engine.let_all_go()
        wait_until(lambda: answers)
        for name in ("mine", job["id"]):
            job = two.job(name)
            assert (job["status"], len(job["pictures"])) == ("done", 1)
            assert two.http.delete(JOBS + name).json()["status"] == "done"


def test_what_is_over_is_not_begun_by_a_lane_that_comes_late() -> None:
    async def check() -> None:
        for end in (Job.abort, Job.cancel):
            job = Job(ImageRequest("a cat"))
            job.place(2)
            end(job)
            assert not job.start()
            job.place(1)
            job.close("cancelled")
            assert (job.status.state, job.status.position) == ("cancelled", None)

    asyncio.run(check())


def test_only_the_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MAX_REMEMBERED", 2)
    remembered = Jobs()
    for number in range(3):
        remembered.add(Status(f"req_{number}", "", 1), f"own-{number}")
    assert remembered.find("req_0", ANYONE) is remembered.find("own-0", ANYONE) is None
    assert remembered.find("own-2", ANYONE) is remembered.find("req_2", ANYONE) is not None
