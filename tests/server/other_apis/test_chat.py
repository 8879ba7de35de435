"""POST /v1/chat/completions with pictures, as openai-python and chat programs use it."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from openai import OpenAI

from limner.server.routes.images import drawing
from tests.server.helpers import (
    GatedEngine,
    Server,
    assert_openai_error,
    open_picture,
)
from tests.server.other_apis.calls import CHAT, RED, last_row

ASKED = [{"role": "user", "content": "a red apple"}]


def ask(server: Server, messages: Any = ASKED, **values: Any) -> httpx2.Response:
    """Ask for a picture."""
    return server.http.post(CHAT, json={"model": "gpt-5", "messages": messages} | values)


def message_of(response: httpx2.Response) -> dict[str, Any]:
    """The message of an answer."""
    assert response.status_code == 200, response.text
    [choice] = response.json()["choices"]
    return dict(choice["message"])


def _picture(images: Any) -> tuple[int, int]:
    [image] = images
    head, _, data = image["image_url"]["url"].partition(",")
    assert (image["type"], head) == ("image_url", "data:image/png;base64")
    return open_picture(data).size


@pytest.mark.parametrize("modalities", [None, ["image"], ["text"], ["image", "text"]])
def test_openai_client_draws(client: OpenAI, modalities: Any) -> None:
    how: Any = {"modalities": modalities} if modalities else {}
    answer = client.chat.completions.create(
        model="gpt-5", messages=[{"role": "user", "content": "a red apple"}], **how
    )
    message = answer.choices[0].message
    assert "a red apple" in (message.content or "")
    assert _picture((message.model_extra or {})["images"]) == (1024, 1024)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0


def test_openai_client_streams(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="gpt-5",
            messages=[{"role": "user", "content": "a red apple"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    assert "a red apple" in "".join(delta.content or "" for delta in deltas)
    [images] = [delta.model_extra["images"] for delta in deltas if delta.model_extra]
    assert _picture(images) == (1024, 1024)
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


def test_stream_ends_as_clients_expect(server: Server) -> None:
    text = ask(server, stream=True).text
    assert text.endswith("data: [DONE]\n\n")
    assert '"usage"' not in text


def test_pictures_of_the_chat_are_edited(server: Server) -> None:
    messages: list[Any] = [*ASKED]
    for said in ("make it blue", "on a plate"):
        messages.append(message_of(ask(server, messages)))
        messages.append({"role": "user", "content": said})
    assert _picture(message_of(ask(server, messages))["images"]) == (1024, 1024)
    row = last_row(server)
    assert (row["kind"], row["prompt"]) == ("edit", "a red apple, make it blue, on a plate")


@pytest.mark.parametrize("url", [RED, {"url": RED, "detail": "auto"}])
def test_picture_beside_the_text_is_edited(server: Server, url: Any) -> None:
    content = [{"type": "text", "text": "a hat"}, {"type": "image_url", "image_url": url}]
    messages = [{"role": "system", "content": "be nice"}, {"role": "user", "content": content}]
    message_of(ask(server, messages))
    row = last_row(server)
    assert (row["kind"], row["prompt"]) == ("edit", "a hat")


def test_answers_without_pictures_are_no_subject(server: Server) -> None:
    messages = [
        *ASKED,
        {"role": "assistant", "content": "no"},
        {"role": "user", "content": "a pear"},
    ]
    message_of(ask(server, messages))
    assert last_row(server)["prompt"] == "a pear"


def test_what_is_meant_for_language_models_is_passed_over(server: Server) -> None:
    answer = ask(
        server, temperature=0.1, max_tokens=5, tools=[], image_config={"aspect_ratio": "3:2"}
    )
    assert message_of(answer)["images"]
    assert answer.headers["x-limner-notice"] == "Not used: max_tokens, temperature, tools"
    width, height = map(int, last_row(server)["parameters"]["size"].split("x"))
    assert width / height == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize(
    ("values", "code", "param"),
    [
        ({"messages": None}, "missing_required_parameter", "messages"),
        ({"messages": "a cat"}, "invalid_type", "messages"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": ["a"]}, "invalid_type", "messages[0]"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": "user", "content": ""}]}, "empty_string", "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "invalid_type", "messages[0].content"),
        ({"model": None}, "missing_required_parameter", "model"),
        ({"modalities": ["audio"]}, "invalid_value", "modalities"),
        ({"modalities": "image"}, "invalid_type", "modalities"),
        ({"stream": "yes"}, "invalid_type", "stream"),
        ({"image_config": {"aspect_ratio": "x"}}, "invalid_value", "image_config.aspect_ratio"),
    ],
)
def test_wrong_requests(server: Server, values: dict[str, Any], code: str, param: str) -> None:
    body = {"model": "gpt-5", "messages": ASKED} | values
    body = {name: value for name, value in body.items() if value is not None}
    assert_openai_error(server.http.post(CHAT, json=body), 400, code, param)


def test_blocked_prompts(server: Server) -> None:
    messages = [{"role": "user", "content": "gore"}]
    assert_openai_error(ask(server, messages), 400, "moderation_blocked")


def test_failure_after_the_beginning_is_told(
    gated: Server, engine: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "FIRST_EVENT_S", 0.2)
    body = {"model": "gpt-5", "messages": ASKED, "stream": True}
    with gated.http.stream("POST", CHAT, json=body) as response:
        engine.gate.release(1)
        lines = response.iter_lines()
        assert "chat.completion.chunk" in next(lines)
        engine.cannot_draw = "a red apple"
        engine.let_all_go()
        rest = [line for line in lines if line.startswith("data: ")]
    assert '"error":{' in rest[-2]
    assert rest[-1] == "data: [DONE]"


def test_base_address_without_version_works(server: Server) -> None:
    for path in ("/chat/completions", "//v1/chat/completions"):
        answer = server.http.post(path, json={"model": "gpt-5", "messages": ASKED})
        assert answer.status_code == 200
    tools = [{"type": "image_generation", "size": "256x256"}]
    body = {"model": "gpt-5", "input": "a cat", "tools": tools}
    assert server.http.post("/responses", json=body).status_code == 200
    assert server.http.get("/files").status_code == 200
