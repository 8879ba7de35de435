"""POST /v1/images/look, and `limner look`."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from limner.cli import main
from limner.storage.db.keys import KeyStore
from tests.recognition.test_look import BLUE, RED, circles
from tests.server.helpers import Server, assert_openai_error, make_settings, running

LOOK = "/v1/images/look"


def _file(n: int = 1, colour: tuple[int, int, int] = RED) -> bytes:
    file = io.BytesIO()
    Image.fromarray(circles(n, colour)).save(file, "PNG")
    return file.getvalue()


def test_form_and_json_are_answered_alike(server: Server) -> None:
    form = server.http.post(LOOK, files={"image": _file()}, data={"asked": "a red circle"})
    url = "data:image/png;base64," + base64.b64encode(_file()).decode()
    body = server.http.post(LOOK, json={"image": url, "asked": "a red circle"})
    assert form.status_code == 200, form.text
    assert form.json() == body.json()
    assert form.json()["object"] == "image.look"
    assert form.json()["good_enough"] is True
    assert form.json()["seen"][0]["label"] == "red circle"


def test_drawn_pictures_are_looked_at_by_their_address(server: Server) -> None:
    url = server.generate().json()["data"][0]["url"]
    assert server.http.post(LOOK, json={"image": url}).json()["good_enough"] is None


def test_refusals(server: Server) -> None:
    missing = server.http.post(LOOK, json={"asked": "a cat"})
    assert_openai_error(missing, 400, "missing_required_parameter", "images")
    words = server.http.post(LOOK, files={"image": b"words"})
    assert_openai_error(words, 400, "unsupported_file_mimetype", "image")
    long = server.http.post(LOOK, files={"image": _file()}, data={"asked": "a" * 5000})
    assert_openai_error(long, 400, "string_above_max_length", "asked")
    two = [("image[]", _file()), ("image[]", _file())]
    assert_openai_error(server.http.post(LOOK, files=two), 400, "array_above_max_length", "image")


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        KeyStore(server.service.database).create("one")
        refused = server.http.post(LOOK, files={"image": _file()})
        assert_openai_error(refused, 401, None)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "circle.png"
    path.write_bytes(_file(colour=BLUE))
    assert main(["look", str(path), "--asked", "a red circle", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["good_enough"] is False
    assert main(["look", str(path), "--asked", "a cubist circle"]) == 0
    out = capsys.readouterr().out
    assert "unknown      cubist" in out
    assert "drop 'cubist'" in out
    assert main(["look", str(tmp_path / "nowhere.png")]) != 0
