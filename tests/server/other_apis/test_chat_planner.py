"""POST /v1/responses and chats with a chat planner: a scripted chat server on loopback."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from limner.server.chat_planner.planning import MAX_DRAWN, MAX_ROUNDS
from limner.storage.db.keys import KeyStore, Limits
from tests.server.helpers import (
    HISTORY,
    Server,
    assert_openai_error,
    make_settings,
    open_picture,
    running,
    wait_until,
)
from tests.server.other_apis.calls import (
    CHAT,
    RED,
    RESPONSES,
    TOOL,
    answered,
    ask,
    call_of,
    drawn,
    last_row,
)
from tests.support.chat_server import Answer, ChatScript, calls, chat_server, draws, says
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def script() -> Iterator[ChatScript]:
    """The chat planner of `server`; each test sets its answers."""
    with chat_server() as script:
        yield script


@pytest.fixture(scope="module")
def server(script: ChatScript, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a chat planner."""
    home = tmp_path_factory.mktemp("planned")
    with running(_settings(home, script)) as server:
        yield server


def _settings(home: Path, script: ChatScript, **values: Any) -> Any:
    key = {"planner_key": "secret-key", "planner_model": "scripted"}
    return make_settings(home, planner_url=script.url, **(key | values))


def tell(script: ChatScript, *answers: Answer) -> None:
    """Give a script other answers."""
    script.answers, script.write = [*answers], None
    script.asked.clear()
    script.headers.clear()


def kinds(body: dict[str, Any]) -> list[str]:
    """The types of the output items."""
    return [item["type"] for item in body["output"]]


def texts(body: dict[str, Any]) -> list[str]:
    """The texts of an answer."""
    return [item["content"][0]["text"] for item in body["output"] if item["type"] == "message"]


def results(script: ChatScript) -> list[dict[str, Any]]:
    """What the chat planner was told of its calls, in its last request."""
    said = script.asked[-1]["messages"]
    return [json.loads(message["content"]) for message in said if message["role"] == "tool"]


@contextmanager
def client_of(server: Server, *, strict: bool = True) -> Iterator[OpenAI]:
    """openai-python, whose every answer is compared with its types."""
    with OpenAI(
        base_url=f"{server.url}/v1",
        api_key="none",
        max_retries=0,
        _strict_response_validation=strict,
    ) as client:
        yield client


# What is planned


def test_text_is_passed_on(server: Server, script: ChatScript) -> None:
    tell(script, says("Which colour?"))
    body = answered(server, "draw something", instructions="Be brief.")
    assert (kinds(body), texts(body)) == (["message"], ["Which colour?"])
    [asked] = script.asked
    assert asked["model"] == "scripted"
    assert [tool["function"]["name"] for tool in asked["tools"]] == [
        "generate_image",
        "edit_image",
        "look_at_image",
    ]
    system, user = asked["messages"]
    assert system["role"] == "system"
    assert system["content"].endswith("Be brief.")
    assert user == {"role": "user", "content": "draw something"}
    assert script.headers[0]["authorization"] == "Bearer secret-key"


def test_one_call_draws_one_picture(server: Server, script: ChatScript) -> None:
    tell(script, draws("a red cat"), says("Here it is."))
    with client_of(server) as client:
        answer = client.responses.create(model="gpt-5", input="a cat?", tools=[TOOL])  # type: ignore[list-item]
    call = answer.output[0]
    assert call.type == "image_generation_call"
    assert (call.status, call.revised_prompt, call.action) == (
        "completed",
        "a red cat",
        "generate",
    )
    assert open_picture(call.result or "").size == (256, 256)
    assert answer.output_text == "Here it is."
    assert results(script) == [{"picture": call.id, "prompt": "a red cat", "size": "256x256"}]
    row = last_row(server)
    assert (row["prompt"], row["kind"]) == ("a red cat", "generation")


def test_several_calls_in_several_rounds(server: Server, script: ChatScript) -> None:
    tell(
        script,
        calls(
            ("generate_image", {"prompt": "a cat"}),
            ("generate_image", {"prompt": "a dog"}),
            text="Two first.",
        ),
        calls(("look_at_image", {"asked": "a dog"})),
        calls(("edit_image", {"prompt": "a blue dog", "picture": "last"})),
        says("Done."),
    )
    body = answered(server, "cats and dogs")
    call = "image_generation_call"
    assert kinds(body) == ["message", call, call, call, "message"]
    assert [item["action"] for item in drawn(body)] == ["generate", "generate", "edit"]
    assert len({item["id"] for item in drawn(body)}) == 3
    assert "alt" in results(script)[2]
    assert [asked["tool_choice"] for asked in script.asked] == ["auto", "auto", "auto", "none"]
    assert body["usage"]["output_tokens"] == 0 or body["tool_usage"]


def test_stream_has_every_item_in_order(server: Server, script: ChatScript) -> None:
    tell(script, calls(("generate_image", {"prompt": "a cat"}), text="Wait."), says("There."))
    tools: list[Any] = [TOOL | {"partial_images": 1}]
    with (
        client_of(server) as client,
        client.responses.stream(model="gpt-5", input="a cat", tools=tools) as stream,
    ):
        events = list(stream)
        whole = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = [
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
    ]
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        *text,
        "response.output_item.added",
        "response.image_generation_call.in_progress",
        "response.image_generation_call.generating",
        "response.image_generation_call.partial_image",
        "response.image_generation_call.completed",
        "response.output_item.done",
        *text,
        "response.completed",
    ]
    assert [item.type for item in whole.output] == ["message", "image_generation_call", "message"]
    done = [event.item.id for event in events if event.type == "response.output_item.done"]
    assert done == [item.id for item in whole.output]  # type: ignore[union-attr]


@pytest.mark.parametrize("choice", ["required", {"type": "image_generation"}])
def test_forced_choice_asks_no_planner(server: Server, script: ChatScript, choice: Any) -> None:
    tell(script, says("I will not."))
    body = answered(server, "a cat", tool_choice=choice)
    assert [item["revised_prompt"] for item in drawn(body)] == ["a cat"]
    assert script.asked == []


def test_attached_picture_is_edited(server: Server, script: ChatScript) -> None:
    tell(script, calls(("edit_image", {"prompt": "a hat", "picture": "picture_1"})), says("So."))
    content = [{"type": "input_text", "text": "a hat!"}, {"type": "input_image", "image_url": RED}]
    body = answered(server, [{"role": "user", "content": content}])
    assert [item["action"] for item in drawn(body)] == ["edit"]
    assert script.asked[0]["messages"][1]["content"] == "a hat! [picture picture_1]"


def test_conversation_goes_on_from_an_answer(server: Server, script: ChatScript) -> None:
    tell(script, draws("a cat"), says("A cat."))
    first = answered(server, "draw a cat")
    tell(script, calls(("edit_image", {"prompt": "a blue cat"})), says("Blue now."))
    second = answered(server, "make it blue", previous_response_id=first["id"])
    [call] = drawn(first)
    assert [m["content"] for m in script.asked[0]["messages"][1:]] == [
        "draw a cat",
        f"[picture {call['id']}: a cat]",
        "A cat.",
        "make it blue",
    ]
    assert [item["action"] for item in drawn(second)] == ["edit"]
    tell(script, calls(("edit_image", {"prompt": "a dog", "picture": call["id"]})), says("Dog."))
    third = answered(server, "the first as a dog", previous_response_id=second["id"])
    assert [item["action"] for item in drawn(third)] == ["edit"]


def test_answer_drawn_by_rule_goes_on_with_a_planner(server: Server, script: ChatScript) -> None:
    first = answered(server, "a cat", tool_choice="required")
    tell(script, calls(("edit_image", {"prompt": "a blue cat"})), says("Blue."))
    second = answered(server, "make it blue", previous_response_id=first["id"])
    assert [item["action"] for item in drawn(second)] == ["edit"]


def test_text_answer_goes_on(server: Server, script: ChatScript) -> None:
    tell(script, says("Which colour?"))
    first = answered(server, "a cat")
    tell(script, draws("a red cat"), says("Red."))
    answered(server, "red", previous_response_id=first["id"])
    said = [message["content"] for message in script.asked[0]["messages"][1:]]
    assert said == ["a cat", "Which colour?", "red"]


def test_answer_is_kept_and_deleted(server: Server, script: ChatScript) -> None:
    tell(script, draws("a cat"), says("A cat."))
    body = answered(server)
    path = f"{RESPONSES}/{body['id']}"
    again = server.http.get(path).json()
    assert again["output"] == body["output"]
    assert again["status"] == "completed"
    request_id = drawn(body)[0]["id"].replace("ig_", "req_")
    assert server.http.get(f"{HISTORY}/{request_id}").status_code == 200
    assert server.http.delete(path).json()["deleted"]
    assert server.http.get(path).status_code == 404
    assert server.http.get(f"{HISTORY}/{request_id}").status_code == 404


def test_history_lists_pictures_and_no_answers(server: Server, script: ChatScript) -> None:
    tell(script, says("No picture."))
    body = answered(server, "hello")
    rows = server.http.get(HISTORY, params={"limit": 100}).json()["data"]
    assert body["id"].replace("resp_", "req_") not in [row["id"] for row in rows]


@pytest.mark.parametrize("stream", [False, True])
def test_repeated_key_gets_the_same_answer(
    script: ChatScript, tmp_path: Path, stream: bool
) -> None:
    """Also of another server of the same home, which has no recording of it."""
    tell(script, draws("a cat"), says("A cat."))
    body = {"model": "gpt-5", "input": "a cat", "tools": [TOOL], "stream": stream}
    answers = []
    for _ in range(2):
        with running(_settings(tmp_path, script)) as server:
            headers = {"idempotency-key": "one"}
            answers.append(server.http.post(RESPONSES, json=body, headers=headers))
    first, second = answers
    assert second.headers["idempotent-replayed"] == "true"
    if stream:
        assert _events(second.text)[-1] == _events(first.text)[-1]
    else:
        assert second.json()["output"] == first.json()["output"]
    assert len(script.asked) == 2


def _events(text: str) -> list[dict[str, Any]]:
    lines = [line for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_action_leaves_out_the_other_tool(server: Server, script: ChatScript) -> None:
    tell(script, says("So."))
    answered(server, tools=[TOOL | {"action": "generate"}])
    names = [tool["function"]["name"] for tool in script.asked[0]["tools"]]
    assert names == ["generate_image", "look_at_image"]


# Chat Completions


def test_chat_is_planned(server: Server, script: ChatScript) -> None:
    tell(
        script,
        calls(("generate_image", {"prompt": "a cat"}), ("generate_image", {"prompt": "a dog"})),
        says("A cat and a dog."),
    )
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "pets"}]
    body = server.http.post(CHAT, json={"model": "gpt-5", "messages": messages}).json()
    message = body["choices"][0]["message"]
    assert message["content"] == "A cat and a dog."
    assert len(message["images"]) == 2
    assert [m["role"] for m in script.asked[0]["messages"]] == ["system", "system", "user"]


def test_chat_streams_its_plan(server: Server, script: ChatScript) -> None:
    tell(script, draws("a cat"), says("A cat."))
    messages: list[Any] = [{"role": "user", "content": "a cat"}]
    with client_of(server, strict=False) as client:
        chunks = list(client.chat.completions.create(model="x", messages=messages, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "A cat."
    images = [image for delta in deltas for image in (delta.model_extra or {}).get("images", [])]
    assert len(images) == 1
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_chat_answer_in_words_has_no_pictures(server: Server, script: ChatScript) -> None:
    tell(script, says("Hello."))
    body = {"model": "x", "messages": [{"role": "user", "content": "hello"}]}
    message = server.http.post(CHAT, json=body).json()["choices"][0]["message"]
    assert message["content"] == "Hello."
    assert "images" not in message


# What the chat planner can mend


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("paint", {"prompt": "a cat"}, "There is no tool 'paint'"),
        ("generate_image", "{", "no JSON"),
        ("generate_image", "[]", "no object"),
        ("generate_image", {}, "needs a prompt"),
        ("generate_image", {"prompt": 3}, "must be text"),
        ("generate_image", {"prompt": "a", "colour": "red"}, "no parameter 'colour'"),
        ("edit_image", {"prompt": "a"}, "no picture yet"),
        ("edit_image", {"prompt": "a", "picture": "mine"}, "no picture 'mine'"),
        ("look_at_image", {"picture": "ig_1"}, "not found"),
    ],
)
def test_planner_is_told_what_is_wrong(
    server: Server, script: ChatScript, name: str, arguments: Any, told: str
) -> None:
    tell(script, calls((name, arguments)), says("Sorry."))
    assert texts(answered(server)) == ["Sorry."]
    [result] = results(script)
    assert told in result["error"]


def test_number_of_pictures_is_bounded(server: Server, script: ChatScript) -> None:
    tell(script, calls(*[("generate_image", {"prompt": "a"})] * MAX_DRAWN), draws("b"), says("."))
    assert len(drawn(answered(server))) == MAX_DRAWN
    assert "at most" in results(script)[-1]["error"]


# Failures


def failure(server: Server, **values: Any) -> str:
    """The message of a 502, which no client repeats."""
    response = ask(server, **values)
    assert response.headers["x-should-retry"] == "false"
    return assert_openai_error(response, 502, "planner_failed")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (500, "status 500"),
        (401, "status 401"),
        (b"not JSON", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"{}", "no chat completion"),
        (b'{"choices": []}', "no chat completion"),
        (b'{"choices": [{"message": {"tool_calls": [3]}}]}', "no chat completion"),
        (says(""), "empty"),
        (says("x" * 40_000), "characters"),
        (b" " * 1_100_000, "bytes"),
        (calls(*[("generate_image", {"prompt": "a"})] * 11), "tools at once"),
    ],
)
def test_failing_planner_is_said_to_fail(
    server: Server, script: ChatScript, answer: Answer, said: str
) -> None:
    tell(script, answer)
    assert said in failure(server)
    assert len(script.asked) == 1


def test_endless_planner_is_stopped(server: Server, script: ChatScript) -> None:
    tell(script, calls(("paint", {})))
    message = failure(server)
    assert f"in {MAX_ROUNDS} answers" in message
    assert "There is no tool 'paint'" in message
    assert len(script.asked) == MAX_ROUNDS


def test_endless_planner_fails_a_stream_after_its_pictures(
    server: Server, script: ChatScript
) -> None:
    tell(script, draws("a cat"))
    events = _events(ask(server, stream=True).text)
    assert events[-1]["type"] == "response.failed"
    failed = events[-1]["response"]
    assert failed["error"]["code"] == "server_error"
    assert [item["status"] for item in failed["output"]] == ["completed"] * (MAX_ROUNDS - 1)
    assert server.http.get(f"{RESPONSES}/{failed['id']}").json()["status"] == "failed"


def test_failure_before_the_first_event_is_no_stream(server: Server, script: ChatScript) -> None:
    tell(script, 500)
    assert "status 500" in failure(server, stream=True)


def test_chat_fails_in_its_own_form(server: Server, script: ChatScript) -> None:
    tell(script, 500)
    with client_of(server) as client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="x", messages=[{"role": "user", "content": "a"}])
    assert (caught.value.status_code, caught.value.code) == (502, "planner_failed")


def test_planner_that_is_down(script: ChatScript, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    with running(make_settings(tmp_path, planner_url=url)) as server:
        assert "cannot be reached" in failure(server)


def test_slow_planner_is_given_up(tmp_path: Path) -> None:
    wait = threading.Event()
    with chat_server(says("late"), wait=wait) as script:
        with running(_settings(tmp_path, script, planner_s=1)) as server:
            assert "within 1 s" in failure(server)
        wait.set()


def test_client_that_leaves_is_not_planned_for(tmp_path: Path) -> None:
    wait = threading.Event()
    with chat_server(draws("a cat"), wait=wait) as script:
        with running(_settings(tmp_path, script)) as server:
            body = {"model": "x", "input": "a", "tools": [TOOL]}
            server.abandon(lambda: script.asked, body, path=RESPONSES)
            wait_until(lambda: server.is_idle)
            wait.set()
            assert server.http.get(HISTORY).json()["data"] == []
        assert len(script.asked) == 1


def test_key_is_in_no_log(
    server: Server, script: ChatScript, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        tell(script, 401)
        failure(server)
        tell(script, says("so"))
        answered(server)
    assert "status 401: " in caplog.text
    assert "secret-key" not in caplog.text
    assert "secret-key" not in repr(server.service.settings)


# The same rules as for all requests


def test_prompts_are_moderated_before_the_planner_and_after(
    server: Server, script: ChatScript
) -> None:
    tell(script, says("so"))
    assert_openai_error(ask(server, "gore"), 400, "moderation_blocked")
    assert_openai_error(ask(server, instructions="draw gore"), 400, "moderation_blocked")
    assert script.asked == []
    tell(script, draws("gore"), says("so"))
    assert_openai_error(ask(server, "a cat"), 400, "moderation_blocked")


def test_wrong_options_are_refused_before_the_planner(server: Server, script: ChatScript) -> None:
    tell(script, says("so"))
    response = ask(server, tools=[TOOL | {"output_compression": 200}])
    assert_openai_error(response, 400, "integer_above_max_value", "tools[0].output_compression")
    assert_openai_error(
        ask(server, previous_response_id="resp_1"),
        400,
        "previous_response_not_found",
        "previous_response_id",
    )
    assert script.asked == []


def test_answers_and_pictures_count_in_the_limits_of_a_key(tmp_path: Path) -> None:
    with (
        chat_server(draws("a cat"), says("so")) as script,
        running(_settings(tmp_path, script)) as server,
    ):
        limits = Limits(requests_per_minute=2, concurrent=1)
        keys = KeyStore(server.service.database)
        key, other = keys.create("k", limits=limits), keys.create("other")
        headers = {"authorization": f"Bearer {key}"}
        body = {"model": "x", "input": "a cat", "tools": [TOOL]}
        first = server.http.post(RESPONSES, json=body, headers=headers)
        assert first.status_code == 200, first.text
        second = server.http.post(RESPONSES, json=body, headers=headers)
        assert_openai_error(second, 429, "rate_limit_exceeded")
        path = f"{RESPONSES}/{first.json()['id']}"
        foreign = server.http.get(path, headers={"authorization": f"Bearer {other}"})
        assert foreign.status_code == 404


def test_looks_count_as_requests_of_the_key(tmp_path: Path) -> None:
    with (
        chat_server(draws("a cat"), calls(("look_at_image", {})), says("so")) as script,
        running(_settings(tmp_path, script)) as server,
    ):
        key = KeyStore(server.service.database).create("k", limits=Limits(requests_per_minute=2))
        body = {"model": "x", "input": "a cat", "tools": [TOOL]}
        headers = {"authorization": f"Bearer {key}"}
        refused = server.http.post(RESPONSES, json=body, headers=headers)
        assert_openai_error(refused, 429, "rate_limit_exceeded")
        [row] = server.http.get(HISTORY, headers=headers).json()["data"]
        assert row["status"] == "done"


def test_pictures_of_another_key_are_not_there(script: ChatScript, tmp_path: Path) -> None:
    with running(_settings(tmp_path, script)) as server:
        keys = KeyStore(server.service.database)
        one, two = ({"authorization": f"Bearer {keys.create(name)}"} for name in ("one", "two"))
        body = {"model": "x", "input": "a cat", "tools": [TOOL]}
        forced = body | {"tool_choice": "required"}
        first = server.http.post(RESPONSES, json=forced, headers=one).json()
        name = call_of(first)["id"]
        for tool in ("edit_image", "look_at_image"):
            more = {"prompt": "a dog"} if tool == "edit_image" else {}
            tell(script, calls((tool, {"picture": name} | more)), says("No."))
            answer = server.http.post(RESPONSES, json=body, headers=two)
            assert drawn(answer.json()) == []
            assert "not drawn with this key" in results(script)[0]["error"]
        after = body | {"previous_response_id": first["id"]}
        refused = server.http.post(RESPONSES, json=after, headers=two)
        assert_openai_error(refused, 400, "previous_response_not_found", "previous_response_id")


def test_without_a_history_answers_are_not_kept(tmp_path: Path) -> None:
    two = [draws("a cat"), calls(("edit_image", {"prompt": "a blue cat"})), says("so")]
    with (
        chat_server(*two) as script,
        running(_settings(tmp_path, script, history=False)) as server,
    ):
        body = answered(server)
        assert [item["action"] for item in drawn(body)] == ["generate", "edit"]
        assert body["store"] is False
