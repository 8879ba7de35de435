"""Answers recorded from a service on loopback, and given again when it is gone."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner import settings
from limner.cli import main
from limner.engines.base import Event, Picture, Preview
from limner.engines.registry import load
from limner.errors import DataError, Refused, SettingsError, UpstreamError
from limner.request import SIZES, Edit, ImageRequest
from tests.engines.upstream.faulty import Answer, Handler, draws, faulty, picture, refuses, streams

REQUEST = ImageRequest("a red fox", size=SIZES[0], seed=42)
EDIT = replace(REQUEST, source=Edit(np.full((64, 64, 4), 9, np.uint8)))
EVENT = {"b64_json": base64.b64encode(picture()).decode()}
STREAM = streams(
    EVENT | {"type": "image_generation.partial_image"},
    EVENT | {"type": "image_generation.completed"},
)


def _events(tmp_path: Path, request: ImageRequest, **environ: str) -> list[Event]:
    given = {f"LIMNER_UPSTREAM_{name.upper()}": value for name, value in environ.items()}
    loaded = settings.load(environ=given | {"HOME": str(tmp_path)}, folder=tmp_path)
    return list(load("upstream", loaded).generate(request))


def _record(tmp_path: Path, answer: Answer, request: ImageRequest) -> list[Event]:
    with faulty(answer) as service:
        folder = str(tmp_path / "kept")
        return _events(tmp_path, request, url=service.url, key="sk-secret", record=folder)


def _replay(tmp_path: Path, request: ImageRequest) -> list[Event]:
    return _events(tmp_path, request, replay=str(tmp_path / "kept"))


def _shown(events: list[Event]) -> list[Any]:
    return [
        (type(event), event.pixels.tobytes() if isinstance(event, Picture | Preview) else event)
        for event in events
    ]


@pytest.mark.parametrize(
    ("answer", "request_"),
    [
        (draws(picture(), usage={"input_tokens": 5, "output_tokens": 6}), REQUEST),
        (draws(picture()), EDIT),
        (STREAM, replace(REQUEST, previews=1)),
    ],
    ids=["text", "edit", "stream"],
)
def test_what_was_recorded_is_given_again(
    tmp_path: Path, answer: Answer, request_: ImageRequest
) -> None:
    live = _record(tmp_path, answer, request_)
    again = _replay(tmp_path, request_)
    assert _shown(again) == _shown(live)
    [before], [after] = (
        [event for event in events if isinstance(event, Picture)] for events in (live, again)
    )
    assert (before.file, before.usage) == (after.file, after.usage)


def test_a_refusal_is_recorded_too(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        _record(tmp_path, refuses(429, {"error": "busy"}, retry_after="7"), REQUEST)
    with pytest.raises(Refused, match="busy") as caught:
        _replay(tmp_path, REQUEST)
    assert (caught.value.status, caught.value.retry_after_s) == (429, 7)


def test_several_answers_come_in_their_order(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        _record(tmp_path, refuses(429, {"error": "busy"}), REQUEST)
    _record(tmp_path, draws(picture()), REQUEST)
    loaded = settings.load({"upstream_replay": str(tmp_path / "kept")}, environ={})
    engine = load("upstream", loaded)
    with pytest.raises(Refused):
        list(engine.generate(REQUEST))
    for _ in range(2):
        assert any(isinstance(event, Picture) for event in engine.generate(REQUEST))


def _cut(handler: Handler) -> None:
    handler.begin(200, "application/json", content_length="1000")
    handler.wfile.write(b'{"data": [')


@pytest.mark.parametrize("answer", [_cut, refuses(200, {"data": []}), streams()])
def test_what_is_no_whole_answer_is_not_kept(tmp_path: Path, answer: Answer) -> None:
    with pytest.raises(UpstreamError):
        _record(tmp_path, answer, REQUEST)
    assert not (tmp_path / "kept").exists()


def test_nothing_secret_is_kept(tmp_path: Path) -> None:
    _record(tmp_path, draws(picture()), REQUEST)
    with pytest.raises(Refused):
        _record(tmp_path, refuses(401, {"error": "sk-secret is wrong"}), REQUEST)
    paths = sorted((tmp_path / "kept").iterdir())
    assert len(paths) == 2
    for path in paths:
        text = path.read_text()
        body = base64.b64decode(json.loads(text)["body"]).decode("latin-1")
        assert "sk-secret" not in text + body
        assert "127.0.0.1" not in text
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700


def test_another_request_has_no_answer(tmp_path: Path) -> None:
    _record(tmp_path, draws(picture()), REQUEST)
    with pytest.raises(DataError, match="No answer to this request is recorded"):
        _replay(tmp_path, replace(REQUEST, prompt="a blue fox"))


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    _record(tmp_path, draws(picture()), REQUEST)
    [path] = (tmp_path / "kept").iterdir()
    path.write_text("{}")
    with pytest.raises(DataError, match="cannot be read"):
        _replay(tmp_path, REQUEST)


def test_both_at_once_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="are both set"):
        _events(tmp_path, REQUEST, url="http://x", record="a", replay="b")


def test_a_command_is_recorded_and_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = ("answers", "draw", "a red fox", "--seed", "1", "--size", "256x256", "-o")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMNER_ENGINE", "upstream")
    with faulty(draws(picture())) as service:
        monkeypatch.setenv("LIMNER_UPSTREAM_URL", service.url)
        assert main(["record", *draw, "live.png"]) == 0, capsys.readouterr().err
    assert main(["record", "--replay", *draw, "again.png"]) == 0, capsys.readouterr().err
    assert Path("again.png").read_bytes() == Path("live.png").read_bytes()
    assert main(["record", "--replay", "answers", "draw", "a hat", "-o", "hat.png"]) == 5
    assert "is recorded in" in capsys.readouterr().err
    assert main(["record", "answers"]) == 2
