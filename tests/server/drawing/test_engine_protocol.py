"""What an engine declares and hands back reaches the client: options, refusals, files, usage."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from limner.engines import registry
from limner.engines.base import (
    NEVER,
    CancelToken,
    Capabilities,
    Engine,
    Event,
    ImageTask,
    Picture,
    PictureFile,
    Usage,
)
from limner.errors import LimnerError, Refused
from limner.imaging import codec
from limner.options import OptionSpec
from tests.server.helpers import (
    EDITS,
    GENERATIONS,
    Server,
    assert_openai_error,
    make_settings,
    picture_file,
    running,
)

FILE = picture_file(64, colour=(10, 20, 30, 255))
ASKED = {"model": "relay-1", "prompt": "a cat", "size": "64x64", "response_format": "b64_json"}


@dataclass
class RelayEngine(Engine):
    """Hands on what a service behind it made, as an upstream engine does."""

    name: str = "relay"
    model: str = "relay-1"
    capabilities: Capabilities = field(
        default=Capabilities(
            edit=True,
            max_images=2,
            repeatable=False,
            options=(
                OptionSpec("negative_prompt", "text", "What is not to be seen."),
                OptionSpec("steps", "integer", "Passes.", 1, 50, default=20),
                OptionSpec("guidance", "number", "How closely.", 0, 20),
                OptionSpec("tiled", "flag", "Whether it tiles."),
                OptionSpec("prompt", "text", "Never reached: the API has a field of this name."),
            ),
        )
    )
    asked: list[ImageTask] = field(default_factory=list)
    fails: LimnerError | None = None
    n_closed: int = 0

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Yield the file that the service made, or what it said instead."""
        for task in tasks:
            self.asked.append(task)
            if self.fails:
                raise self.fails
            yield (
                task,
                Picture(
                    codec.decode(FILE),
                    task.request.prompt,
                    task.seed,
                    task.index,
                    self.model,
                    file=PictureFile(FILE, "png"),
                    usage=Usage(3, 5, 0, 7),
                    revised_prompt="a tabby cat",
                ),
            )

    def close(self) -> None:
        """Count."""
        self.n_closed += 1


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> RelayEngine:
    engine = RelayEngine()
    info = registry.EngineInfo("relay", "", "limner.engines.testcard", None, lambda *_: engine)
    monkeypatch.setitem(registry.BUILT_IN, "relay", info)
    return engine


@pytest.fixture
def server(relay: RelayEngine, tmp_path: Path) -> Iterator[Server]:
    with running(make_settings(tmp_path, engine="relay")) as server:
        yield server


def _options(relay: RelayEngine) -> dict[str, Any]:
    return dict(relay.asked[-1].request.options)


def test_declared_options_reach_the_engine_and_the_history(
    server: Server, relay: RelayEngine
) -> None:
    given = {"negative_prompt": "a dog", "num_inference_steps": 5, "cfg_scale": 7, "tiled": True}
    response = server.http.post(GENERATIONS, json=ASKED | given)
    assert response.status_code == 200, response.text
    expected = {"guidance": 7.0, "negative_prompt": "a dog", "steps": 5, "tiled": True}
    assert _options(relay) == expected
    assert "x-limner-notice" not in response.headers
    [row] = server.http.get("/v1/images/history").json()["data"]
    assert row["parameters"]["options"] == expected


def test_an_option_by_its_own_name_goes_before_what_others_call_it(
    server: Server, relay: RelayEngine
) -> None:
    response = server.http.post(GENERATIONS, json=ASKED | {"num_inference_steps": 5, "steps": 6})
    assert _options(relay) == {"steps": 6}
    assert response.headers["x-limner-notice"] == "Not used: num_inference_steps"


def test_what_the_engine_does_not_declare_is_named(server: Server, relay: RelayEngine) -> None:
    response = server.http.post(GENERATIONS, json=ASKED | {"strength": 0.5, "steps": None})
    assert response.headers["x-limner-notice"] == "Not used: strength"
    assert _options(relay) == {}
    published = ASKED | {"model": "dall-e-2", "size": "256x256", "steps": 5}
    response = server.http.post(GENERATIONS, json=published)
    assert response.headers["x-limner-notice"] == "Not used: steps"
    response = server.http.post(GENERATIONS, json=published | {"tiled": True})
    assert_openai_error(response, 400, "unknown_parameter", "tiled")
    assert "an option of this server's own models" in response.text
    assert_openai_error(
        server.http.post(GENERATIONS, json=ASKED | {"lora": "x"}), 400, "unknown_parameter", "lora"
    )


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("steps", 51, "integer_above_max_value"),
        ("steps", "5", "invalid_type"),
        ("guidance_scale", -1, "decimal_below_min_value"),
        ("negative_prompt", 5, "invalid_type"),
        ("tiled", "yes", "invalid_type"),
    ],
)
def test_a_wrong_value_of_an_option_is_refused(
    server: Server, name: str, value: object, code: str
) -> None:
    assert_openai_error(server.http.post(GENERATIONS, json=ASKED | {name: value}), 400, code, name)


def test_options_of_a_form_are_spelled(server: Server, relay: RelayEngine) -> None:
    fields = {**ASKED, "steps": "5", "guidance": "1.5", "tiled": "true"}
    files = [("image", ("a.png", picture_file(64), "image/png"))]
    response = server.http.post(EDITS, data=fields, files=files)
    assert response.status_code == 200, response.text
    assert _options(relay) == {"guidance": 1.5, "steps": 5, "tiled": True}


def test_further_pictures_reach_an_engine_that_takes_them(
    server: Server, relay: RelayEngine
) -> None:
    colours = [(255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)]
    files = [
        ("image[]", ("a.png", picture_file(64, colour=colour), "image/png")) for colour in colours
    ]
    response = server.http.post(EDITS, data=ASKED, files=files)
    assert response.status_code == 200, response.text
    source: Any = relay.asked[-1].request.source
    seen = [tuple(pixels[0, 0]) for pixels in (source.pixels, *source.others)]
    assert seen == colours[:2]
    notice = "The first 2 pictures were edited; the other one was not used"
    assert response.headers["x-limner-notice"] == notice


def test_a_file_is_passed_on_as_it_came(server: Server) -> None:
    body = server.http.post(GENERATIONS, json=ASKED).json()
    assert base64.b64decode(body["data"][0]["b64_json"]) == FILE
    jpeg = server.http.post(
        GENERATIONS, json=ASKED | {"output_format": "jpeg", "background": "opaque"}
    ).json()
    assert base64.b64decode(jpeg["data"][0]["b64_json"])[:2] == b"\xff\xd8"


def test_usage_and_the_revised_prompt_reach_answer_history_and_replay(
    relay: RelayEngine, tmp_path: Path
) -> None:
    asked = {"model": "gpt-image-1", "prompt": "a cat", "n": 2, "size": "256x256"}
    headers = {"idempotency-key": "once"}
    answers = []
    for _ in range(2):  # the second server knows of the first only what the database keeps
        with running(make_settings(tmp_path, engine="relay")) as server:
            answers.append(server.http.post(GENERATIONS, json=asked, headers=headers).json())
            [row] = server.http.get("/v1/images/history").json()["data"]
    assert len(relay.asked) == 2
    for body in answers:
        assert [item["revised_prompt"] for item in body["data"]] == ["a tabby cat"] * 2
        assert body["usage"]["input_tokens_details"] == {"image_tokens": 10, "text_tokens": 6}
        assert (body["usage"]["output_tokens"], body["usage"]["total_tokens"]) == (14, 30)
    assert row["pictures"][1]["revised_prompt"] == "a tabby cat"
    assert row["pictures"][0]["usage"]["output_image"] == 7


@pytest.mark.parametrize(
    ("error", "status", "kind", "headers"),
    [
        (
            Refused("Too many.", status=429, code="rate_limit_exceeded", retry_after_s=7),
            429,
            "requests",
            {"retry-after": "7"},
        ),
        (
            Refused("Not drawn.", status=400, code="moderation_blocked", param="prompt"),
            400,
            "invalid_request_error",
            {},
        ),
        (Refused("Upstream key refused"), 502, "server_error", {"x-should-retry": "false"}),
    ],
)
def test_a_refusal_passes_with_its_words(
    server: Server,
    relay: RelayEngine,
    error: Refused,
    status: int,
    kind: str,
    headers: dict[str, str],
) -> None:
    relay.fails = error
    response = server.http.post(GENERATIONS, json=ASKED | {"n": 2})
    message = assert_openai_error(response, status, error.code, error.param)
    assert message == error.message
    assert response.json()["error"]["type"] == kind
    assert headers.items() <= dict(response.headers).items()
    assert len(relay.asked) == 1  # asked once: it may cost money


def test_models_say_what_their_engines_can_do(server: Server, relay: RelayEngine) -> None:
    data = {row["id"]: row for row in server.http.get("/v1/models").json()["data"]}
    able = data["relay-1"]["capabilities"]
    assert able == json.loads(json.dumps(relay.capabilities.as_json()))
    assert able["options"]["steps"] == {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": 50,
        "default": 20,
        "description": "Passes.",
    }
    assert "capabilities" not in data["dall-e-3"]
    assert server.http.get("/v1/models/relay-1").json() == data["relay-1"]


def test_stopping_closes_the_engine(relay: RelayEngine, tmp_path: Path) -> None:
    with running(make_settings(tmp_path, engine="relay")) as server:
        assert server.http.post(GENERATIONS, json=ASKED).status_code == 200
        assert relay.n_closed == 0
    assert relay.n_closed >= 1


def test_scores_that_an_engine_does_not_give_are_told(server: Server) -> None:
    response = server.http.post(GENERATIONS, json=ASKED | {"best_of": 2})
    assert response.status_code == 200
    notice = "Not used: best_of; this engine scores no pictures"
    assert response.headers["x-limner-notice"] == notice
