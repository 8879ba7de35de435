"""SVG documents by the API: drawn, refused, addressed, kept, deleted, recovered, drawn again."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from openai import BadRequestError, OpenAI

import limner
from limner.cli import main
from limner.imaging import codec
from tests.server.helpers import (
    EDITS,
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

SVG = "{http://www.w3.org/2000/svg}"
ASKED = {"output_format": "svg", "seed": 7}
NO_TOKENS = {"input_tokens": 0, "output_tokens": 0, "reasoning_tokens": 0, "total_tokens": 0}


def _document(answer: Any) -> ET.Element:
    root = ET.fromstring(base64.b64decode(answer.data[0].b64_json, validate=True))
    assert root.tag == f"{SVG}svg"
    return root


def test_the_client_gets_a_document_and_its_usage(client: OpenAI) -> None:
    answer = client.images.generate(
        prompt="a cat", model="gpt-image-2.6-sunburst", size="512x512", output_format="svg"
    )
    root = _document(answer)
    assert (root.get("width"), root.get("height")) == ("512", "512")
    assert answer.output_format == "svg"
    assert answer.background == "opaque"
    assert answer.svg_usage is not None
    assert answer.svg_usage.to_dict() == {"model": "limner-trace", **NO_TOKENS}
    assert answer.usage is not None
    assert answer.usage.output_tokens == 64


def test_the_client_may_name_an_author(client: OpenAI) -> None:
    answer = client.images.with_raw_response.generate(
        prompt="a cat",
        model="gpt-image-2.6-flare",
        size="256x256",
        output_format="svg",
        svg={"model": "gpt-6", "reasoning": {"effort": "low"}},
    )
    assert "no language model draws here" in answer.headers["x-limner-notice"]
    _document(answer.parse())


def test_complexity_decides_colours_and_paths(client: OpenAI) -> None:
    lengths = []
    for complexity in ("low", "medium", "high"):
        answer = client.images.generate(
            prompt="a cat",
            model="gpt-image-2.6-flare",
            size="512x512",
            output_format="svg",
            complexity=complexity,
            extra_body={"seed": 3},
        )
        lengths.append(len(_document(answer).findall(f"{SVG}path")))
    assert lengths[0] <= 40 < lengths[2] <= 400
    assert lengths[0] < lengths[1] <= 150


def test_an_edit_by_form_is_a_document(client: OpenAI) -> None:
    answer = client.images.edit(
        image=("a.png", picture_file(64, mode="RGB", colour="blue")),
        prompt="a hat",
        model="gpt-image-2.5-flare",
        size="256x256",
        output_format="svg",
        svg={"model": "gpt-6", "reasoning": {"effort": "high"}},
    )
    assert _document(answer).get("width") == "256"
    author: Any = {"model": "gpt-6", "reasoning": {"effort": "utmost"}}
    with pytest.raises(BadRequestError, match="Supported values are: 'none'") as refused:
        client.images.edit(
            image=("a.png", picture_file(64)),
            prompt="a hat",
            output_format="svg",
            svg=author,
        )
    assert refused.value.param == "svg.reasoning.effort"


@pytest.mark.parametrize("model", ["testcard", "gpt-image-2.6-flare"])
def test_own_names_and_addresses(server: Server, model: str) -> None:
    body = ASKED | {"model": model, "response_format": "url"}
    answer = server.generate(**body).json()
    assert answer["svg_usage"] == {"model": "limner-trace", **NO_TOKENS}
    [item] = answer["data"]
    assert list(item) == ["url"]
    assert item["url"].partition("?")[0].endswith(".svg")
    for method in ("GET", "HEAD"):
        headers = server.http.request(method, item["url"]).headers
        assert headers["content-type"] == "image/svg+xml"
        assert headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert headers["x-content-type-options"] == "nosniff"
    part = server.http.get(item["url"], headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"<svg")
    assert "sandbox" in part.headers["content-security-policy"]
    known = {"if-none-match": headers["etag"]}
    assert server.http.get(item["url"], headers=known).status_code == 304
    png = server.generate(response_format="url").json()["data"][0]["url"]
    assert "content-security-policy" not in server.http.get(png).headers


def test_the_same_seed_is_the_same_bytes_everywhere(server: Server, tmp_path: Path) -> None:
    url = server.generate(**ASKED, response_format="url").json()["data"][0]["url"]
    data = server.http.get(url).content
    command = [sys.executable, "-m", "limner", "draw", "a cat", "--engine", "testcard"]
    command += ["--size", "256x256", "--seed", "7", "-o", str(tmp_path / "cat.svg")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "cat.svg").read_bytes() == data
    [picture] = limner.generate("a cat", size="256x256", seed=7, engine="testcard")
    assert picture.svg().encode() == data


def test_what_is_clear_is_told(server: Server) -> None:
    for background, said in (("transparent", "transparent"), ("opaque", "opaque")):
        answer = server.generate(**ASKED, background=background).json()
        assert answer["background"] == said


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"n": 2}, "n", "requires n=1, but got n=2"),
        ({"stream": True}, "stream", "SVG output does not support streaming"),
        ({"partial_images": 1}, "partial_images", "does not support partial images"),
        ({"output_compression": 50}, "output_compression", "does not support output_compression"),
        ({"complexity": "huge"}, "complexity", "'low', 'medium', and 'high'"),
        ({"svg": "gpt-6"}, "svg", "expected an object, but got a string"),
        ({"svg": {"model": 3}}, "svg.model", "expected a string, but got an integer"),
        ({"svg": {"model": "m" * 201}}, "svg.model", "maximum length 200"),
        ({"svg": {"colour": "red"}}, "svg.colour", "Unknown parameter: 'svg.colour'"),
        ({"svg": {"reasoning": "low"}}, "svg.reasoning", "expected an object"),
        ({"svg": {"reasoning": {"effort": "most"}}}, "svg.reasoning.effort", "'none', 'minimal'"),
        ({"output_format": "png", "svg": {"model": "m"}}, "svg", "output_format 'svg'"),
        ({"output_format": "webp", "svg": {}}, "svg", "output_format 'svg'"),
        ({"prompt_rewriter": "on"}, "prompt_rewriter", "Unknown parameter"),
    ],
)
@pytest.mark.parametrize("model", ["testcard", "gpt-image-2.6-flare", None])
def test_refusals(
    server: Server, body: dict[str, Any], param: str, words: str, model: str | None
) -> None:
    response = server.generate(**ASKED | {"model": model} | body)
    assert response.status_code == 400
    assert words in assert_openai_error(response, 400, response.json()["error"]["code"], param)


def test_defaults_of_what_is_refused_are_taken(server: Server) -> None:
    body = {"n": 1, "stream": False, "partial_images": 0, "output_compression": 100}
    assert server.generate(**ASKED, **body, svg=None).status_code == 200


def test_an_engine_without_flat_art_is_refused(gated: Server, engine: GatedEngine) -> None:
    message = assert_openai_error(
        gated.generate(**ASKED, model="gated"), 400, "unsupported_operation", "output_format"
    )
    assert "Engine gated draws no flat art" in message
    assert "testcard" in message
    assert engine.started == []


def test_an_edit_that_keeps_a_photograph_is_refused(server: Server) -> None:
    photograph = np.random.default_rng(0).integers(0, 256, (128, 128, 4)).astype(np.uint8)
    photograph[..., 3] = 255
    files = {"image": codec.encode(photograph), "mask": picture_file(128)}
    asked = {"output_format": "svg", "size": "256x256", "model": "testcard"}
    message = assert_openai_error(
        server.edit(files, **asked), 400, "unsupported_operation", "output_format"
    )
    assert "as in a photograph" in message
    assert "edits that draw the whole picture anew" in message
    assert server.edit({"image": files["image"]}, **asked).status_code == 200
    plain = files | {"image": picture_file(128, mode="RGB", colour="green")}
    assert server.edit(plain, **asked).status_code == 200


def test_an_edit_in_json(server: Server) -> None:
    image = "data:image/png;base64," + base64.b64encode(picture_file(64)).decode()
    body = {"prompt": "a hat", "images": [{"image_url": image}], "output_format": "svg"}
    answer = server.http.post(EDITS, json=body | {"svg": {"model": "m"}, "complexity": "low"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["output_format"] == "svg"


def test_a_form_that_is_not_an_object(server: Server) -> None:
    files = {"image": picture_file(64)}
    for name in ("svg", "svg[", "svg[a][b][c][d]", "svg[model][x]"):
        answer = server.edit(files, output_format="svg", **{name: "x"})
        assert answer.status_code == 400, name


def test_history_lists_gives_and_deletes_it(own: Server) -> None:
    answer = own.generate(**ASKED, complexity="low")
    id = answer.headers["x-request-id"]
    row = own.http.get(f"{HISTORY}/{id}").json()
    assert row["parameters"]["output_format"] == "svg"
    assert row["parameters"]["complexity"] == "low"
    [picture] = row["pictures"]
    assert (picture["format"], picture["size"]) == ("svg", "256x256")
    stored = own.http.get(picture["url"])
    assert stored.content == base64.b64decode(answer.json()["data"][0]["b64_json"])
    assert stored.headers["content-type"] == "image/svg+xml"
    assert own.http.get(HISTORY).json()["data"][0]["pictures"][0]["format"] == "svg"
    assert own.http.delete(f"{HISTORY}/{id}").json()["deleted"] is True
    assert_openai_error(own.http.get(picture["url"]), 404, "unknown_url")
    assert own.stored == []


@pytest.mark.parametrize("background", ["opaque", "transparent"])
def test_replay_after_a_restart_is_the_same(tmp_path: Path, background: str) -> None:
    settings = make_settings(tmp_path)
    body: Any = {"output_format": "svg", "background": background}
    answers = []
    for _ in range(2):
        with running(settings) as server:
            answers.append(server.ask({"idempotency-key": "mine"}, **body))
    first, again = answers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["background"] == background
    assert first.json() | {"created": 0} == again.json() | {"created": 0}


def test_it_is_drawn_on_after_a_stop(tmp_path: Path, engine: GatedEngine) -> None:
    engine.capabilities = replace(engine.capabilities, flat_art=True)
    settings = make_settings(tmp_path, engine="gated")
    headers = {"x-limner-resume": "true", "x-client-request-id": "mine"}
    answers: list[httpx2.Response] = []
    with running(settings) as server:
        server.begin(answers, headers, **ASKED, complexity="low")
        wait_until(lambda: engine.started)
        server.service.interrupt()
        wait_until(lambda: answers)
        engine.let_all_go()
    with running(settings) as server:
        wait_until(lambda: server.job("mine").get("status") == "done", 60)
        [picture] = server.http.get(f"{JOBS}mine").json()["pictures"]
        drawn = server.http.get(picture["url"]).content
        whole = server.generate(**ASKED, complexity="low", response_format="url").json()
        assert server.http.get(whole["data"][0]["url"]).content == drawn


def test_a_lost_database_is_made_again_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "limner-home"
    monkeypatch.setenv("LIMNER_HOME", str(home))
    prompt = 'a <red> "fox" & 小狗\r\n\tsaid ]]>'
    with running(make_settings(home, label="full")) as server:
        first = server.generate(**ASKED, prompt=prompt).headers["x-request-id"]
        before = server.http.get(f"{HISTORY}/{first}").json()
    for path in home.glob("*.db*"):
        path.unlink()
    bad = next((home / "history").iterdir()).with_stem("img-" + "A" * 24)
    bad.write_bytes(b'<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg xmlns="http://www.w3.org/2000/svg"/>')
    assert main(["history", "recover"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("1 adopted, 1 skipped")
    assert "document type" in said.out
    with running(make_settings(home)) as server:
        [row] = server.http.get(HISTORY).json()["data"]
        assert row["prompt"] == prompt
        assert row["model"] == "testcard"
        for name in ("seed", "size", "format", "sha256", "index"):
            assert row["pictures"][0][name] == before["pictures"][0][name]
        assert main(["history", "show", row["id"]]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["pictures"][0]["file"].endswith(".svg")


def test_it_is_no_picture_to_edit(server: Server) -> None:
    url = server.generate(**ASKED, response_format="url").json()["data"][0]["url"]
    answer = server.http.post(EDITS, json={"prompt": "a hat", "images": [{"image_url": url}]})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_file_mimetype"


def test_the_description_knows_it(server: Server) -> None:
    body = server.http.get("/openapi.json").json()["paths"]["/v1/images/generations"]["post"]
    schema = body["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert "svg" in schema["output_format"]["enum"]
    assert schema["complexity"]["enum"] == ["low", "medium", "high", None]
    assert set(schema["svg"]["properties"]) == {"model", "reasoning"}
    answer = body["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    assert set(answer["svg_usage"]["properties"]) == {"model", *NO_TOKENS}
    files = server.http.get("/openapi.json").json()["paths"]["/v1/images/files/{name}"]["get"]
    assert "image/svg+xml" in files["responses"]["200"]["content"]
