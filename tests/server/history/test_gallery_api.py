"""Search in the history, stars, single pictures in other formats, and the calls for admins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from limner.imaging import codec
from limner.imaging.provenance.check import check
from limner.storage.db.keys import KeyStore, Limits
from tests.server.helpers import (
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


@pytest.fixture
def own(tmp_path: Path, database_url: str) -> Iterator[Server]:
    """A server with a history of its own, in each kind of database."""
    with running(make_settings(tmp_path, database=database_url)) as server:
        yield server


def _found(server: Server, **query: Any) -> list[str]:
    response = server.http.get(HISTORY, params=query)
    assert response.status_code == 200, response.text
    return [row["prompt"] for row in response.json()["data"]]


def _latest(server: Server) -> dict[str, Any]:
    row: dict[str, Any] = server.http.get(HISTORY, params={"limit": 1}).json()["data"][0]
    return row


def test_words_of_prompts(own: Server) -> None:
    for text in ("a Red fox", "a red_fox", "100% wool!", "一只红狐狸"):
        own.generate(prompt=text)
    assert _found(own, q="fox RED") == ["a red_fox", "a Red fox"]
    assert _found(own, q="d_f") == ["a red_fox"]
    assert _found(own, q="%") == _found(own, q="wool!") == ["100% wool!"]
    assert _found(own, q="狐") == ["一只红狐狸"]
    assert _found(own, q="' OR 1=1 --") == []
    assert len(_found(own, q="")) == 4


def test_dates_model_and_pages_of_a_search(own: Server) -> None:
    for number in range(3):
        own.generate(prompt=f"apple {number}")
    own.generate(prompt="pear")
    today = datetime.now(UTC).date()
    tomorrow, yesterday = str(today + timedelta(1)), str(today - timedelta(1))
    assert len(_found(own, since=yesterday, until=tomorrow)) == 4
    assert _found(own, since=tomorrow) == _found(own, until=yesterday) == []
    assert _found(own, until=_latest(own)["created_at"] - 3600) == []
    assert len(_found(own, model="testcard")) == 4
    assert _found(own, model="nano") == []
    page = own.http.get(HISTORY, params={"q": "apple", "limit": 2}).json()
    assert page["has_more"]
    assert _found(own, q="apple", limit=2, after=page["last_id"]) == ["apple 0"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("q", "\0"),
        ("q", "x" * 201),
        ("q", "a " * 13),
        ("since", "2026-13-01"),
        ("until", "yesterday"),
        ("until", "9999-12-31"),
        ("starred", "yes"),
        ("sha256", "0" * 63),
        ("parent", "G" * 64),
        ("model", "\n"),
    ],
)
def test_wrong_searches_are_refused(server: Server, name: str, value: str) -> None:
    response = server.http.get(HISTORY, params={name: value})
    assert_openai_error(response, 400, "invalid_value", name)


def test_star_and_its_search(own: Server) -> None:
    own.generate(prompt="kept", n=2)
    own.generate(prompt="not kept")
    id = own.http.get(HISTORY).json()["data"][1]["id"]
    path = f"{HISTORY}/{id}/pictures/1/star"
    for _ in range(2):
        assert own.http.post(path).json()["starred"] is True
    assert [one["starred"] for one in own.http.get(f"{HISTORY}/{id}").json()["pictures"]] == [
        False,
        True,
    ]
    assert _found(own, starred="true") == ["kept"]
    assert _found(own, starred="false") == ["not kept"]
    assert own.http.delete(path).json()["starred"] is False
    assert _found(own, starred="true") == []
    for wrong in ("2", "01", "-1", "x" * 100):
        response = own.http.post(f"{HISTORY}/{id}/pictures/{wrong}/star")
        assert_openai_error(response, 404, "not_found")


def test_tree_is_found_by_hashes(own: Server) -> None:
    first = own.generate(prompt="first", response_format="url").json()["data"][0]["url"]
    data = own.http.get(first).content
    own.edit([("image", ("a.png", data, "image/png"))]).raise_for_status()
    digest = hashlib.sha256(data).hexdigest()
    assert _found(own, sha256=digest) == ["first"]
    assert _found(own, parent=digest) == ["a hat"]
    wider = [("image", ("a.png", picture_file(320), "image/png"))]
    own.edit(wider, prompt="a meadow", parent=digest).raise_for_status()
    assert _found(own, parent=digest) == ["a meadow", "a hat"]
    assert_openai_error(own.edit(wider, parent="x"), 400, "invalid_value", "parent")


def test_one_picture_is_deleted_and_the_last_takes_the_request(own: Server) -> None:
    own.generate(n=2)
    id = _latest(own)["id"]
    answer = own.http.delete(f"{HISTORY}/{id}/pictures/0").json()
    assert answer == {"id": id, "index": 0, "object": "image.picture.deleted", "deleted": True}
    assert [one["index"] for one in _latest(own)["pictures"]] == [1]
    assert len(own.stored) == 1
    assert_openai_error(own.http.delete(f"{HISTORY}/{id}/pictures/0"), 404, "not_found")
    own.http.delete(f"{HISTORY}/{id}/pictures/1").raise_for_status()
    assert own.stored == []
    assert_openai_error(own.http.get(f"{HISTORY}/{id}"), 404, "not_found")


def test_picture_of_a_running_request_is_not_deleted(gated: Server, engine: GatedEngine) -> None:
    body = {"prompt": "x", "size": "256x256", "n": 2, "stream": True, "model": "gated"}
    engine.gate.release(5)
    with gated.http.stream("POST", "/v1/images/generations", json=body) as response:
        id = response.headers["x-request-id"]
        wait_until(lambda: gated.http.get(f"{HISTORY}/{id}").json()["pictures"])
        refused = gated.http.delete(f"{HISTORY}/{id}/pictures/0")
        assert_openai_error(refused, 400, "request_running")


def test_formats_and_smaller_copies(own: Server) -> None:
    own.generate(prompt="a pear", size="384x256", seed=7, background="transparent")
    path = f"{HISTORY}/{_latest(own)['id']}/pictures/0"
    whole = own.http.get(path)
    assert hashlib.sha256(whole.content).hexdigest() == _latest(own)["pictures"][0]["sha256"]
    assert whole.headers["content-type"] == "image/png"
    assert whole.headers["cache-control"].startswith("private")
    for format in ("png", "jpeg", "webp"):
        response = own.http.get(path, params={"format": format, "side": 128})
        image = open_picture(response.content)
        assert (image.format, image.size) == (format.upper(), (128, 85))
        assert response.headers["content-type"] == f"image/{format}"
        assert codec.read_text(response.content)["seed"] == "7"
        assert check(response.content).label == "holds"
    larger = own.http.get(path, params={"side": 1024})
    assert open_picture(larger.content).size == (384, 256)  # never enlarged
    drawings = [
        own.http.get(path, params={"format": "svg", "complexity": word}).text
        for word in ("low", "high")
    ]
    assert all(check(text.encode()).label == "holds" for text in drawings)
    assert all("viewBox" in text and "<script" not in text for text in drawings)
    assert len(drawings[0]) < len(drawings[1])
    again = own.http.get(path, headers={"if-none-match": whole.headers["etag"]})
    assert again.status_code == 304
    for name, value in {"format": "gif", "side": "15", "complexity": "most"}.items():
        assert_openai_error(own.http.get(path, params={name: value}), 400, "invalid_value", name)


def test_pictures_that_are_kept_as_svg_and_gif(own: Server) -> None:
    for format, media_type in {"svg": "image/svg+xml", "gif": "image/gif"}.items():
        own.generate(prompt="a pear", model="testcard", output_format=format).raise_for_status()
        path = f"{HISTORY}/{_latest(own)['id']}/pictures/0"
        assert own.http.get(path).headers["content-type"] == media_type
        small = own.http.get(path, params={"format": "webp", "side": 64})
        if format == "svg":
            assert_openai_error(small, 400, "unsupported_operation", "format")
        else:
            assert open_picture(small.content).size == (64, 64)
            assert own.http.get(path, params={"side": 64}).headers["content-type"] == "image/png"


def test_pictures_of_other_keys_are_not_there(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, api_keys="sk-one, sk-two")) as server:
        one, two = ({"authorization": f"Bearer sk-{name}"} for name in ("one", "two"))
        server.ask(one)
        [row] = server.http.get(HISTORY, headers=one).json()["data"]
        path = f"{HISTORY}/{row['id']}/pictures/0"
        assert server.http.get(path, headers=one).status_code == 200
        for method, address in (("GET", path), ("DELETE", path), ("POST", path + "/star")):
            response = server.http.request(method, address, headers=two)
            assert_openai_error(response, 404, "not_found")
            assert server.http.request(method, address).status_code == 401


def test_models_say_what_they_can(server: Server) -> None:
    models = {one["id"]: one for one in server.http.get("/v1/models").json()["data"]}
    about = models["testcard"]["limner"]
    assert about == {"engine": "testcard", "is_default": True, "styles": []}
    assert models["testcard"]["capabilities"]["edit"]
    assert "limner" not in models["dall-e-2"]
    assert server.http.get("/v1/models/testcard").json()["limner"] == about


def test_admin_calls_need_the_scope_and_tell_no_secret(tmp_path: Path, database_url: str) -> None:
    with running(make_settings(tmp_path, database=database_url)) as server:
        store = KeyStore(server.service.database)
        keys = {
            name: {"authorization": f"Bearer {store.create(name, scopes, limits)}"}
            for name, scopes, limits in (
                ("boss", ["draw", "admin"], Limits()),
                ("anna", ["draw"], Limits(pictures_per_day=5)),
            )
        }
        store.create("gone")
        store.revoke("gone")
        server.service.keys.read()
        server.ask(keys["anna"], n=3)
        server.ask(keys["boss"])
        for name in ("jobs", "keys", "usage", "training", "training/a/b/sheet"):
            refused = server.http.get(f"/v1/admin/{name}", headers=keys["anna"])
            assert_openai_error(refused, 403, "insufficient_permissions")
        shown = server.http.get("/v1/admin/keys", headers=keys["boss"])
        rows = {row["name"]: row for row in shown.json()["data"]}
        assert rows["anna"]["limits"]["pictures_per_day"] == 5
        assert rows["gone"]["revoked_at"]
        assert not rows["boss"]["revoked_at"]
        assert "hash" not in shown.text
        usage = server.http.get("/v1/admin/usage", headers=keys["boss"]).json()["data"]
        today = str(datetime.now(UTC).date())
        assert usage == [
            {"day": today, "key": "anna", "pictures": 3},
            {"day": today, "key": "boss", "pictures": 1},
        ]
        for days in ("0", "91", "x"):
            wrong = server.http.get("/v1/admin/usage", params={"days": days}, headers=keys["boss"])
            assert_openai_error(wrong, 400, "invalid_value", "days")


def test_admin_sees_requests_under_way(gated: Server, engine: GatedEngine) -> None:
    answers: list[Any] = []
    threads = [gated.begin(answers, {}, prompt=f"{n}") for n in range(2)]
    wait_until(lambda: len(gated.http.get("/v1/admin/jobs").json()["data"]) == 2)
    states = {job["status"] for job in gated.http.get("/v1/admin/jobs").json()["data"]}
    assert states <= {"queued", "drawing"}
    engine.let_all_go()
    for thread in threads:
        thread.join(60)
    assert gated.http.get("/v1/admin/jobs").json()["data"] == []


def test_training_runs_are_read_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "training" / "run 1" / "generator"
    (folder / "checkpoint").mkdir(parents=True)
    rows = [{"step": step, "loss": 1 / step, "steps_per_s": 2.0} for step in range(1, 1001)]
    lines = [json.dumps(row) for row in rows]
    lines += ['{"step": 1000, "accuracy": 0.5}', '{"loss": NaN}', "[1]", '{"step": 10']
    (folder / "log.jsonl").write_text("\n".join(lines))
    (folder / "checkpoint" / "config.json").write_text('{"loop": {"steps": 3000}}')
    for step in (500, 1000):
        (folder / f"sheet-{step:06d}.png").write_bytes(picture_file(64, colour=(step % 255, 0, 0)))
    (tmp_path / "training" / "run 2" / "planner").mkdir(parents=True)
    (tmp_path / "training" / "run 2" / "planner" / "log.jsonl").write_text("")
    with running(make_settings(tmp_path)) as server:
        data = server.http.get("/v1/admin/training").json()["data"]
        stages = {(row["run"], row["stage"]): row for row in data}
        one = stages["run 1", "generator"]
        assert (one["step"], one["steps"], one["steps_per_s"]) == (1000, 3000, 2.0)
        assert one["seconds_left"] == pytest.approx(1000)
        assert len(one["loss"]) == 200
        assert one["loss"][-1] == {"step": 1000, "loss": 0.001}
        assert one["sheet"] == "sheet-001000.png"
        assert stages["run 2", "planner"]["steps"] is None
        sheet = server.http.get("/v1/admin/training/run 1/generator/sheet")
        assert sheet.content == (folder / "sheet-001000.png").read_bytes()
        for path in ("run 2/planner", "run 1/..", "%2e%2e/x", "no/generator"):
            assert server.http.get(f"/v1/admin/training/{path}/sheet").status_code == 404
