"""Labels over HTTP: what is answered, streamed, kept and stored carries them; /v1/images/check."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from limner.cli import main
from limner.imaging import codec
from limner.imaging.provenance import label, mark
from limner.imaging.provenance.check import check
from limner.storage.blobs.opening import open_store
from limner.storage.blobs.store import HISTORY as KEPT
from tests.imaging.files import FILES
from tests.server.helpers import (
    EDITS,
    VARIATIONS,
    Server,
    assert_openai_error,
    make_settings,
    picture_file,
    running,
)
from tests.support import exiftool
from tests.support.certificates import make
from tests.support.s3 import S3Server

CHECK = "/v1/images/check"
NAME = {"model": "testcard", "response_format": "b64_json", "seed": 7}


def _drawn(server: Server, **body: Any) -> bytes:
    response = server.generate(**(NAME | body))
    assert response.status_code == 200, response.text
    return base64.b64decode(response.json()["data"][0]["b64_json"])


def _checked(server: Server, data: bytes) -> dict[str, Any]:
    response = server.http.post(CHECK, files={"image": data})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_an_answer_carries_its_label(server: Server, format: str, tmp_path: Path) -> None:
    data = _drawn(server, output_format=format, prompt="a red fox")
    assert _drawn(server, output_format=format, prompt="a red fox", n=2) == data
    found = _checked(server, data)
    assert found == check(data).as_json()
    assert (found["label"], found["source_type"]) == ("holds", label.ALGORITHMIC)
    assert found["parameters"] == {
        "kind": "generation",
        "model": "testcard",
        "seed": 7,
        "index": 0,
        "size": "256x256",
        "quality": "medium",
        "background": "auto",
    }
    assert b"fox" not in data
    path = tmp_path / f"fox.{format}"
    path.write_bytes(data)
    assert exiftool.xmp(path)["XMP-iptcExt:DigitalSourceType"] == label.ALGORITHMIC


def test_a_streamed_picture_and_its_previews_carry_labels(server: Server) -> None:
    body = {"prompt": "a fox", "model": "gpt-image-1", "size": "256x256", "partial_images": 2}
    response = server.generate(**body, stream=True, seed=7)
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line[:6] == "data: "]
    files = [base64.b64decode(event["b64_json"]) for event in events]
    reports = [check(file) for file in files]
    assert [one.label for one in reports] == ["holds"] * 3
    assert [(one.parameters or {}).get("preview") for one in reports] == [True, True, None]


def test_edits_and_variations_say_what_they_are(server: Server) -> None:
    for path, prompt, kind in (
        (EDITS, {"prompt": "a hat"}, "edit"),
        (VARIATIONS, {}, "variation"),
    ):
        data = {"model": "testcard", "response_format": "b64_json"} | prompt
        response = server.http.post(path, data=data, files={"image": picture_file(64)})
        found = check(base64.b64decode(response.json()["data"][0]["b64_json"]))
        assert (found.label, found.source_type) == ("holds", label.COMPOSITE)
        assert (found.parameters or {})["kind"] == kind


@pytest.mark.parametrize("is_form", [False, True])
def test_mark_is_drawn_if_it_is_asked_for(server: Server, is_form: bool) -> None:
    if is_form:
        values = {"model": "testcard", "response_format": "b64_json", "seed": "7"}
        files = {"image": picture_file(64)}
        plain, marked = (
            base64.b64decode(server.edit(files, **values, **more).json()["data"][0]["b64_json"])
            for more in ({}, {"mark": "true"})
        )
    else:
        plain, marked = _drawn(server), _drawn(server, mark=True)
        assert _drawn(server, mark=False) == _drawn(server, mark=None) == plain
    assert np.array_equal(codec.decode(marked), mark.marked(codec.decode(plain)))
    found = check(marked)
    assert (found.label, (found.parameters or {})["mark"]) == ("holds", True)


def test_mark_is_true_or_false(server: Server) -> None:
    response = server.generate(mark="yes")
    assert "boolean" in assert_openai_error(response, 400, "invalid_type", "mark")


@pytest.mark.parametrize("level", label.LEVELS)
@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_stored_files_carry_what_was_answered(
    tmp_path: Path, level: str, kind: str, request: pytest.FixtureRequest
) -> None:
    values = {}
    if kind == "s3":
        server_of_store: S3Server = request.getfixturevalue("s3_server")
        values = server_of_store.settings(request.getfixturevalue("bucket"))
    settings = make_settings(tmp_path, label=level, **values)
    with running(settings) as server:
        url = server.generate(prompt="a red fox", seed=7).json()["data"][0]["url"]
        fetched = server.http.get(url).content
        [entry] = open_store(settings).list(KEPT)
        stored = open_store(settings).get(f"{KEPT}/{entry.file}")
        assert stored
        assert stored.read() == fetched
    found = check(fetched)
    assert found.label == ("absent" if level == "off" else "holds")
    assert (b"fox" in fetched) == (level == "full")


@pytest.mark.parametrize(("level", "prompt"), [("off", None), ("label", ""), ("full", "a red fox")])
def test_a_lost_history_is_recovered_as_far_as_files_tell(
    tmp_path: Path, level: str, prompt: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "limner-home"
    with running(make_settings(home, label=level)) as server:
        server.generate(prompt="a red fox", seed=7)
    for file in home.glob("limner.db*"):
        file.unlink()
    assert main(["history", "recover"]) == 0
    said = capsys.readouterr()
    if prompt is None:
        assert "it does not say that limner drew it" in said.out
        return
    assert said.err == "1 adopted, 0 skipped, 0 known before\n"
    id = said.out.split()[2]
    assert main(["history", "show", id]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["prompt"], row["model"], row["pictures"][0]["seed"]) == (prompt, "testcard", 7)


# --- /v1/images/check ---


@pytest.mark.parametrize("name", FILES)
def test_every_format_is_checked(server: Server, name: str) -> None:
    assert _checked(server, FILES[name]) == check(FILES[name]).as_json()
    policy = label.LabelPolicy("full")
    told = label.Label(policy, label.TRAINED, {"seed": 7, "prompt": "红 fox"}).attach(FILES[name])
    found = _checked(server, told)
    assert (found["object"], found["label"], found["is_ai"]) == ("image.check", "holds", True)
    assert found["parameters"] == {"seed": 7, "prompt": "红 fox"}
    changed = told.replace(b'"seed":7', b'"seed":8')
    if not name.startswith("png"):  # whose checksum tells before
        assert _checked(server, changed)["label"] == "broken"


def test_signed_pictures_of_a_server_are_valid(tmp_path: Path) -> None:
    certificate, key = make().write(tmp_path / "keys")
    with running(make_settings(tmp_path, c2pa_cert=certificate, c2pa_key=key)) as server:
        for format in ("png", "jpeg", "webp"):
            found = _checked(server, _drawn(server, output_format=format))
            assert (found["label"], found["c2pa"]["state"]) == ("holds", "valid")
            assert found["c2pa"]["signed_by"] == "Signer of the tests, limner"


@pytest.mark.parametrize(
    ("files", "code", "said"),
    [
        ({"image": b"words"}, "invalid_image", "not a picture that is read here (5 bytes)"),
        ({"image": FILES["png"][:50]}, "invalid_image", "The picture is damaged"),
        ({"image": b""}, "invalid_image", "not a picture"),
        ({"picture": FILES["png"]}, "unknown_parameter", "picture"),
        (
            [("image", FILES["png"]), ("image", FILES["png"])],
            "array_above_max_length",
            "Send one file",
        ),
        ({"mask": FILES["png"]}, "array_above_max_length", "Send one file"),
    ],
)
def test_what_cannot_be_checked_is_refused(
    server: Server, files: Any, code: str, said: str
) -> None:
    response = server.http.post(CHECK, files=files)
    param = "picture" if "picture" in files else "image"
    assert said in assert_openai_error(response, 400, code, param)


def test_a_form_with_a_file_is_needed(server: Server) -> None:
    response = server.http.post(CHECK, json={"image": "x"})
    assert_openai_error(response, 400, "unsupported_content_type")
    response = server.http.post(CHECK, files={"model": (None, "testcard")})
    assert_openai_error(response, 400, "missing_required_parameter", "image")


def test_a_file_that_is_too_large_is_refused(server: Server, tmp_path: Path) -> None:
    large = FILES["png"] + bytes(50_000_000)
    response = server.http.post(CHECK, files={"image": io.BytesIO(large)})
    assert "the limit is 50 MB" in assert_openai_error(response, 400, "image_too_large", "image")
    with running(make_settings(tmp_path, max_upload_mb=1)) as small:
        response = small.http.post(CHECK, files={"image": io.BytesIO(large[:1_500_000])})
        assert_openai_error(response, 400, "request_too_large")


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, api_keys=("sk-test",))) as server:
        response = server.http.post(CHECK, files={"image": FILES["png"]})
        assert response.status_code == 401
        headers = {"authorization": "Bearer sk-test"}
        url = server.url + CHECK
        response = httpx2.post(url, files={"image": FILES["png"]}, headers=headers, timeout=60)
        assert response.json()["label"] == "absent"
