"""A limner that draws with another one: real servers, and what goes through both."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limner.server.routes.images import drawing
from tests.server.conftest import engine
from tests.server.helpers import (
    EDITS,
    GENERATIONS,
    HISTORY,
    VARIATIONS,
    GatedEngine,
    Server,
    make_settings,
    open_picture,
    picture_file,
    running,
    wait_until,
)

__all__ = ["engine"]

CAT = {"prompt": "a cat", "size": "256x256", "seed": 7, "response_format": "b64_json"}


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[Server]:
    with running(make_settings(tmp_path / "inner", api_keys="inner-key")) as server:
        server.http.headers["authorization"] = "Bearer inner-key"
        yield server


@pytest.fixture
def outer(inner: Server, tmp_path: Path) -> Iterator[Server]:
    with _before(inner, tmp_path) as server:
        yield server


def _before(inner: Server, home: Path, **values: Any) -> Any:
    given = {
        "engine": "upstream",
        "upstream_url": f"{inner.url}/v1",
        "upstream_key": "inner-key",
        "upstream_dialect": "limner",
        "upstream_model": "testcard",
    }
    return running(make_settings(home / "outer", **given | values))


def _data(body: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(item["b64_json"]) for item in body["data"]]


def _events(text: str) -> list[dict[str, Any]]:
    lines = [line for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_the_same_bytes_come_through_both(inner: Server, outer: Server) -> None:
    direct = inner.http.post(GENERATIONS, json=CAT | {"model": "testcard"}).json()
    through = outer.http.post(GENERATIONS, json=CAT | {"model": "upstream/testcard"}).json()
    assert _data(through) == _data(direct)
    published = {name: value for name, value in CAT.items() if name != "response_format"}
    named = outer.http.post(GENERATIONS, json=published | {"model": "gpt-image-2"}).json()
    assert _data(named) == _data(direct)
    several = outer.http.post(GENERATIONS, json=CAT | {"model": "upstream/testcard", "n": 3})
    found = _data(several.json())
    assert found[0] == _data(direct)[0]
    assert len(set(found)) == 3


def test_usage_is_that_of_the_inner_one(inner: Server, tmp_path: Path) -> None:
    gpt = {"prompt": "a cat", "model": "gpt-image-1", "size": "1024x1024"}
    direct = inner.http.post(GENERATIONS, json=gpt).json()
    with _before(inner, tmp_path, upstream_model="gpt-image-1") as outer:
        through = outer.http.post(GENERATIONS, json=gpt).json()
    assert through["usage"]["output_tokens"] > 0
    assert through["usage"] == direct["usage"]


def test_previews_and_picture_of_a_stream_come_through(inner: Server, outer: Server) -> None:
    asked = CAT | {"stream": True, "partial_images": 2}
    told = []
    for server, model in ((inner, "testcard"), (outer, "upstream/testcard")):
        answer = server.http.post(GENERATIONS, json=asked | {"model": model})
        told.append(_events(answer.text))
    direct, through = told
    names = ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event["type"] for event in through] == names
    assert through[-1]["b64_json"] == direct[-1]["b64_json"]
    for one, other in zip(direct[:-1], through[:-1], strict=True):
        pixels = [open_picture(event["b64_json"]).tobytes() for event in (one, other)]
        assert pixels[0] == pixels[1]


@pytest.mark.parametrize("path", [EDITS, VARIATIONS])
def test_pictures_to_begin_with_come_through(inner: Server, outer: Server, path: str) -> None:
    values = {"size": "256x256", "seed": "7", "response_format": "b64_json"}
    files = {"image": ("a.png", picture_file(256, colour=(9, 80, 200, 255)), "image/png")}
    if path == EDITS:
        values["prompt"] = "a hat"
        files["mask"] = ("m.png", picture_file(256), "image/png")
    told = []
    for server, model in ((inner, "testcard"), (outer, "upstream/testcard")):
        answer = server.http.post(path, data=values | {"model": model}, files=files)
        assert answer.status_code == 200, answer.text
        told.append(_data(answer.json()))
    assert told[0] == told[1]


def test_a_wrong_key_is_told_without_it(inner: Server, tmp_path: Path) -> None:
    with _before(inner, tmp_path, upstream_key="wrong-key") as outer:
        answer = outer.http.post(GENERATIONS, json=CAT | {"model": "upstream/testcard"})
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_key_refused"
    assert answer.headers["x-should-retry"] == "false"
    assert "wrong-key" not in answer.text


def test_what_the_inner_one_refuses_has_its_words(inner: Server, tmp_path: Path) -> None:
    with _before(inner, tmp_path, moderation="off") as outer:
        blocked = {"model": "upstream/testcard", "prompt": "child porn"}
        direct = inner.http.post(GENERATIONS, json=CAT | blocked | {"model": "testcard"})
        through = outer.http.post(GENERATIONS, json=CAT | blocked)
    assert (through.status_code, direct.status_code) == (400, 400)
    for name in ("message", "code", "param"):
        assert through.json()["error"][name] == direct.json()["error"][name]


@pytest.fixture
def waiting(engine: GatedEngine, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """A limner in front of one whose engine waits to be told."""
    with running(make_settings(tmp_path / "gated", engine="gated")) as inner:
        given = {"upstream_key": (), "upstream_model": "gated"}
        with _before(inner, tmp_path, **given) as outer:
            yield inner, outer
            engine.let_all_go()


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_the_outer_one_frees_the_inner_one(
    engine: GatedEngine, waiting: tuple[Server, Server], stream: bool
) -> None:
    inner, outer = waiting
    more = {"stream": True, "partial_images": 1} if stream else {}
    body = CAT | {"model": "upstream/gated"} | more
    outer.abandon(lambda: engine.started == ["a cat"], body)
    engine.gate.release()  # the inner one looks at its next event whether somebody waits
    wait_until(lambda: _states(inner) == ["cancelled"], 60)
    wait_until(lambda: _states(outer) == ["cancelled"], 60)
    assert engine.started == ["a cat"]


def _states(server: Server) -> list[str]:
    """How the requests in its history stand."""
    return [item["status"] for item in server.http.get(HISTORY).json()["data"]]


def test_a_stream_is_kept_alive_while_the_upstream_is_silent(
    engine: GatedEngine, waiting: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, outer = waiting
    monkeypatch.setattr(drawing, "FIRST_EVENT_S", 0.2)
    monkeypatch.setattr(drawing, "KEEP_ALIVE_S", 0.2)
    body = CAT | {"model": "upstream/gated", "stream": True}
    with outer.http.stream("POST", GENERATIONS, json=body) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        assert next(line for line in lines if line) == ": keep-alive"
        engine.let_all_go()
        assert any("image_generation.completed" in line for line in lines)
