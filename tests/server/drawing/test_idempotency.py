"""The same Idempotency-Key is the same drawing, as long as the same is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.engines.base import Picture
from limner.server import idempotency, recorded_answers
from limner.server.bodies.fingerprint import fingerprint
from tests.server.helpers import (
    BODY,
    EDITS,
    GENERATIONS,
    HISTORY,
    GatedEngine,
    Server,
    assert_openai_error,
    make_settings,
    open_picture,
    picture_file,
    running,
    wait_until,
)


def _send(server: Server, key: str, **body: Any) -> httpx2.Response:
    return server.ask({"idempotency-key": key}, **body)


@pytest.mark.parametrize(
    "body", [{}, {"response_format": "b64_json", "n": 2}, {"stream": True, "partial_images": 2}]
)
def test_retry_gets_the_first_answer(
    gated: Server, engine: GatedEngine, body: dict[str, Any]
) -> None:
    engine.let_all_go()
    first = _send(gated, "key-1", **body)
    again = _send(gated, "key-1", **body)
    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["x-limner-seed"] == first.headers["x-limner-seed"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert engine.started == ["a cat"] * body.get("n", 1)
    other = _send(gated, "key-2", **body)
    assert other.headers["x-limner-seed"] != first.headers["x-limner-seed"]
    assert len(engine.started) == 2 * body.get("n", 1)


def test_retry_while_the_first_is_drawn_waits_for_it(gated: Server, engine: GatedEngine) -> None:
    answers: list[httpx2.Response] = []
    headers = {"idempotency-key": "key"}
    threads = [gated.begin(answers, headers) for _ in range(3)]
    wait_until(lambda: engine.started)
    engine.let_all_go()
    for thread in threads:
        thread.join(60)
    assert len({answer.content for answer in answers}) == 1
    assert engine.started == ["a cat"]


@pytest.mark.parametrize("body", [{}, {"stream": True}])
def test_client_that_gave_up_finds_its_picture_when_it_asks_again(
    gated: Server, engine: GatedEngine, body: dict[str, Any]
) -> None:
    gated.abandon(lambda: engine.started, BODY | body, {"idempotency-key": "key"})
    engine.let_all_go()
    assert _send(gated, "key", **body).status_code == 200
    assert engine.started == ["a cat"]


def test_another_request_with_the_same_key_is_refused(gated: Server, engine: GatedEngine) -> None:
    engine.let_all_go()
    assert _send(gated, "key").status_code == 200
    response = _send(gated, "key", n=2)
    assert_openai_error(response, 400, "idempotency_key_reused")
    assert engine.started == ["a cat"]
    response = _send(gated, "k" * 256)
    assert_openai_error(response, 400, "invalid_value")


@pytest.mark.parametrize("body", [{}, {"stream": True, "partial_images": 1}])
def test_failure_may_be_tried_again(
    gated: Server, engine: GatedEngine, body: dict[str, Any]
) -> None:
    engine.let_all_go()
    engine.fail_at = Picture
    first = _send(gated, "key", **body)
    assert first.status_code == 500 or "event: error" in first.text
    engine.fail_at = None
    again = _send(gated, "key", **body)
    assert again.status_code == 200
    assert "event: error" not in again.text
    assert_openai_error(_send(gated, "bad", n=11), 400, "integer_above_max_value", "n")
    assert _send(gated, "bad").status_code == 200


def test_keys_of_two_clients_are_two(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, api_keys="sk-one, sk-two")) as server:
        seeds = set()
        for name in ("one", "two"):
            headers = {"idempotency-key": "key", "authorization": f"Bearer sk-{name}"}
            seeds.add(server.ask(headers).headers["x-limner-seed"])
    assert len(seeds) == 2


def test_key_holds_for_all_servers_of_a_database_and_after_a_restart(
    database_url: str, tmp_path: Path
) -> None:
    settings = make_settings(tmp_path, database=database_url)
    with running(settings) as one, running(settings) as two:
        first = _send(one, "key", n=2)
        seed = first.headers["x-limner-seed"]
        again = _send(two, "key", n=2)
        assert_openai_error(_send(two, "key", n=3), 400, "idempotency_key_reused")
        stream = _send(one, "stream", stream=True)
        streamed = _send(two, "stream", stream=True)
    with running(settings) as three:
        restarted = _send(three, "key", n=2)
        for answer in (again, restarted):
            assert answer.status_code == 200
            assert answer.headers["idempotent-replayed"] == "true"
            assert answer.headers["x-limner-seed"] == seed
        addresses = [
            [item["url"].partition("/v1")[2].partition("?")[0] for item in answer.json()["data"]]
            for answer in (first, again, restarted)
        ]
        assert addresses[0] == addresses[1] == addresses[2]
        picture = three.http.get(restarted.json()["data"][1]["url"])
        assert open_picture(picture.content).text["seed"] == seed  # type: ignore[attr-defined]
        rows = three.http.get(HISTORY).json()["data"]
        assert len(rows) == 2
    pictures = [json.loads(answer.text.splitlines()[-2][6:]) for answer in (stream, streamed)]
    assert pictures[0]["b64_json"] == pictures[1]["b64_json"]


def test_key_is_taken_while_another_server_draws_and_free_after_a_failure(
    tmp_path: Path, engine: GatedEngine
) -> None:
    settings = make_settings(tmp_path, engine="gated")
    engine.fail_at = Picture
    answers: list[httpx2.Response] = []
    with running(settings) as one, running(settings) as two:
        one.begin(answers, {"idempotency-key": "key"})
        wait_until(lambda: engine.started)
        assert_openai_error(_send(two, "key"), 409, "idempotency_key_in_use")
        engine.let_all_go()
        wait_until(lambda: answers)
        assert answers[0].status_code == 500
        engine.fail_at = None
        assert _send(two, "key").status_code == 200
        assert_openai_error(_send(two, "bad", n=11), 400, "integer_above_max_value", "n")
        assert _send(one, "bad").status_code == 200


def test_key_of_pictures_that_are_not_here_is_refused(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        _send(server, "key")
    for path in (tmp_path / "history").iterdir():
        path.unlink()
    with running(make_settings(tmp_path)) as server:
        assert_openai_error(_send(server, "key"), 400, "idempotency_key_used")


def test_form_is_the_same_with_another_boundary(server: Server) -> None:
    texts = []
    for _ in range(2):  # the client makes a new boundary for each
        files = {"image": ("a.png", picture_file(), "image/png")}
        headers = {"idempotency-key": "form"}
        data = {"prompt": "a hat"}
        texts.append(server.http.post(EDITS, data=data, files=files, headers=headers).text)
    assert "idempotency_key_reused" not in texts[1]


def _form(boundary: str, prompt: str) -> dict[str, Any]:
    part = 'Content-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    fields = {"prompt": prompt, "response_format": "b64_json"}
    parts = [f"--{boundary}\r\n{part.format(*field)}" for field in fields.items()]
    file = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    end = f"\r\n--{boundary}--\r\n"
    return {
        "content": "".join([*parts, file]).encode() + picture_file() + end.encode(),
        "headers": {"content-type": f"multipart/form-data; boundary={boundary}"},
    }


def test_forms_that_differ_where_the_boundary_stands_are_two(server: Server) -> None:
    """With the boundary "a" cut out everywhere, "a bad cat" and "a bd ct" were one."""
    for key, first, second, expected in (
        ("cat", _form("a", "a bad cat"), _form("a", "a bd ct"), 400),
        ("same", _form("a", "a bad cat"), _form("-- b", "a bad cat"), 200),
        ("open", _form("xyz", "a cat"), _form("xyz", "a xyzcat"), 400),
    ):
        for form, status in ((first, 200), (second, expected)):
            form["headers"]["idempotency-key"] = key
            response = server.http.post(EDITS, **form)
            assert response.status_code == status, (key, response.text)


def test_a_form_that_breaks_off_counts_by_its_bytes() -> None:
    kind, whole = "multipart/form-data; boundary=b", _form("b", "a cat")["content"]
    prints = {fingerprint("/x", kind, whole[:-n]) for n in (0, 4, 5, 9) if n} | {
        fingerprint("/x", kind, whole)
    }
    assert len(prints) == 4


def test_replay_has_the_address_that_its_own_client_called(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, proxies="127.0.0.1")
    with running(settings) as server:
        urls = []
        for host in ("one.example", "two.example"):
            headers = {"idempotency-key": "key", "x-forwarded-host": host}
            answer = server.ask(headers, response_format="url", n=2)
            assert int(answer.headers["content-length"]) == len(answer.content)
            urls.append([item["url"].partition("/v1/") for item in answer.json()["data"]])
        assert {start for start, _, _ in urls[0]} == {"http://one.example"}
        assert {start for start, _, _ in urls[1]} == {"http://two.example"}
        assert [path for _, _, path in urls[0]] == [path for _, _, path in urls[1]]


def test_answers_are_kept_within_bounds(
    tmp_path: Path, engine: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.let_all_go()
    monkeypatch.setattr(recorded_answers, "MAX_ANSWERS", 2)
    # Without a history there is nothing to make a forgotten answer again from.
    with running(make_settings(tmp_path, engine="gated", history="off")) as server:
        for number in range(3):
            _send(server, f"key-{number}")
        _send(server, "key-2")
        assert len(engine.started) == 3
        _send(server, "key-0")  # forgotten
        assert len(engine.started) == 4
        monkeypatch.setattr(recorded_answers, "MAX_BYTES", 10)
        _send(server, "key-3")
        _send(server, "key-3")
        assert len(engine.started) == 6


def test_body_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MAX_REQUEST_BYTES", 100)
    assert_openai_error(_send(server, "big", prompt="x" * 200), 400, "request_too_large")


@pytest.mark.parametrize("limit", ["MAX_BYTES", "MAX_ONE_BYTES"])
@pytest.mark.parametrize("body", [{"response_format": "b64_json"}, {"stream": True}])
def test_answer_without_room_is_made_and_not_recorded(
    gated: Server,
    engine: GatedEngine,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    body: dict[str, Any],
) -> None:
    """Answers in the making were held whole, however many and however large."""
    monkeypatch.setattr(recorded_answers, limit, 100)
    recorded = gated.app.state.answers
    left = {"idempotency-key": "left"}
    gated.abandon(lambda: engine.started, BODY | {"n": 2} | body, left)
    answers: list[httpx2.Response] = []
    waiting = gated.begin(answers, {"idempotency-key": "waits"}, n=2, **body)
    engine.let_all_go()
    waiting.join(60)
    whole = answers[0]
    assert whole.status_code == 200
    wait_until(lambda: gated.is_idle)
    assert recorded.n_bytes == 0
    n_started = len(engine.started)
    assert n_started == 4  # those of the client who left, too
    for key in ("left", "waits"):
        again = _send_until_done(gated, key, n=2, **body)
        assert again.status_code == 200
        assert again.headers["idempotent-replayed"] == "true"
    assert _pictures(again) == _pictures(whole)
    assert len(engine.started) == n_started
    assert recorded.n_bytes == 0


def _send_until_done(server: Server, key: str, **body: Any) -> httpx2.Response:
    """A retry; the answer is 409 while the request of a client who left is not recorded as done."""
    answers: list[httpx2.Response] = []

    def is_done() -> bool:
        answers.append(_send(server, key, **body))
        return answers[-1].status_code != 409

    wait_until(is_done)
    return answers[-1]


def _pictures(answer: httpx2.Response) -> list[str]:
    if answer.headers["content-type"].startswith("application/json"):
        return [item["b64_json"] for item in answer.json()["data"]]
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line[:6] == "data: "]
    return [event["b64_json"] for event in events]


def test_who_comes_late_to_a_stream_that_is_not_recorded_is_told(
    gated: Server, engine: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_answers, "MAX_ONE_BYTES", 100)
    body = {"stream": True, "n": 2}
    engine.gate.release(6)  # the first picture of two, whose event is too large
    headers = {"idempotency-key": "key"}
    with gated.http.stream("POST", GENERATIONS, json=BODY | body, headers=headers) as first:
        lines = first.iter_lines()
        event = next(line for line in lines if line.startswith("event"))  # no comment
        assert_openai_error(_send(gated, "key", **body), 409, "idempotency_key_in_use")
        assert_openai_error(_send(gated, "key", n=1), 400, "idempotency_key_reused")
        engine.let_all_go()
        assert [event, *lines].count("event: image_generation.completed") == 2
    assert _send(gated, "key", **body).headers["idempotent-replayed"] == "true"
    assert len(engine.started) == 2


def test_finished_recordings_make_room_for_new_ones(
    gated: Server, engine: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.let_all_go()
    recorded = gated.app.state.answers
    _send(gated, "one", response_format="b64_json")
    n_bytes = recorded.n_bytes
    assert n_bytes > 0
    monkeypatch.setattr(recorded_answers, "MAX_BYTES", n_bytes * 3 // 2)
    for key in ("two", "three"):
        first = _send(gated, key, response_format="b64_json")
        assert 0 < recorded.n_bytes <= n_bytes * 3 // 2
        assert _send(gated, key, response_format="b64_json").content == first.content
    assert len(engine.started) == 3
