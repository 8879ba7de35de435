"""Requests that outlive their client and their server, and are the same bytes all the same."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.cli.serving.serve import DRAIN_S
from limner.engines.testcard import CardEngine
from limner.imaging import codec
from limner.options import OptionSpec
from limner.storage.blobs.opening import open_store
from limner.storage.db.database import Database
from limner.storage.history import maintenance
from limner.storage.history.history import MAX_RESUMED, Asked, History
from tests.server.helpers import (
    BODY,
    EDITS,
    GENERATIONS,
    HISTORY,
    JOBS,
    GatedEngine,
    Server,
    assert_openai_error,
    make_settings,
    picture_file,
    running,
    wait_until,
)
from tests.server.processes import check_whole, serving
from tests.support.s3 import S3Server

MINE = {"x-limner-resume": "true", "x-client-request-id": "mine"}
LARGE: dict[str, Any] = {"model": "testcard", "size": "1536x1536"}  # takes a moment to store
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


def _n_drawn(url: str) -> int:
    """How many pictures the server has drawn since its start."""
    lines = httpx2.get(f"{url}/metrics").text.splitlines()
    drawn = [line for line in lines if line.startswith("limner_pictures_total{")]
    return int(sum(float(line.split()[-1]) for line in drawn))


def _check_whole(url: str, job: dict[str, Any], **body: Any) -> None:
    """All ten pictures of `job` are what they would have been at once, and can be fetched."""
    row = httpx2.get(f"{url}{HISTORY}/{job['id']}").json()
    assert row["status"] == "done"
    for picture in job["pictures"]:
        data = httpx2.get(picture["url"]).content
        assert hashlib.sha256(data).hexdigest() == picture["sha256"]
    again = BODY | {"n": 10, "seed": row["parameters"]["seed"]} | body
    answer = httpx2.post(url + GENERATIONS, json=again, timeout=90)
    whole = httpx2.get(f"{url}{HISTORY}/{answer.headers['x-request-id']}").json()
    assert sorted(_hashes(job)) == list(range(10))
    assert _hashes(job) == _hashes(whole)


def _kill_and_draw_on(home: Path, values: dict[str, Any], **body: Any) -> None:
    with serving(home, **values) as (process, url):
        _begin(url, n=10, **body)
        wait_until(lambda: len(_job(url)["pictures"]) >= 2, timeout_s=60)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
    with serving(home, **values) as (_, url):
        wait_until(lambda: _job(url)["status"] == "done", timeout_s=90)
        assert _n_drawn(url) <= 8  # what was kept was not drawn again
        _check_whole(url, _job(url), **body)


def test_killed_server_draws_on_at_its_next_start(tmp_path: Path) -> None:
    _kill_and_draw_on(tmp_path, {"engine": "testcard"}, **LARGE)


@pytest.mark.slow
def test_killed_server_draws_on_with_the_model(tmp_path: Path) -> None:
    _kill_and_draw_on(tmp_path, {"engine": "transformer"}, quality="low")


@pytest.mark.slow
def test_killed_server_draws_on_into_its_bucket(
    tmp_path: Path, s3_server: S3Server, bucket: str
) -> None:
    values: dict[str, Any] = {"engine": "testcard"} | s3_server.settings(bucket)
    _kill_and_draw_on(tmp_path, values, **LARGE)
    check_whole(tmp_path, [], **values)


# It is killed when the third picture is a file and not yet a row.
_KILLED_BEFORE_A_ROW = """
import os, signal
from limner.cli import main
from limner.storage.history.history import History
add = History.add
def add_or_die(self, record, made, *about, **more):
    if made.number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    add(self, record, made, *about, **more)
History.add = add_or_die
main()
"""


def _killed_before_a_row(home: Path, headers: dict[str, str], n: int, **values: Any) -> None:
    with serving(home, program=_KILLED_BEFORE_A_ROW, batch=1, **values) as (process, url):
        with pytest.raises(httpx2.HTTPError):
            httpx2.post(url + GENERATIONS, json=BODY | {"n": n}, headers=headers, timeout=60)
        process.wait(60)


@pytest.mark.slow  # test_faults.py has a picture without a row in a server of its own process
@pytest.mark.parametrize("kind", ["home", "shared"])
def test_picture_stored_without_its_row_at_a_kill_is_there_once(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    values: dict[str, Any] = {"engine": "testcard"}
    if kind == "shared":
        values["database"] = request.getfixturevalue("postgres")
        values |= request.getfixturevalue("s3_server").settings(request.getfixturevalue("bucket"))
    _killed_before_a_row(tmp_path, MINE, 10, **values)
    with serving(tmp_path, **values) as (_, url):
        wait_until(lambda: _job(url)["status"] == "done", timeout_s=60)
        rows = httpx2.get(f"{url}{HISTORY}").json()["data"]
        assert [row["id"] for row in rows] == [_job(url)["id"]]
        assert _n_drawn(url) <= (8 if kind == "shared" else 7)  # in a home it is not drawn again
        _check_whole(url, _job(url))
    assert check_whole(tmp_path, [], **values) == {"done": 2}  # with the one of _check_whole


def test_picture_stored_without_its_row_goes_to_its_owner(tmp_path: Path) -> None:
    """Also if its request is not drawn on."""
    values: dict[str, Any] = {"engine": "testcard", "api_keys": "sk-one, sk-two"}
    one, two = ({"authorization": f"Bearer sk-{name}"} for name in ("one", "two"))
    _killed_before_a_row(tmp_path, one, 3, **values)
    with serving(tmp_path, **values) as (_, url):
        [row] = httpx2.get(url + HISTORY, headers=one).json()["data"]
        assert row["status"] == "done"
        assert [picture["index"] for picture in row["pictures"]] == [0, 1, 2]
        assert httpx2.get(url + HISTORY, headers=two).json()["data"] == []


# Its regular work comes often, and who says nothing is given up soon.
_HURRIED = """
from limner.cli import main
from limner.engines.testcard import CardEngine
from limner.storage.history import maintenance
from limner.storage.db.database import Database
from limner.storage.history.history import MAX_RESUMED, Asked, History
from limner.storage.blobs.opening import open_store
maintenance.EVERY_S, maintenance.SILENT_S = 0.3, 5.0
main()
"""
# The same; and what it has drawn beyond two pictures gets no row until there is a file "go-on".
_HELD = """
import os, time
from pathlib import Path
from limner.storage.history.history import History
add = History.add
def held(self, record, made, *about, **more):
    while made.number >= 2 and not (Path(os.environ["LIMNER_HOME"]) / "go-on").exists():
        time.sleep(0.05)
    add(self, record, made, *about, **more)
History.add = held
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_running_servers_draw_on_what_a_dead_or_sleeping_one_left(
    tmp_path: Path, postgres: str, end: signal.Signals
) -> None:
    values: dict[str, Any] = {
        "engine": "testcard",
        "database": postgres,
        "store": tmp_path / "store",
    }
    with (
        serving(tmp_path / "one", program=_HELD + _HURRIED, **values) as (process, one),
        serving(tmp_path / "two", program=_HURRIED, **values) as (_, two),
        serving(tmp_path / "three", program=_HURRIED, **values) as (_, three),
    ):
        _begin(one, n=10, **LARGE)
        wait_until(lambda: len(_job(two)["pictures"]) >= 2, timeout_s=60)
        process.send_signal(end)
        wait_until(lambda: _n_drawn(two) + _n_drawn(three) > 0, timeout_s=60)
        wait_until(lambda: _job(two)["status"] == "done", timeout_s=60)
        assert _n_drawn(two) + _n_drawn(three) <= 8
        assert 0 in (_n_drawn(two), _n_drawn(three))  # one of them alone
        if end == signal.SIGSTOP:
            (tmp_path / "one" / "go-on").touch()
            process.send_signal(signal.SIGCONT)  # and finds its request taken
            wait_until(lambda: _job(one)["status"] not in ("drawing", "queued"))
        _check_whole(two, _job(two), **LARGE)
        process.kill()
    check_whole(tmp_path / "two", [], **values)


@pytest.mark.slow
def test_stopped_server_ends_within_its_bound_and_is_drawn_on(tmp_path: Path) -> None:
    answers: list[httpx2.Response] = []
    with serving(tmp_path, engine="transformer") as (process, url):
        for _ in range(5):  # each takes some seconds
            _begin(url, answers, n=10, size="1024x1024", quality="high", seed=1)
        wait_until(lambda: len(_rows_of(url)) == 5 and (_job(url)["position"] or 0) >= 3)
        started_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        assert DRAIN_S - 1 < time.monotonic() - started_s < DRAIN_S + 30
    wait_until(lambda: len(answers) == 5)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused  # whatever order they come in
    for answer in refused:
        assert_openai_error(answer, 503, "server_is_overloaded")
    with serving(tmp_path, engine="transformer") as (_, url):
        assert _job(url)["status"] in ("queued", "drawing")  # the last of them
        assert httpx2.delete(f"{url}{JOBS}mine").json()["status"] == "cancelled"


def test_second_ctrl_c_ends_a_busy_server_at_once_and_leaves_interrupted(tmp_path: Path) -> None:
    said: list[str] = []
    answers: list[httpx2.Response] = []
    # On a busy machine rows may be written later than it waits for them.
    program = "from limner.server import stopping\nstopping._ROWS_S = 60.0\n"
    program += "from limner.cli import main\nmain()"
    with serving(tmp_path, engine="transformer", program=program, said=said) as (process, url):
        for _ in range(3):
            _begin(url, answers, n=10, size="1024x1024", quality="high", seed=1)
        wait_until(lambda: len(_rows_of(url)) == 3)  # else one could come when it stops
        wait_until(lambda: any(job["status"] == "drawing" for job in _rows_of(url)), timeout_s=60)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: "stopping; finishing for up to 10 s" in "".join(said), timeout_s=30)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert "terminate called" not in "".join(said)
    assert "Traceback" not in "".join(said)
    wait_until(lambda: len(answers) == 3)
    for answer in answers:
        assert_openai_error(answer, 503, "server_is_overloaded")
    with contextlib.closing(Database("", tmp_path)) as database:
        rows = database.read("SELECT state, n_resumed FROM requests")
    assert rows == [{"state": "interrupted", "n_resumed": 0}] * 3


def _rows_of(url: str) -> list[dict[str, Any]]:
    rows = httpx2.get(url + HISTORY, timeout=60).json()["data"]
    return [httpx2.get(f"{url}{JOBS}{row['id']}", timeout=60).json() for row in rows]


def test_cancelling_what_is_drawn_on_is_no_warning(
    tmp_path: Path, engine: GatedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(tmp_path, engine="gated")
    with running(settings) as server:
        _begin(server.url, n=10)
        server.service.interrupt()
        wait_until(lambda: _job(server.url)["status"] == "interrupted")
        engine.gate.release(EVENTS_A_PICTURE)  # for the one under way, and no more of them
    with running(settings) as server, caplog.at_level(logging.INFO, logger="limner.server"):
        assert httpx2.delete(f"{server.url}{JOBS}mine").json()["status"] == "cancelled"
        engine.let_all_go()
        wait_until(lambda: "could not be resumed" in caplog.text)
    [record] = [r for r in caplog.records if "could not be resumed" in r.getMessage()]
    assert record.levelno == logging.INFO


def test_interrupted_request_is_drawn_on_but_for_what_it_has(
    tmp_path: Path, engine: GatedEngine
) -> None:
    settings = make_settings(tmp_path, engine="gated")
    answers: list[httpx2.Response] = []
    with running(settings) as server:
        _begin(server.url, answers, n=3, output_format="webp", output_compression=40)
        engine.gate.release(EVENTS_A_PICTURE + 1)
        wait_until(lambda: len(_job(server.url)["pictures"]) == 1)
        wait_until(lambda: len(engine.started) == 2)
        server.service.interrupt()
        wait_until(lambda: answers)
        assert_openai_error(answers[0], 503, "server_is_overloaded")
        wait_until(lambda: _job(server.url)["status"] == "interrupted")
        first = _job(server.url)
        row = f"{HISTORY}/{first['id']}"  # written after the client was told
        wait_until(lambda: server.http.get(row).json()["status"] == "interrupted")
        engine.let_all_go()
    with running(settings) as server:
        wait_until(lambda: _job(server.url)["status"] == "done")
        job = _job(server.url)
        assert job["id"] == first["id"]
        assert job["progress"] == {"done": 8, "total": 8, "stage": "drawing"}  # of two pictures
        assert [picture["index"] for picture in job["pictures"]] == [0, 1, 2]
        assert job["pictures"][0]["sha256"] == first["pictures"][0]["sha256"]
        again: dict[str, Any] = {"n": 3, "output_format": "webp", "output_compression": 40}
        seed = server.http.get(f"{HISTORY}/{job['id']}").json()["parameters"]["seed"]
        whole = server.generate(seed=seed, **again).headers["x-request-id"]
        assert _hashes(job) == _hashes(server.http.get(f"{HISTORY}/{whole}").json())
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
        thread.join(60)
    with running(settings) as server:
        job = server.http.get(JOBS + ids[0].headers["x-request-id"]).json()
        assert (job["status"], job["pictures"]) == ("interrupted", [])
    assert engine.started == ["a cat"]


def test_request_outlives_its_client(gated: Server, engine: GatedEngine) -> None:
    gated.abandon(lambda: engine.started, BODY, MINE)
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


def test_running_server_takes_up_what_another_left_when_it_stopped(
    tmp_path: Path, engine: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "EVERY_S", 0.2)
    settings = make_settings(tmp_path, engine="gated")
    with running(make_settings(tmp_path, engine="testcard")) as other, running(settings) as two:
        with running(settings) as one:
            _begin(one.url, n=2)
            wait_until(lambda: engine.started)
            one.service.interrupt()
            engine.gate.release(1)
            wait_until(lambda: len(engine.started) == 2)
        engine.let_all_go()
        wait_until(lambda: _job(two.url)["status"] == "done")
        assert len(_job(two.url)["pictures"]) == 2
        assert _n_drawn(other.url) == 0  # it has another model


def test_request_that_is_sent_again_is_drawn_once(
    tmp_path: Path, engine: GatedEngine, database_url: str
) -> None:
    settings = make_settings(tmp_path, engine="gated", database=database_url)
    again = {"idempotency-key": "key", "x-limner-resume": "true"}
    answers: list[httpx2.Response] = []
    with running(settings) as two:
        with running(settings) as one:
            one.begin(answers, again)
            wait_until(lambda: engine.started)
            one.service.interrupt()
            engine.let_all_go()
        wait_until(lambda: answers)
        assert_openai_error(two.ask(again, n=2), 400, "idempotency_key_reused")
        assert two.ask(again).status_code == 200  # before anyone drew on
    assert len(engine.started) == 2
    with running(settings) as server:  # which finds nothing to draw on
        time.sleep(0.2)
        rows = server.http.get(HISTORY).json()["data"]
    assert [row["status"] for row in rows] == ["done", "interrupted"]
    assert len(engine.started) == 2


# Its engine kills the server as soon as it draws one prompt.
_DEADLY = """
import os, signal
from limner.cli import main
from limner.engines.testcard import CardEngine
draw = CardEngine.draw
def deadly(self, wanted, cancel):
    if any(one.request.prompt == "poison" for one in wanted):
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(self, wanted, cancel)
CardEngine.draw = deadly
main()
"""


@pytest.mark.slow
def test_servers_that_die_give_up_what_they_drew_and_not_what_waited(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with contextlib.closing(Database("", tmp_path)) as database:
        history = History(database, open_store(settings), tmp_path)
        for id, prompt in (("req_a", "poison"), ("req_b", "a cat"), ("req_c", "a dog")):
            asked = Asked(
                id,
                "",
                "generation",
                CardEngine.model,
                prompt,
                1,
                {
                    "n": 1,
                    "size": "256x256",
                    "quality": "low",
                    "seed": 1,
                    "background": "auto",
                    "output_format": "png",
                },
                resume={"output_compression": 100, "moderation": "auto"},
            )
            history.begin(asked)
        command = [sys.executable, "-c", _DEADLY, "serve", "--port", "0", "--engine", "testcard"]
        environment = os.environ | {"LIMNER_HOME": str(tmp_path)}
        n_deaths = 0
        while not _are_done(history, "req_b", "req_c"):
            with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment) as process:
                wait_until(
                    lambda: process.poll() is not None or _are_done(history, "req_b", "req_c"),
                    timeout_s=60,
                )
                n_deaths += process.poll() == -signal.SIGKILL
                process.kill()
            assert n_deaths <= MAX_RESUMED
        assert n_deaths == MAX_RESUMED
        assert _states(history)["req_a"] == "interrupted"


def _are_done(history: History, *ids: str) -> bool:
    states = _states(history)  # one moment; requests that are drawn side by side end in any order
    return all(states[id] == "done" for id in ids)


def _states(history: History) -> dict[str, str]:
    return {row["id"]: row["state"] for row in history.page(10)}


def test_engine_that_may_not_draw_again_is_not_asked_to(
    tmp_path: Path, engine: GatedEngine
) -> None:
    settings = make_settings(tmp_path, engine="gated")
    with running(settings) as server:
        _begin(server.url)
        wait_until(lambda: engine.started)
        server.service.interrupt()
        engine.let_all_go()
    engine.capabilities = replace(engine.capabilities, repeatable=False)
    with running(settings) as server:
        assert _job(server.url)["status"] == "interrupted"
        refused = server.ask({"x-limner-resume": "true"})
        assert_openai_error(refused, 400, "unsupported_operation", "x-limner-resume")
    assert engine.started == ["a cat"]


def test_options_are_drawn_with_after_a_restart(tmp_path: Path, engine: GatedEngine) -> None:
    ink = OptionSpec("ink", "choice", "Its colour.", choices=("red", "blue"))
    engine.capabilities = replace(engine.capabilities, options=(ink,))
    settings = make_settings(tmp_path, engine="gated")
    with running(settings) as server:
        _begin(server.url, model="gated", ink="blue")
        wait_until(lambda: engine.started)
        server.service.interrupt()
        engine.let_all_go()
    with running(settings) as server:
        wait_until(lambda: _job(server.url)["status"] == "done")
        [picture] = _job(server.url)["pictures"]
        data = httpx2.get(picture["url"]).content
    assert codec.read_text(data)["options"] == '{"ink": "blue"}'


def test_what_the_engine_no_longer_takes_is_not_drawn_on(
    tmp_path: Path, engine: GatedEngine
) -> None:
    before = engine.capabilities
    steps = OptionSpec("steps", "integer", "Passes.", 1, 50)
    engine.capabilities = replace(before, options=(steps,))
    settings = make_settings(tmp_path, engine="gated")
    with running(settings) as server:
        _begin(server.url, model="gated", steps=5)
        wait_until(lambda: engine.started)
        server.service.interrupt()
        engine.let_all_go()
    engine.capabilities = before
    with running(settings) as server:
        assert _job(server.url)["status"] == "interrupted"
    assert engine.started == ["a cat"]


def test_what_cannot_be_resumed_is_refused(server: Server, tmp_path: Path) -> None:
    resume = {"x-limner-resume": "true"}
    response = server.http.post(
        EDITS,
        data={"prompt": "a hat", "size": "256x256"},
        files={"image": ("a.png", picture_file(256), "image/png")},
        headers=resume,
    )
    message = assert_openai_error(response, 400, "unsupported_operation", "x-limner-resume")
    assert "Leave 'resume' out" in message
    response = server.ask({"x-limner-resume": "yes"})
    assert_openai_error(response, 400, "invalid_value", "x-limner-resume")
    with running(make_settings(tmp_path, history="off")) as other:
        response = other.ask(resume)
        assert_openai_error(response, 400, "no_history", "x-limner-resume")
