"""POST /v1/responses with the tool image_generation, as openai-python and others use it.

Keys, limits, moderation and queue: test_same_rules.py.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from limner.errors import DatabaseError
from limner.server.routes.images import drawing
from limner.storage.db.keys import KeyStore
from limner.storage.db.responses import Responses
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
from tests.server.other_apis.calls import RED, RESPONSES, TOOL, answered, ask, call_of, last_row

STREAM_EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.image_generation_call.in_progress",
    "response.image_generation_call.generating",
    "response.image_generation_call.partial_image",
    "response.image_generation_call.partial_image",
    "response.image_generation_call.completed",
    "response.output_item.done",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


# openai-python


def test_openai_client_draws(client: OpenAI) -> None:
    answer = client.responses.create(
        model="gpt-5",
        input="a red apple",
        tools=[{"type": "image_generation", "size": "1024x1536", "output_format": "webp"}],
    )
    call = answer.output[0]
    assert call.type == "image_generation_call"
    assert (call.status, call.revised_prompt, call.size) == (
        "completed",
        "a red apple",
        "1024x1536",
    )
    assert (call.action, call.quality, call.output_format) == ("generate", "medium", "webp")
    picture = open_picture(call.result or "")
    assert (picture.size, picture.format) == ((1024, 1536), "WEBP")
    assert "a red apple" in answer.output_text
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0


def test_openai_client_streams_previews(client: OpenAI) -> None:
    with client.responses.stream(
        model="gpt-5",
        input="a red apple",
        tools=[{"type": "image_generation", "partial_images": 2}],
    ) as stream:
        events = list(stream)
        whole = stream.get_final_response()
    assert [event.type for event in events] == STREAM_EVENTS
    assert [event.sequence_number for event in events] == list(range(len(events)))
    partials = [e for e in events if e.type == "response.image_generation_call.partial_image"]
    assert [event.partial_image_index for event in partials] == [0, 1]
    assert [open_picture(e.partial_image_b64).size for e in partials] == [(1024, 1024)] * 2
    assert whole.output[0].type == "image_generation_call"
    assert open_picture(whole.output[0].result or "").size == (1024, 1024)


def test_openai_client_goes_on_from_an_answer(client: OpenAI) -> None:
    tools: list[Any] = [TOOL]
    first = client.responses.create(model="gpt-5", input="a red apple.", tools=tools)
    second = client.responses.create(
        model="gpt-5", input="make it blue", tools=tools, previous_response_id=first.id
    )
    call = second.output[0]
    assert call.type == "image_generation_call"
    assert (call.action, call.revised_prompt) == ("edit", "a red apple, make it blue")
    assert second.previous_response_id == first.id
    assert "joins" in second.output_text
    third = client.responses.create(
        model="gpt-5", input="on a plate", tools=tools, previous_response_id=second.id
    )
    assert third.output[0].type == "image_generation_call"
    assert third.output[0].revised_prompt == "a red apple, make it blue, on a plate"


def test_openai_client_fetches_and_deletes_an_answer(client: OpenAI) -> None:
    tools: list[Any] = [TOOL]
    first = client.responses.create(
        model="gpt-5", input="a red apple", tools=tools, metadata={"who": "me"}
    )
    again = client.responses.retrieve(first.id)
    assert again.to_dict() == first.to_dict()
    assert again.metadata == {"who": "me"}
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError, match="not found"):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError, match="Previous response"):
        client.responses.create(
            model="gpt-5", input="blue", tools=tools, previous_response_id=first.id
        )


def test_openai_client_uploads_a_picture_and_edits_it(client: OpenAI) -> None:
    data = picture_file(64, colour=(200, 0, 0, 255))
    file = client.files.create(file=("red.png", data), purpose="vision")
    assert (file.filename, file.bytes, file.purpose) == ("red.png", len(data), "vision")
    assert client.files.retrieve(file.id).to_dict() == file.to_dict()
    assert client.files.content(file.id).read() == data
    assert file.id in [one.id for one in client.files.list(limit=1)]
    content: Any = [
        {"type": "input_text", "text": "a hat"},
        {"type": "input_image", "file_id": file.id, "detail": "auto"},
    ]
    answer = client.responses.create(
        model="gpt-5",
        input=[{"role": "user", "content": content}],
        tools=[{**TOOL}],  # type: ignore[list-item]
    )
    assert answer.output[0].type == "image_generation_call"
    assert (answer.output[0].action, answer.output[0].revised_prompt) == ("edit", "a hat")
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError, match="No such File"):
        client.files.retrieve(file.id)


# What other clients send


def _followed(server: Server, items: list[Any], **values: Any) -> dict[str, Any]:
    input = [*items, {"role": "user", "content": "make it blue"}]
    return call_of(answered(server, input, **values))


@pytest.mark.parametrize("way", ["stripped", "whole", "null", "reference"])
def test_edit_by_an_item(server: Server, way: str) -> None:
    call = call_of(answered(server))
    item = {
        "stripped": {"type": "image_generation_call", "id": call["id"]},
        "whole": call,
        "null": call | {"result": None},
        "reference": {"type": "item_reference", "id": call["id"]},
    }[way]
    first: list[Any] = [{"type": "message", "role": "user", "content": "a red apple"}, item]
    drawn = _followed(server, first)
    assert (drawn["action"], drawn["revised_prompt"]) == ("edit", "a red apple, make it blue")
    row = last_row(server)
    assert row["kind"] == "edit"
    parent = server.http.get(f"{HISTORY}/req_{call['id'].removeprefix('ig_')}").json()
    assert row["pictures"][0]["parent"] == parent["pictures"][0]["sha256"]


def test_whole_item_of_another_server_is_edited(server: Server) -> None:
    call = call_of(answered(server)) | {"id": "ig_elsewhere", "revised_prompt": "a pear"}
    drawn = _followed(server, [call])
    assert drawn["revised_prompt"] == "a pear, make it blue"


def test_messages_of_others_are_passed_over(server: Server) -> None:
    input = [
        {"role": "developer", "content": "be nice"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "item_reference", "id": "msg_1"},
        {"role": "user", "content": [{"type": "input_text", "text": "a red apple"}]},
    ]
    drawn = call_of(answered(server, input))
    assert (drawn["action"], drawn["revised_prompt"]) == ("generate", "a red apple")


@pytest.mark.parametrize("choice", [None, "auto", "required", {"type": "image_generation"}])
def test_what_clients_also_send_is_taken(server: Server, choice: Any) -> None:
    body = answered(
        server,
        tool_choice=choice,
        instructions="draw well",
        include=[],
        reasoning={"effort": "low"},
        text={"verbosity": "low"},
        store=False,
        temperature=0.5,
        tools=[{**TOOL, "input_fidelity": "high"}, {"type": "function", "name": "f"}],
    )
    assert body["instructions"] == "draw well"
    assert body["tool_choice"] == (choice or "auto")


def test_picture_beside_the_text_is_edited(server: Server) -> None:
    content = [{"type": "input_image", "image_url": RED}, {"type": "input_text", "text": "a hat"}]
    drawn = call_of(answered(server, [{"role": "user", "content": content}]))
    assert (drawn["action"], drawn["revised_prompt"]) == ("edit", "a hat")


def test_picture_of_an_older_message_is_edited(server: Server) -> None:
    content = [{"type": "input_image", "image_url": RED}, {"type": "input_text", "text": "look"}]
    drawn = _followed(server, [{"role": "user", "content": content}])
    assert (drawn["action"], drawn["revised_prompt"]) == ("edit", "make it blue")


def test_mask_says_where_to_draw(server: Server) -> None:
    mask = base64.b64encode(picture_file(64)).decode()
    tool = TOOL | {"input_image_mask": {"image_url": f"data:image/png;base64,{mask}"}}
    content = [{"type": "input_image", "image_url": RED}, {"type": "input_text", "text": "a hat"}]
    drawn = call_of(answered(server, [{"role": "user", "content": content}], tools=[tool]))
    assert drawn["action"] == "edit"


def test_other_subject_is_drawn_anew(server: Server) -> None:
    """As an edit whose mask is clear all over; the card shows the mask."""
    tools = [TOOL | {"seed": 7}]
    first = answered(server, tools=tools)
    said = {"previous_response_id": first["id"], "tools": tools}
    second = call_of(answered(server, "turn it into a pear", **said))
    assert (second["action"], second["revised_prompt"]) == ("edit", "a pear")
    picture = base64.b64decode(call_of(first)["result"])
    files = {"image": ("a.png", picture), "mask": ("mask.png", picture_file(256))}
    how = {"prompt": "a pear", "seed": "7", "size": "256x256", "response_format": "b64_json"}
    masked = server.edit(files, **how).json()["data"][0]["b64_json"]
    assert open_picture(second["result"]).tobytes() == open_picture(masked).tobytes()


def test_action_generate_passes_the_picture_over(server: Server) -> None:
    call = call_of(answered(server))
    drawn = _followed(server, [call], tools=[TOOL | {"action": "generate"}])
    assert (drawn["action"], drawn["revised_prompt"]) == ("generate", "make it blue")


def test_own_name_as_model_draws_with_its_engine(server: Server) -> None:
    body = answered(server, model="testcard", tools=[TOOL | {"size": "96x64", "seed": 7}])
    assert call_of(body)["size"] == "96x64"


def test_uploads_are_edited_by_the_images_api(server: Server) -> None:
    files = {"file": ("red.png", picture_file(64, colour=(200, 0, 0, 255)))}
    file = server.http.post("/v1/files", files=files, data={"purpose": "user_data"}).json()
    body = {"prompt": "a hat", "images": [{"file_id": file["id"]}], "model": "gpt-image-1"}
    assert server.http.post("/v1/images/edits", json=body).status_code == 200
    history = server.http.get(HISTORY, params={"limit": 100}).json()["data"]
    assert "upload" not in {row["kind"] for row in history}


# Refusals


@pytest.mark.parametrize(
    ("values", "code", "param"),
    [
        ({"tools": None}, "missing_required_parameter", "tools"),
        ({"tools": [{"type": "web_search"}]}, "invalid_value", "tools"),
        ({"tools": [{"type": "teleport"}]}, "invalid_value", "tools[0].type"),
        ({"tools": "image_generation"}, "invalid_type", "tools"),
        ({"tools": [TOOL | {"n": 2}]}, "unknown_parameter", "tools[0].n"),
        ({"tools": [TOOL | {"size": "9x9"}]}, None, "tools[0].size"),
        ({"tools": [TOOL | {"quality": "ultra"}]}, "invalid_value", "tools[0].quality"),
        ({"tools": [TOOL | {"model": "nobody"}]}, "invalid_value", "tools[0].model"),
        (
            {"tools": [TOOL | {"partial_images": 4}]},
            "integer_above_max_value",
            "tools[0].partial_images",
        ),
        ({"tools": [TOOL | {"action": "edit"}]}, "invalid_value", "tools[0].action"),
        ({"tools": [TOOL | {"action": "fly"}]}, "invalid_value", "tools[0].action"),
        (
            {"tools": [TOOL | {"input_image_mask": {"image_url": RED}}]},
            "invalid_value",
            "tools[0].input_image_mask",
        ),
        ({"tool_choice": "none"}, "invalid_value", "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "invalid_value", "tool_choice"),
        ({"model": None}, "missing_required_parameter", "model"),
        ({"bogus": 1}, "unknown_parameter", "bogus"),
        ({"background": True}, "invalid_value", "background"),
        ({"conversation": "conv_1"}, "invalid_value", "conversation"),
        ({"stream": "yes"}, "invalid_type", "stream"),
        ({"input": None}, "missing_required_parameter", "input"),
        ({"input": ""}, "empty_string", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": 5}, "invalid_type", "input"),
        ({"input": "x" * 40_000}, "string_above_max_length", "input"),
        ({"input": "x" * 100_000}, "string_above_max_length", "input"),
        ({"input": ["a"]}, "invalid_type", "input[0]"),
        ({"input": [{"type": "fly"}]}, "invalid_value", "input[0].type"),
        ({"input": [{"role": "robot", "content": "a"}]}, "invalid_value", "input[0].role"),
        ({"input": [{"role": "user"}]}, "invalid_type", "input[0].content"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
            "invalid_value",
            "input[0].content[0].type",
        ),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_text", "text": "a"},
                            {"type": "input_image", "file_id": "file-1"},
                        ],
                    }
                ]
            },
            "image_file_not_found",
            "input[0].content[1].file_id",
        ),
        ({"previous_response_id": "resp_1"}, "previous_response_not_found", "previous_response_id"),
        ({"previous_response_id": "what\0"}, "previous_response_not_found", "previous_response_id"),
    ],
)
def test_wrong_requests(
    server: Server, values: dict[str, Any], code: str | None, param: str
) -> None:
    body = {"model": "gpt-5", "input": "a red apple", "tools": [TOOL]} | values
    body = {name: value for name, value in body.items() if value is not None}
    response = server.http.post(RESPONSES, json=body)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param), error
    assert code is None or error["code"] == code
    assert_openai_error(response, 400, error["code"], param)


def test_picture_that_is_gone(server: Server) -> None:
    input = [{"type": "item_reference", "id": "ig_1"}, {"role": "user", "content": "blue"}]
    assert_openai_error(ask(server, input), 404, "item_not_found", "input")


def test_blocked_prompts(server: Server) -> None:
    assert_openai_error(ask(server, "gore"), 400, "moderation_blocked")
    assert_openai_error(ask(server, "gore", stream=True), 400, "moderation_blocked")


@pytest.mark.parametrize(
    ("files", "data", "code", "param"),
    [
        ({}, {"purpose": "vision"}, "missing_required_parameter", "file"),
        ({"file": b"words"}, {"purpose": "vision"}, "unsupported_file_mimetype", "file"),
        ({"file": picture_file(8)[:20]}, {"purpose": "vision"}, "invalid_image", "file"),
        ({"file": picture_file(8)}, {}, "missing_required_parameter", "purpose"),
        ({"file": picture_file(8)}, {"purpose": "batch"}, "invalid_value", "purpose"),
        (
            {"file": picture_file(8)},
            {"purpose": "vision", "expires_after[seconds]": "5"},
            "integer_below_min_value",
            "expires_after[seconds]",
        ),
    ],
)
def test_wrong_uploads(
    server: Server, files: dict[str, bytes], data: dict[str, str], code: str, param: str
) -> None:
    form = {name: ("a.png", content) for name, content in files.items()} or {"other": ("a", b"a")}
    assert_openai_error(server.http.post("/v1/files", files=form, data=data), 400, code, param)


# The same service as the Images API has


def test_answers_outlive_the_server_and_are_known_to_another(
    tmp_path: Path, database_url: str
) -> None:
    homes = [tmp_path / name for name in ("one", "two")]
    store = str(tmp_path / "store")
    for home in homes:
        home.mkdir()
    shared = {"store": store, **({"database": database_url} if database_url else {})}
    first_settings = make_settings(homes[0], **shared)
    with running(first_settings) as server:
        first = answered(server)
        files = {"file": ("red.png", picture_file(64, colour=(200, 0, 0, 255)))}
        file = server.http.post("/v1/files", files=files, data={"purpose": "vision"}).json()
    # SQLite is a file of the home: there only a restart has the same database.
    with running(make_settings(homes[1], **shared) if database_url else first_settings) as server:
        assert server.http.get(f"{RESPONSES}/{first['id']}").json() == first
        second = answered(server, "make it blue", previous_response_id=first["id"])
        assert call_of(second)["revised_prompt"] == "a red apple, make it blue"
        content = server.http.get(f"/v1/files/{file['id']}/content").content
        assert content == files["file"][1]
        assert server.http.delete(f"{RESPONSES}/{first['id']}").status_code == 200
        assert server.http.get(f"{RESPONSES}/{first['id']}").status_code == 404


def test_answers_and_files_of_another_key_are_not_there(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        keys = KeyStore(server.service.database)
        one, two = ({"authorization": f"Bearer {keys.create(name)}"} for name in ("one", "two"))
        body = {"model": "gpt-5", "input": "a cat", "tools": [TOOL]}
        first = server.http.post(RESPONSES, json=body, headers=one).json()
        files = {"file": ("red.png", picture_file(8))}
        data = {"purpose": "vision"}
        file = server.http.post("/v1/files", files=files, data=data, headers=one).json()
        assert server.http.get(f"{RESPONSES}/{first['id']}", headers=one).status_code == 200
        for path in (f"{RESPONSES}/{first['id']}", f"/v1/files/{file['id']}"):
            assert server.http.get(path, headers=two).status_code == 404
            assert server.http.delete(path, headers=two).status_code == 404
        items = [
            {"type": "item_reference", "id": call_of(first)["id"]},
            {"role": "user", "content": "b"},
        ]
        taken = server.http.post(RESPONSES, json=body | {"input": items}, headers=two)
        assert_openai_error(taken, 404, "item_not_found", "input")
        assert server.http.post(RESPONSES, json=body).status_code == 401
        assert server.http.get("/v1/files").status_code == 401


def test_answer_that_is_not_stored(server: Server) -> None:
    body = answered(server, store=False)
    assert body["store"] is False
    assert server.http.get(f"{RESPONSES}/{body['id']}").status_code == 404
    # Its picture is in the history all the same, so an id leads to it.
    assert (
        _followed(server, [{"type": "item_reference", "id": call_of(body)["id"]}])["action"]
        == "edit"
    )


def test_without_a_history_nothing_is_stored(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, history="off")) as server:
        body = answered(server)
        assert body["store"] is False
        assert open_picture(call_of(body)["result"]).size == (256, 256)
        drawn = _followed(server, [call_of(body)])
        assert drawn["revised_prompt"] == "a red apple, make it blue"
        assert_openai_error(server.http.get(f"{RESPONSES}/{body['id']}"), 404, "no_history")
        assert_openai_error(server.http.get("/v1/files"), 404, "no_history")


def test_history_has_the_request_and_its_deletion_takes_the_answer(server: Server) -> None:
    body = answered(server)
    id = f"req_{body['id'].removeprefix('resp_')}"
    row = server.http.get(f"{HISTORY}/{id}").json()
    assert (row["prompt"], row["kind"], row["status"]) == ("a red apple", "generation", "done")
    server.http.delete(f"{HISTORY}/{id}")
    assert server.http.get(f"{RESPONSES}/{body['id']}").status_code == 404


def test_failure_before_the_first_event_is_an_error(gated: Server, engine: GatedEngine) -> None:
    engine.cannot_draw = "a red apple"
    engine.gate.release(1)
    assert_openai_error(ask(gated, stream=True), 500, None)


def test_failure_after_the_beginning_is_an_event(
    gated: Server, engine: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "FIRST_EVENT_S", 0.2)
    body = {"model": "gpt-5", "input": "a red apple", "tools": [TOOL], "stream": True}
    with gated.http.stream("POST", RESPONSES, json=body) as response:
        engine.gate.release(1)
        lines = response.iter_lines()
        for line in lines:
            if line == "event: response.image_generation_call.generating":
                break
        engine.cannot_draw = "a red apple"
        engine.let_all_go()
        rest = list(lines)
    [last] = [line for line in rest if line.startswith("data: ") and '"response.failed"' in line]
    said = json.loads(last.removeprefix("data: "))["response"]
    assert (said["status"], said["error"]["code"]) == ("failed", "server_error")
    stored = f"{RESPONSES}/{said['id']}"
    wait_until(lambda: gated.http.get(stored).json()["status"] == "failed")
    assert gated.http.get(stored).json()["output"][0]["status"] == "failed"


def test_answer_under_way_can_be_looked_at(
    gated: Server, engine: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "FIRST_EVENT_S", 0.2)
    body = {"model": "gpt-5", "input": "a red apple", "tools": [TOOL], "stream": True}
    with gated.http.stream("POST", RESPONSES, json=body) as response:
        engine.gate.release(1)
        id = f"resp_{response.headers['x-request-id'].removeprefix('req_')}"
        stored = gated.http.get(f"{RESPONSES}/{id}").json()
        assert (stored["status"], stored["output"][0]["status"]) == ("in_progress", "in_progress")
        assert_openai_error(gated.http.delete(f"{RESPONSES}/{id}"), 400, "request_running")
        engine.let_all_go()
        response.read()
    assert gated.http.get(f"{RESPONSES}/{id}").json()["status"] == "completed"


@pytest.mark.parametrize("stream", [False, True])
def test_request_sent_again_is_answered_again(tmp_path: Path, stream: bool) -> None:
    settings = make_settings(tmp_path)
    body = {"model": "gpt-5", "input": "a cat", "tools": [TOOL], "stream": stream}
    headers = {"idempotency-key": "k"}
    with running(settings) as server:
        first = server.http.post(RESPONSES, json=body, headers=headers)
        again = server.http.post(RESPONSES, json=body, headers=headers)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.content == first.content
    with running(settings) as server:  # what was in memory is gone
        again = server.http.post(RESPONSES, json=body, headers=headers)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.content == first.content
        assert len(server.http.get(HISTORY).json()["data"]) == 1


def test_answer_that_cannot_be_stored_is_not_drawn(
    gated: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseError("The database cannot be used: gone")

    monkeypatch.setattr(Responses, "add", fail)
    assert_openai_error(ask(gated), 503, "database_error")
    wait_until(lambda: gated.http.get(HISTORY).json()["data"][0]["status"] == "cancelled")
